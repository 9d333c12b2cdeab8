//! docs/JSON.md against what the commands print, both ways.

mod documented;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use documented::{Comparison, documented};
use rustix::process::Signal;
use serde_json::Value;

use super::fixtures::{
    LONG, MESSAGE, SEED, SMALL_GROUPS, TINY, finished_key, flip_byte, set_back_to_version_0, unfinished_key,
};
use super::help::commands;
use super::program::Place;
use super::sets::small;
use super::sets_of_leanvm::line as of_leanvm;
use keymill_reference::leanvm::Variant;

/// Where the first node is in a layer file.
const HEADER_BYTES: u64 = 4096;

/// Objects that commands printed, by what was typed.
#[derive(Default)]
struct Shown(BTreeMap<String, Vec<Value>>);

impl Shown {
    fn note(&mut self, name: &str, value: Value) {
        self.0.entry(name.to_owned()).or_default().push(value);
    }

    /// Runs `keymill` with a command, its operands, and the flag that stands in the command's title.
    fn run(&mut self, place: &Place, name: &str, operands: &str, code: i32) -> Value {
        let (command, flag) = name.split_once(" --").unwrap();
        let outcome = place.run(&format!("{command} {operands} --{flag}")).exits(code);
        let value = outcome.json();
        // Numbers aside: a fraction does not always come back with the same digits.
        let bytes = |text: &str| text.bytes().filter(|byte| !byte.is_ascii_digit()).count();
        let as_short = value.to_string();
        assert_eq!(
            bytes(&outcome.line()),
            bytes(&as_short),
            "one line, without blanks between its parts: {as_short}"
        );
        self.note(name, value.clone());
        value
    }

    /// Notes the lines of standard error of a job, or of a set.
    fn note_progress(&mut self, command: &str, lines: &str) {
        for line in lines.lines() {
            let value: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no object: {line}"));
            let name = match value.get("phase") {
                Some(_) => format!("{command} --progress json"),
                None => "Messages beside progress".to_owned(),
            };
            self.note(&name, value);
        }
    }
}

fn a_key_of_one_batch(shown: &mut Shown) {
    let place = Place::new();
    let public_key = finished_key(&place, TINY);
    shown.run(&place, "keygen --json", "key", 0);
    shown.run(&place, "keygen --json", &format!("other --scheme {TINY} --memory 0"), 0);
    shown.run(
        &place,
        "keygen --json",
        &format!("third --scheme {TINY} --memory 64M"),
        0,
    );
    shown.run(&place, "plan --json", "--memory 64M", 0);
    shown.run(&place, "plan --json", "--memory 0", 0);
    shown.run(&place, "plan --json", "--part-epochs 2^20", 0);
    shown.run(&place, "schemes --json", "", 0);
    shown.run(&place, "status --json", "key", 0);
    shown.run(&place, "public-key --format json", "key", 0);
    shown.run(&place, "path --format json", "key --epoch 3", 0);
    shown.run(&place, "migrate --json", "key", 0);
    let sign = format!("key --epoch 3 --message {MESSAGE}");
    let signature = shown.run(&place, "sign --format json", &sign, 0);
    let signature = signature["signature"].as_str().unwrap();
    for (epoch, code) in [(3, 0), (4, 1)] {
        let what = format!("--scheme {TINY} --public-key {public_key} --message {MESSAGE} --signature {signature}");
        shown.run(&place, "verify --json", &format!("{what} --epoch {epoch}"), code);
    }
    place.run("status key --trace-memory trace").exits(0);
    shown.run(&place, "memory-report --json", "trace", 0);
    let trace = fs::read_to_string(place.path("trace")).unwrap();
    let allocated = trace.lines().find(|line| line.contains("ALLOCATE")).unwrap();
    place.file(
        "trace",
        format!("{allocated}\n{allocated}\n{}", &allocated[..allocated.len() - 9]),
    );
    shown.run(&place, "memory-report --json", "trace", 1);
}

