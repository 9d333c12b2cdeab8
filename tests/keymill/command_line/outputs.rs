//! The forms of what is printed, and files instead of standard output.

use super::fixtures::{LONG, MESSAGE, TINY, changing_nothing, finished_key, flip_byte, nothing_was_made};
use super::program::Place;
use keymill_reference::params;

/// Standard output, and the same through `--out`.
fn bytes_of(place: &Place, line: &str) -> Vec<u8> {
    let printed = place.run(line).exits(0).stdout;
    place.run(&format!("{line} --out out")).exits(0).prints_nothing();
    assert_eq!(std::fs::read(place.path("out")).unwrap(), printed, "{line}");
    printed
}

fn one_line_of_hex(bytes: &[u8]) -> Vec<u8> {
    let line = std::str::from_utf8(bytes).unwrap().strip_suffix('\n').unwrap();
    hex::decode(line).unwrap()
}

#[test]
fn the_public_key_comes_in_three_forms_and_into_a_file() {
    let place = Place::new();
    let public_key = finished_key(&place, TINY);
    let ssz = bytes_of(&place, "public-key key --format ssz");
    assert_eq!(hex::encode(&ssz), public_key);
    assert_eq!(one_line_of_hex(&bytes_of(&place, "public-key key --format hex")), ssz);
    assert_eq!(one_line_of_hex(&bytes_of(&place, "public-key key")), ssz);
    let json: serde_json::Value = serde_json::from_slice(&bytes_of(&place, "public-key key --format json")).unwrap();
    let (root, parameter) = ssz.split_at(ssz.len() - 20);
    assert_eq!(json["scheme"], TINY);
    assert_eq!(json["public_key"], public_key);
    assert_eq!(json["root"], hex::encode(root));
    assert_eq!(json["parameter"], hex::encode(parameter));
}

#[test]
fn a_signature_comes_in_three_forms_and_into_a_file() {
    let place = Place::new();
    finished_key(&place, TINY);
    let line = format!("sign key --epoch 255 --message 0x{MESSAGE}");
    let ssz = bytes_of(&place, &format!("{line} --format ssz"));
    assert_eq!(one_line_of_hex(&bytes_of(&place, &format!("{line} --format hex"))), ssz);
    assert_eq!(one_line_of_hex(&bytes_of(&place, &line)), ssz);
    let json = bytes_of(&place, &format!("{line} --format json"));
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["scheme"], TINY);
    assert_eq!(json["epoch"], 255);
    assert_eq!(json["message"], MESSAGE);
    assert_eq!(json["signature"], hex::encode(&ssz));
}

#[test]
fn many_paths_come_one_a_line_and_in_order() {
    let place = Place::new();
    finished_key(&place, TINY);
    let path_bytes = usize::from(params(TINY).h) * params(TINY).digest_len();
    let single = |epoch: u64, form: &str| {
        place
            .run(&format!("path key --epoch {epoch} --format {form}"))
            .exits(0)
            .stdout
    };
    for form in ["json", "hex", "ssz"] {
        let several = bytes_of(&place, &format!("path key --epoch 250 --count 6 --format {form}"));
        let expected: Vec<u8> = (250..256).flat_map(|epoch| single(epoch, form)).collect();
        assert_eq!(several, expected, "{form}");
    }
    let all = bytes_of(&place, "path key --epoch 0 --count 2^8 --format ssz");
    assert_eq!(all.len(), 256 * path_bytes);
}

#[test]
fn a_file_stays_as_it_was_if_the_output_is_not_complete() {
    let place = Place::new();
    finished_key(&place, TINY);
    let directory = place.path("");
    let entries = || std::fs::read_dir(&directory).unwrap().count();
    place.file("out", "what was there");
    let before = entries();
    // The last epochs' leaves, so that most of the output has been written by then.
    flip_byte(&place.path("key/layers/00.nodes"), 4096 + 250 * 32);
    let line = "path key --epoch 0 --count 256 --out out";
    place.run(line).exits(3).prints_nothing();
    assert_eq!(std::fs::read(place.path("out")).unwrap(), b"what was there");
    assert_eq!(entries(), before);
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let place = Place::new();
    finished_key(&place, TINY);
    let outcome = place.run("public-key key --out no/such/file").exits(2).prints_nothing();
    outcome.says(&["'no/such/file'", "cannot be written"]);
}

#[test]
fn keygen_prints_the_public_key_alone_however_progress_is_shown() {
    for style in ["auto", "bar", "plain", "json", "none"] {
        let place = Place::new();
        let line = format!("keygen key --scheme {TINY} --progress {style}");
        let public_key = place.run(&line).exits(0).line();
        assert_eq!(place.run("public-key key").exits(0).line(), public_key, "{style}");
    }
}

#[test]
fn progress_in_json_is_one_object_a_line_on_standard_error() {
    let place = Place::new();
    let outcome = place
        .run(&format!(
            "keygen key --scheme {LONG} --epochs 256 --progress json --json"
        ))
        .exits(0);
    let lines: Vec<serde_json::Value> = outcome
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &serde_json::Value| line.get("message").is_none())
        .collect();
    let last = lines.last().expect("at least the last state is shown");
    assert_eq!(last["epochs"], 1024);
    assert_eq!(last["epochs_committed"], 1024);
    let summary = outcome.json();
    assert_eq!(summary["was_sealed"], false);
    assert_eq!(summary["epochs_computed"], 1024);
    assert_eq!(summary["scheme"], LONG);
}

