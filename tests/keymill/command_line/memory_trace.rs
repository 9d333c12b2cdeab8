//! `--trace-memory` and `memory-report`: whatever a command holds, it gives back.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use keymill::Scheme;

use keymill::Level;
use keymill::plan::NodeIndex;
use rustix::process::Signal;
use serde_json::Value;

use super::fixtures::{LONG, MESSAGE, SEED, SMALL_GROUPS, TINY, finished_key, nothing_was_made, set_back_to_version_0};
use super::program::{Outcome, Place};
use crate::skip::skip;
use keymill_reference::hash::Reference;
use keymill_reference::secret_key::secret_key_ssz;
use keymill_reference::tree::Tree;

/// Runs a command with a trace of this name.
fn traced(place: &Place, line: &str, trace: &str) -> Outcome {
    place.run(&format!("{line} --trace-memory {trace}"))
}

/// What memory-report says of a trace, and that its exit code agrees with it.
#[track_caller]
fn report(place: &Place, trace: &str) -> Value {
    let outcome = place.run(&format!("memory-report {trace} --json"));
    let report = outcome.json();
    let clean = report["clean"].as_bool().unwrap();
    outcome.exits(if clean { 0 } else { 1 });
    report
}

fn types(report: &Value) -> BTreeSet<&str> {
    report["types"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn every_command_gives_back_all_that_it_held() {
    let place = Place::new();
    let public_key = finished_key(&place, TINY);
    let sign = format!("sign key --epoch 3 --message {MESSAGE}");
    let signature = place.run(&sign).exits(0).line();
    let verify = format!(
        "verify --scheme {TINY} --public-key {public_key} --epoch 3 --message {MESSAGE} --signature {signature}"
    );
    let keygen = format!("keygen other --scheme {LONG} --epochs 4096 --seed-file seed --threads 2 --progress none");
    let everything = ["arena", "buffer", "cache", "database", "file", "mapping"];
    let open = ["cache", "database", "file"];
    let mapped = ["file", "mapping"];
    place.run(&format!("keygen begun --scheme {TINY}")).exits(0);
    set_back_to_version_0(&place, "begun");
    // The main thread is there in all of them.
    for (line, code, holds) in [
        (keygen.as_str(), 0, &everything[..]),
        ("keygen other", 0, &[]),
        ("status key", 0, &["cache", "database"]),
        ("public-key key", 0, &[]),
        ("path key --epoch 3", 0, &mapped),
        ("path key --epoch 0 --count 256 --out paths", 0, &mapped),
        (
            &sign.replace("--epoch 3", "--epoch 5"),
            0,
            &["cache", "database", "file", "mapping"],
        ),
        ("ledger show key", 0, &["cache", "database"]),
        ("ledger export key --out history", 0, &["cache", "database"]),
        ("ledger import key history", 0, &open),
        (&verify, 0, &[]),
        (&verify.replace("--epoch 3", "--epoch 4"), 1, &[]),
        ("check key", 0, &mapped),
        ("check key --deep", 0, &["arena", "file", "mapping"]),
        ("repair key", 0, &["arena", "database", "file", "mapping"]),
        ("trim key --level 2", 0, &["database", "file", "mapping"]),
        ("path key --epoch 3", 0, &["cache", "mapping"]),
        ("report key --out report.html", 0, &["cache", "database"]),
        ("migrate key", 0, &[]),
        ("migrate begun", 0, &open),
        ("plan", 0, &[]),
        ("schemes", 0, &[]),
        ("status nothing", 3, &[]),
        ("path key --epoch 99999", 2, &mapped),
    ] {
        let outcome = traced(&place, line, "trace");
        assert_eq!(outcome.code, Some(code), "{}", outcome.all());
        let report = report(&place, "trace");
        assert_eq!(report["clean"], true, "{line}: {report:#}");
        assert!(types(&report).contains("thread"), "{line}: {report:#}");
        for kind in holds {
            assert!(types(&report).contains(kind), "{line} held no {kind}: {report:#}");
        }
        fs::remove_file(place.path("trace")).unwrap();
    }
}

#[test]
fn a_trace_changes_nothing_else() {
    let place = Place::new();
    finished_key(&place, TINY);
    for line in ["status key --json", "path key --epoch 7", "check key"] {
        let (plain, with_trace) = (place.run(line), traced(&place, line, "trace"));
        assert_eq!(plain.all(), with_trace.all().replace(" --trace-memory trace", ""));
        fs::remove_file(place.path("trace")).unwrap();
    }
}

#[test]
fn a_keygen_that_was_interrupted_has_given_back_everything_and_a_killed_one_tells_what_it_held() {
    let place = Place::new();
    place.file("seed", SEED);
    let line = format!("keygen key --scheme {LONG} --epochs 2^18 --seed-file seed --threads 1");
    for (signal, trace) in [(Signal::TERM, "interrupted"), (Signal::KILL, "killed")] {
        let before = place.batches_done("key");
        let mut running = place.start(&SMALL_GROUPS, &format!("{line} --trace-memory {trace}"));
        place.wait_for_batches("key", before + 1);
        running.signal(signal);
        let (outcome, _) = running.end();
        let expected = (signal == Signal::TERM).then_some(130);
        assert_eq!(outcome.code, expected, "{}", outcome.all());
    }
    assert_eq!(report(&place, "interrupted")["clean"], true);
    let killed = report(&place, "killed");
    for kind in ["mapping", "file", "database", "cache", "thread"] {
        assert!(killed["types"][kind]["left"].as_u64() > Some(0), "{kind}: {killed:#}");
    }
    assert!(
        killed["anonymous"]["registered_end_bytes"].as_u64() > Some(1 << 20),
        "{killed:#}"
    );
    let outcome = place.run("memory-report killed").exits(1);
    outcome.prints(&[
        "left: 1 file of src/keygen/prepare.rs:",
        "left: 19 mapping of src/layers/medium.rs:",
        "the process was killed, or still runs",
    ]);
}

/// A secret key of the longest lifetime of which only the first leaves of both bottom trees are those of its PRF key: all
/// that is looked at before the key is made.
fn large_secret_key() -> Vec<u8> {
    const EPOCHS: usize = 1 << 17;
    const BYTES: usize = 32;
    let id = "leansig-p2-l32-top-v64-w8";
    let (prf_key, parameter) = (SEED, [0; 20]);
    let scheme = Scheme::by_id(id).unwrap();
    let (reference, kernel) = (
        Reference::new(id, &parameter),
        scheme.kernel(&keymill::Parameter::of(&parameter)),
    );
    let mut nodes = vec![0; EPOCHS * BYTES];
    for epoch in [0, EPOCHS / 2] {
        nodes[epoch * BYTES..][..BYTES].copy_from_slice(&reference.leaf(&prf_key, epoch as u32));
    }
    let mut layers = Vec::new();
    for level in 0..=scheme.log_lifetime() {
        nodes.resize(nodes.len().max(2 * BYTES), 0);
        layers.push((0, nodes.chunks(BYTES).map(<[u8]>::to_vec).collect()));
        let mut parents = vec![0; nodes.len() / 2];
        if level < scheme.log_lifetime() {
            kernel.parents(Level(level + 1), NodeIndex(0), &nodes, &mut parents);
        }
        nodes = parents;
    }
    let tree = Tree {
        lowest_level: 0,
        layers,
    };
    secret_key_ssz(&reference, &prf_key, (0, EPOCHS as u64), &tree)
}

#[test]
fn the_nodes_of_an_imported_file_are_registered_and_are_planned_into_the_budget() {
    let place = Place::new();
    let ssz = large_secret_key();
    place.file("large.ssz", &ssz);
    let least = |line: &str| {
        // Room to read the file in, but not for so many workers.
        let line = format!("{line} --threads 200 --memory 40M --trace-memory trace");
        let refused = place.run(&line).exits(4).prints_nothing();
        let refused = refused.says(&["a memory budget of 41943040 bytes", "bytes are the least that works"]);
        nothing_was_made(&place);
        let report = report(&place, "trace");
        fs::remove_file(place.path("trace")).unwrap();
        (refused.figures().into_iter().max().unwrap(), report)
    };
    let (of_keygen, _) = least("keygen key --scheme leansig-p2-l32-top-v64-w8 --epochs 2^17");
    let (of_import, report) = least("import key --from large.ssz");
    // Three quarters of a budget are planned with; the file has a few numbers beside its nodes.
    let held_bytes = (of_import - of_keygen) * 3 / 4;
    assert!(held_bytes.abs_diff(ssz.len() as u64) < 4096, "{held_bytes}");
    assert_eq!(report["clean"], true, "{report:#}");
    let registered_bytes = report["types"]["cache"]["peak_bytes"].as_u64().unwrap();
    assert!(registered_bytes.abs_diff(held_bytes) < 2, "{report:#}");
}

/// A real trace of some lines.
fn trace_of_a_path(place: &Place) -> Vec<String> {
    finished_key(place, TINY);
    traced(place, "path key --epoch 0", "trace").exits(0);
    let text = fs::read_to_string(place.path("trace")).unwrap();
    text.lines().map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_trace_that_contradicts_itself_is_told_apart() {
    let place = Place::new();
    let lines = trace_of_a_path(&place);
    let (first, last) = (lines[0].as_str(), lines[lines.len() - 1].as_str());
    let all = lines.concat();
    for (trace, contradiction) in [
        (format!("{first}{all}"), "line 2: id 1 was allocated twice"),
        (format!("{all}{last}"), "id 1 was dropped twice"),
        (
            format!("{all}{}", last.replace("\"id\":1,", "\"id\":999,")),
            "id 999 was dropped without having been allocated",
        ),
        (
            all.replace(last, &last.replace("thread", "cache")),
            "id 1 was dropped with another type",
        ),
    ] {
        place.file("doctored", &trace);
        place.run("memory-report doctored").exits(1).prints(&[contradiction]);
        assert_eq!(report(&place, "doctored")["contradiction_count"], 1);
    }
    // In a log, among other lines.
    place.file("log", all.replace("@{", "some program: this and that\n@{"));
    assert_eq!(report(&place, "log")["events"], lines.len());
    // Cut off in the midst of a line.
    place.file("torn", &all[..all.len() - 20]);
    let torn = place.run("memory-report torn").exits(1);
    torn.prints(&["is not whole", "left: 1 thread of src/cli/trace.rs:"]);
    for wrong in [
        String::new(),
        first[..first.len() - 20].to_owned(),
        "some text\n".to_owned(),
        all.replace("\"id\":1,", "\"id\":\"one\","),
    ] {
        place.file("wrong", &wrong);
        place
            .run("memory-report wrong")
            .exits(2)
            .says(&["wrong"])
            .prints_nothing();
    }
    for (name, call) in [("nothing", "open"), (".", "read"), ("torn/trace", "open")] {
        let named = format!("{call} on '{name}' failed");
        place.run(&format!("memory-report {name}")).exits(2).says(&[&named]);
    }
}

#[test]
fn what_a_trace_says_of_places_cannot_command_a_terminal() {
    let place = Place::new();
    let lines = trace_of_a_path(&place);
    let doctored = lines[0].replace("src/", "\\u001b[2J");
    assert!(doctored != lines[0]);
    place.file("doctored", doctored);
    let outcome = place.run("memory-report doctored").exits(1).prints(&["[2J"]);
    assert!(!outcome.stdout.contains(&0x1b), "{}", outcome.all());
}

#[test]
fn a_trace_is_a_new_file_for_its_owner_alone() {
    let place = Place::new();
    place.file("kept", "kept");
    symlink("elsewhere", place.path("link")).unwrap();
    for name in ["kept", "link", "."] {
        traced(&place, "schemes", name)
            .exits(2)
            .says(&[name, "is there already"])
            .prints_nothing();
    }
    assert_eq!(fs::read_to_string(place.path("kept")).unwrap(), "kept");
    assert!(!place.path("elsewhere").exists());
    traced(&place, "schemes", "no-such-folder/trace")
        .exits(4)
        .says(&["no-such-folder/trace"]);
    traced(&place, "schemes", "trace").exits(0);
    let mode = fs::metadata(place.path("trace")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_trace_that_cannot_be_written_to_its_end_is_a_failure_of_the_machine() {
    let place = Place::new();
    finished_key(&place, TINY);
    for (line, code) in [
        ("path key --epoch 0", 4),
        ("check key", 4),
        ("path key --epoch 99999", 2),
    ] {
        let mut limited = Command::new("prlimit");
        limited.arg("--fsize=1000");
        let Some(outcome) = place.run_under(limited, &[], &format!("{line} --trace-memory trace")) else {
            return skip("there is no prlimit");
        };
        outcome.exits(code).says(&["write on 'trace' failed"]);
        assert_eq!(report(&place, "trace")["clean"], false);
        fs::remove_file(place.path("trace")).unwrap();
    }
}

#[test]
fn a_check_takes_the_threads_and_the_memory_that_it_is_told() {
    let place = Place::new();
    finished_key(&place, LONG);
    let arenas = |line: &str, trace: &str| {
        traced(&place, line, trace).exits(0);
        let text = fs::read_to_string(place.path(trace)).unwrap();
        let is_arena = |line: &&str| line.contains("\"ALLOCATE\"") && line.contains("\"arena\"");
        text.lines().filter(is_arena).count()
    };
    assert_eq!(arenas("check key --deep --threads 3", "three"), 3);
    assert_eq!(arenas("check key --deep --threads 1 --memory 64M", "one"), 1);
    place
        .run("check key --deep --memory 1M")
        .exits(4)
        .says(&["--memory", "1048576"]);
    // Like any other command, from the settings too.
    place
        .run_with(&[("KEYMILL_MEMORY", "1M")], "check key")
        .exits(4)
        .says(&["1048576"]);
}