fn ledgers(shown: &mut Shown) {
    let place = Place::new();
    place.file("seed", super::fixtures::SEED);
    place
        .run(&format!("keygen key --scheme {TINY} --seed-file seed"))
        .exits(0);
    shown.run(&place, "ledger show --json", "key", 1);
    let copied = Command::new("cp")
        .arg("-a")
        .args([place.path("key"), place.path("copy")])
        .status();
    assert!(copied.unwrap().success());
    shown.run(&place, "ledger init --json", "key --first-epoch 0", 0);
    place.run("ledger init copy --first-epoch 50").exits(0);
    place.run(&format!("sign key --epoch 60 --message {MESSAGE}")).exits(0);
    place
        .run(&format!("sign copy --epoch 60 --message {}", "00".repeat(32)))
        .exits(0);
    place.run("ledger export copy --out copy.json").exits(0);
    shown.run(&place, "ledger import --json", "key copy.json", 1);
    shown.run(&place, "ledger import --json", "copy copy.json", 0);
    // Of each side that does not know a message, an epoch.
    let text = fs::read_to_string(place.path("copy.json")).unwrap();
    let (before, rest) = text.split_once("\"message_digest\":\"").unwrap();
    place.file("null.json", format!("{before}\"message_digest\":null{}", &rest[65..]));
    place
        .run(&format!("keygen third --scheme {TINY} --seed-file seed"))
        .exits(0);
    place.run("ledger import third null.json").exits(0);
    shown.run(&place, "ledger import --json", "copy null.json", 0);
    shown.run(&place, "ledger import --json", "third copy.json", 0);
    shown.run(&place, "ledger show --json", "key", 0);
    // Nobody opens it for reading: the signer waits, and holds the key.
    assert!(
        Command::new("mkfifo")
            .arg(place.path("pipe"))
            .status()
            .unwrap()
            .success()
    );
    let mut signer = place.start(&[], &format!("sign key --epoch 61 --message {MESSAGE} --out pipe"));
    let has_writer = |value: &Value| !value["writer"].is_null();
    while !has_writer(&shown.run(&place, "ledger show --json", "key", 0)) {
        assert!(signer.is_running(), "{}", signer.end().0.all());
    }
    fs::read(place.path("pipe")).unwrap();
    signer.end().0.exits(0);
    fs::create_dir(place.path("set")).unwrap();
    fs::rename(place.path("key"), place.path("set/key")).unwrap();
    shown.run(&place, "ledger move --json", "set/key --into set", 0);
    shown.run(&place, "ledger show --json", "set/key", 0);
    shown.run(&place, "ledger move --json", "set/key --out", 0);
    shown.run(&place, "ledger move --json", "set/key --out", 0);
    fs::remove_file(place.path("set/key/ledger.mark")).unwrap();
    shown.run(&place, "ledger show --json", "set/key", 1);
}

fn damage(shown: &mut Shown) {
    let place = Place::new();
    place
        .run(&format!("keygen key --scheme {LONG} --epochs 2048 --threads 1"))
        .exits(0);
    shown.run(&place, "check --json", "key", 0);
    shown.run(&place, "repair --json", "key", 0);
    flip_byte(&place.path("key/layers/00.nodes"), HEADER_BYTES);
    flip_byte(&place.path("key/layers/11.nodes"), HEADER_BYTES);
    fs::remove_file(place.path("key/layers/05.nodes")).unwrap();
    shown.run(&place, "check --json", "key", 1);
    fs::remove_file(place.path("key/layers/06.nodes")).unwrap();
    fs::create_dir(place.path("key/layers/06.nodes")).unwrap();
    fs::remove_dir_all(place.path("key/state")).unwrap();
    shown.run(&place, "repair --json", "key", 0);
    fs::write(place.path("key/state/CURRENT"), "no such file\n").unwrap();
    shown.run(&place, "repair --json", "key", 0);
    let level = fs::read(place.path("key/layers/00.nodes")).unwrap();
    shown.run(&place, "trim --json", "key --level 1", 0);
    place.file("key/layers/00.nodes", level);
    shown.run(&place, "check --json", "key", 0);
    shown.run(&place, "status --json", "key", 0);
    shown.run(&place, "trim --json", "key --level 1", 0);
}

fn keystores(shown: &mut Shown) {
    let place = Place::new();
    place.file("passphrase", "open sesame\n");
    fs::set_permissions(place.path("passphrase"), fs::Permissions::from_mode(0o600)).unwrap();
    finished_key(&place, TINY);
    let with = "--passphrase-file passphrase";
    shown.run(&place, "keystore seal --json", &format!("key {with}"), 0);
    shown.run(&place, "keystore open --json", &format!("key {with}"), 0);
    shown.run(&place, "keystore seal --json", &format!("key {with}"), 0);
    place
        .run(&format!("keystore export key --out elsewhere.json {with}"))
        .exits(0);
    for _ in 0..2 {
        let operands = format!("made --from elsewhere.json {with} --memory 64M");
        shown.run(&place, "keystore import --json", &operands, 0);
    }
    shown.run(
        &place,
        "keystore import --json",
        &format!("unbounded --from elsewhere.json {with} --memory 0"),
        0,
    );
}