#[test]
fn plan_writes_nothing() {
    let place = Place::new();
    changing_nothing(&place, || {
        for line in [
            "plan",
            "plan key",
            "plan key --json",
            "plan key --epochs 2^32",
            "plan key --epochs 2^32 --parts 10000",
        ] {
            place.run(line).exits(0);
        }
    });
    nothing_was_made(&place);
}

#[test]
fn plan_shows_what_was_asked_for_and_what_will_be_stored() {
    let place = Place::new();
    let line = format!("plan --scheme {LONG} --activation-epoch 1000 --epochs 3000 --threads 3");
    let facts = [LONG, "3000 epochs from 1000", "3584 epochs, [512, 4096)"];
    place.run(&line).exits(0).prints(&facts);
    place
        .run(&format!("{line} -v"))
        .exits(0)
        .prints(&facts)
        .prints(&["3 threads"]);
    let plan = place.run(&format!("{line} --json")).exits(0).json();
    for (name, value) in [
        ("activation_epoch", 1000),
        ("active_epochs", 3000),
        ("stored_start", 512),
        ("stored_end", 4096),
        ("batches", 4),
        ("threads", 3),
        ("public_key_bytes", 48),
    ] {
        assert_eq!(plan[name], value, "{name} in {plan}");
    }
}

#[test]
fn plan_names_the_very_bytes_that_keygen_writes() {
    let place = Place::new();
    finished_key(&place, LONG);
    let plan = place
        .run(&format!("plan --scheme {LONG} --epochs 256 --json"))
        .exits(0)
        .json();
    let mut total = 0;
    for level in plan["levels"].as_array().unwrap() {
        let name = format!("key/layers/{:02}.nodes", level["level"].as_u64().unwrap());
        let length = std::fs::metadata(place.path(&name)).unwrap().len();
        assert_eq!(level["file_bytes"], length, "{name}");
        total += length;
    }
    assert_eq!(plan["layer_bytes"], total);
    assert_eq!(plan["levels"].as_array().unwrap().len(), 19);
    let occupied = place.status("key").unwrap()["disk_bytes"].as_u64().unwrap();
    assert!(
        plan["disk_bytes"].as_u64().unwrap() >= occupied,
        "{plan} but {occupied}"
    );
}

#[test]
fn how_full_the_arenas_were_is_told_at_the_end_and_remembered() {
    let place = Place::new();
    let made = place
        .run(&format!("keygen key --scheme {LONG} --epochs 256 --json -v"))
        .exits(0);
    let (told, status) = (made.json(), place.status("key").unwrap());
    let figures = ["arena_high_water_bytes", "arena_capacity_bytes"].map(|name| {
        assert_eq!(told[name], status[name], "{name}");
        told[name].as_u64().unwrap()
    });
    let [high_water, capacity] = figures;
    assert!(0 < high_water && high_water <= capacity, "{figures:?}");
    made.says(&[&format!("arenas filled to {high_water} of {capacity} bytes")]);
    // Nothing is computed, so nothing is told; what is remembered stays.
    let again = place.run("keygen key --json").exits(0).json();
    assert!(again["arena_high_water_bytes"].is_null(), "{again}");
    assert_eq!(place.status("key").unwrap()["arena_high_water_bytes"], high_water);
}

#[test]
fn help_and_version_are_no_errors() {
    let place = Place::new();
    place.run("--version").exits(0).prints(&[env!("CARGO_PKG_VERSION")]);
    place
        .run("--help")
        .exits(0)
        .prints(&["Exit codes:\n  0    done", "keygen", "verify"]);
    place.run("keygen --help").exits(0).prints(&["--seed-file", "--memory"]);
}

#[test]
fn no_output_is_written_over_the_files_of_a_key() {
    let place = Place::new();
    place.run(&format!("keygen key --scheme {TINY}")).exits(0);
    std::os::unix::fs::symlink(place.path("key/secret"), place.path("link")).unwrap();
    let sign = format!("sign key --epoch 3 --message {MESSAGE}");
    let outs = [
        "key/secret",
        "key/new",
        "key/layers/00.nodes",
        "key/state/CURRENT",
        "link",
    ];
    for out in outs {
        for line in [
            sign.as_str(),
            "public-key key",
            "path key --epoch 1",
            "ledger export key",
        ] {
            let refused = place.run(&format!("{line} --out {out}")).exits(2).prints_nothing();
            refused.says(&["--out", "key directory"]);
        }
    }
    // Nothing was spent on a signature that nobody could get.
    place.run("ledger show key --json").exits(0).prints(&["\"spent\":0"]);
    place.run("check key").exits(0);
}

#[test]
fn a_signature_that_nobody_takes_is_a_failure_and_is_had_by_asking_again() {
    let place = Place::new();
    place.run(&format!("keygen key --scheme {TINY}")).exits(0);
    let line = format!("sign key --epoch 3 --message {MESSAGE}");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = place.command(&line).stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("same message again"));
    place.run(&line).exits(0);
}