fn a_key_in_parts(shown: &mut Shown) {
    let place = Place::new();
    place.file("seed", SEED);
    let split =
        "divided --scheme leanvm-blake2s-l32-ts-v42-w8 --epochs 3000 --seed-file seed --trim 10 --part-epochs 1024";
    shown.run(&place, "split --json", split, 0);
    let part = |index: u64| {
        format!("divided/ticket.toml --index {index} --secret-file divided/secret --work scratch --out parts")
    };
    let made = shown.run(&place, "part --json", &part(0), 0);
    assert_eq!(
        (&made["was_there"], &made["epochs_computed"]),
        (&false.into(), &1024.into())
    );
    assert_eq!(shown.run(&place, "part --json", &part(0), 0)["was_there"], true);
    let second = shown.run(&place, "part --json", &part(1), 0);
    let second = place.path(second["file"].as_str().unwrap());
    flip_byte(&second, 5000);
    let left = shown.run(&place, "join --json", "divided parts", 1);
    assert_eq!(left["missing"].as_array().unwrap().len(), 2, "{left}");
    assert_eq!(left["bad"].as_array().unwrap().len(), 1, "{left}");
    fs::remove_file(place.path("divided/ticket.toml")).unwrap();
    let left = shown.run(&place, "join --json", "divided parts", 1);
    assert_eq!(left["missing"][0]["index"], Value::Null, "{left}");
    place.run(&format!("split {split}")).exits(0);
    for index in [1, 2] {
        place.run(&format!("part {}", part(index))).exits(0);
    }
    assert_eq!(
        shown.run(&place, "join --json", "divided parts", 0)["was_sealed"],
        false
    );
    assert_eq!(shown.run(&place, "join --json", "divided parts", 0)["was_sealed"], true);
}

fn a_key_that_adopts_its_parts(shown: &mut Shown) {
    let place = Place::new();
    place.file("seed", SEED);
    let split = "split key --scheme leanvm-blake2s-l32-ts-v42-w8 --epochs 3000 --seed-file seed";
    let part = |index: u64, out: &str| {
        let line = "part key/ticket.toml --secret-file key/secret --work scratch";
        place.run(&format!("{line} --index {index} --out {out}")).exits(0);
    };
    place.run(&format!("{split} --part-epochs 1024")).exits(0);
    part(0, "parts");
    place.run("join key parts --adopt").exits(1);
    part(1, "parts");
    part(2, "parts");
    fs::remove_file(place.path("key/ticket.toml")).unwrap();
    place.run(&format!("{split} --parts 1")).exits(0);
    part(0, "whole");
    let left = shown.run(&place, "join --json", "key whole", 1);
    let overlapped = (
        &left["bad"][0]["overlaps_first_epoch"],
        &left["bad"][0]["overlaps_end_epoch"],
    );
    assert_eq!(overlapped, (&0.into(), &1024.into()), "{left}");
    let joined = shown.run(&place, "join --json", "key parts", 0);
    let file = place.path(joined["taken"][0]["file"].as_str().unwrap());
    flip_byte(&file, fs::metadata(&file).unwrap().len() - 1);
    shown.run(&place, "check --json", "key --deep", 1);
    let repaired = shown.run(&place, "repair --json", "key", 0);
    assert_eq!(repaired["parts_rewritten"].as_array().unwrap().len(), 1, "{repaired}");
    fs::remove_file(&file).unwrap();
    let repaired = shown.run(&place, "repair --json", "key", 0);
    assert_eq!(repaired["files_restored"][0]["level"], Value::Null, "{repaired}");
}

fn a_key_that_is_interrupted(shown: &mut Shown) {
    let place = Place::new();
    unfinished_key(&place, "2^16");
    let done = place.batches_done("key");
    shown.run(&place, "status --json", "key", 0);
    shown.run(&place, "report --json", "key", 0);
    flip_byte(&place.path("key/layers/00.nodes"), HEADER_BYTES);
    let mut running = place.start(&SMALL_GROUPS, "keygen key --threads 1 --progress json");
    // One that was done is damaged, so that with two more this run has committed.
    place.wait_for_batches("key", done + 2);
    shown.run(&place, "status --json", "key", 0);
    shown.run(&place, "report --json", "key", 0);
    // Killed, so that what was in flight is done again.
    running.signal(Signal::KILL);
    shown.note_progress("keygen", &running.end().0.stderr);
    let line = "keygen key --progress json --seed-file seed";
    shown.note_progress("keygen", &place.run(line).exits(0).stderr);
    shown.run(&place, "report --json", "key", 0);
}

fn sets(shown: &mut Shown) {
    let place = Place::new();
    let line = small(&place, "set", 2, "--export-format ssz --keep-dirs");
    let operands = line.strip_prefix("generate ").unwrap();
    shown.run(&place, "generate --json", operands, 0);
    shown.run(
        &place,
        "generate --json",
        &format!("{operands} --create-manifest false"),
        0,
    );
    let line = of_leanvm(&place, "leanvm", Variant::B0, 1, "");
    shown.run(&place, "generate --json", line.strip_prefix("generate ").unwrap(), 0);
    shown.run(&place, "verify-set --json", "leanvm", 0);
    let line = small(&place, "other", 8, "--start-index 2").replace("progress none", "progress json");
    shown.note_progress("generate", &place.run(&line).exits(0).stderr);
    shown.run(&place, "merge-sets --json", "set --out merged", 0);
    shown.run(&place, "verify-set --json", "merged", 0);
    let secret = place.path("merged/validator_0_proposer_key_sk.ssz");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    flip_byte(&secret, 0);
    shown.run(&place, "verify-set --json", "merged", 1);
    let public = place.path("merged/validator_0_proposer_key_pk.ssz");
    fs::remove_file(&public).unwrap();
    // A link to itself cannot be followed, whoever tries.
    symlink("validator_0_proposer_key_pk.ssz", &public).unwrap();
    shown.run(&place, "verify-set --json", "merged", 4);
}

fn a_key_of_an_older_format(shown: &mut Shown) {
    let place = Place::new();
    unfinished_key(&place, "4096");
    set_back_to_version_0(&place, "key");
    shown.run(&place, "migrate --json", "key --dry-run", 0);
    shown.run(&place, "migrate --json", "key", 0);
}

fn keys_from_elsewhere(shown: &mut Shown) {
    let place = Place::new();
    place.run(&format!("keygen key --scheme {TINY} --memory 64M")).exits(0);
    place.run("export key --format leansig-ssz --out key.ssz").exits(0);
    place.run("backup key --out text").exits(0);
    for _ in 0..2 {
        let operands = format!("imported --from key.ssz --scheme {TINY}");
        shown.run(&place, "import --json", &operands, 0);
        shown.run(&place, "restore --json", "restored --from text", 0);
    }
}

#[test]
fn what_is_documented_is_what_comes_out_and_the_other_way_round() {
    let documented = documented();
    let mut shown = Shown::default();
    a_key_of_one_batch(&mut shown);
    ledgers(&mut shown);
    damage(&mut shown);
    a_key_in_parts(&mut shown);
    a_key_that_adopts_its_parts(&mut shown);
    a_key_that_is_interrupted(&mut shown);
    a_key_of_an_older_format(&mut shown);
    sets(&mut shown);
    keys_from_elsewhere(&mut shown);
    keystores(&mut shown);
    let mut problems = Vec::new();
    for (name, values) in &shown.0 {
        let Some(fields) = documented.get(name) else {
            continue;
        };
        let mut comparison = Comparison {
            name,
            fields,
            seen: BTreeSet::new(),
            problems: BTreeSet::new(),
        };
        for value in values {
            comparison.look_at("", value);
        }
        comparison.look_for_all();
        problems.extend(
            comparison
                .problems
                .iter()
                .map(|problem| format!("keymill {name}: {problem}")),
        );
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let shown: BTreeSet<&String> = shown.0.keys().collect();
    let documented: BTreeSet<&String> = documented.keys().collect();
    assert_eq!(
        shown, documented,
        "every table of docs/JSON.md has cases in tests/keymill/command_line/json.rs: add some"
    );
}

#[test]
fn every_command_that_answers_in_json_has_a_table() {
    let documented = documented();
    for (command, help) in commands(&Place::new()) {
        let name = match () {
            () if command.is_empty()
                || help.contains("\nCommands:\n")
                || ["ledger export", "export", "backup", "keystore export", "serve"].contains(&command.as_str()) =>
            {
                continue;
            }
            () if help.contains("      --json") => format!("{command} --json"),
            () if help.contains("- json") || help.contains(", json") => format!("{command} --format json"),
            () => panic!("'keymill {command}' has no --json"),
        };
        assert!(
            documented.contains_key(&name),
            "docs/JSON.md has no '## `keymill {name}`' with a table of its fields: add it, and cases to \
             tests/keymill/command_line/json.rs"
        );
    }
}
