//! One past for all that has the same one-time keys: directories, copies, files of other programs, keys of the same secret.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::fixtures::{PARAMETER, SEED, TINY, changing_nothing};
use super::ledger::{fresh_key, message, sign, status};
use super::program::{Outcome, Place};

const TWIN: &str = "hashsig-p2-l18-ts-v78-w4";

fn sign_in(place: &Place, directory: &str, epoch: u64, number: u64) -> Outcome {
    place.run(&format!(
        "sign {directory} --epoch {epoch} --message {}",
        message(number)
    ))
}

/// Puts files of `key` alone into an empty directory, with their modes.
fn only(place: &Place, names: &[&str], directory: &str) {
    fs::create_dir(place.path(directory)).unwrap();
    for name in names {
        fs::copy(place.path("key").join(name), place.path(directory).join(name)).unwrap();
    }
}

#[test]
fn a_copy_of_secret_and_mark_of_a_key_that_exists_makes_a_key_with_an_unknown_past() {
    let place = Place::new();
    fresh_key(&place);
    let made = fs::read_to_string(place.path("key/ledger.mark")).unwrap();
    assert!(made.contains("\nstage begun\n"), "{made}");
    only(&place, &["secret", "ledger.mark"], "copy");
    // As a creation leaves it that is killed before the manifest: then nobody has signed.
    let creating = made.replace("stage begun", "stage creating");
    let body = creating.split("checksum").next().unwrap();
    let checksum = hex::encode(<sha3::Sha3_256 as sha3::Digest>::digest(body));
    only(&place, &["secret"], "killed");
    place.file("killed/ledger.mark", format!("{body}checksum {checksum}\n"));
    // And as format version 2 had it, which does not tell the one from the other.
    let old = made.replace("stage begun\n", "").replace("mark 2", "mark 1");
    let body = old.split("checksum").next().unwrap();
    let checksum = hex::encode(<sha3::Sha3_256 as sha3::Digest>::digest(body));
    only(&place, &["secret"], "old");
    place.file("old/ledger.mark", format!("{body}checksum {checksum}\n"));
    sign(&place, 3, 1).exits(0);
    for directory in ["copy", "old"] {
        let line = format!("keygen {directory} --scheme {TINY}");
        place
            .run(&line)
            .exits(0)
            .says(&["may have signed elsewhere", "ledger init"]);
        assert_eq!(place.status(directory).unwrap()["origin"], "seed");
        sign_in(&place, directory, 3, 2)
            .exits(3)
            .prints_nothing()
            .says(&["ledger init"]);
        sign_in(&place, directory, 4, 2).exits(3).prints_nothing();
        place.run(&format!("ledger init {directory} --first-epoch 4")).exits(0);
        sign_in(&place, directory, 3, 2).exits(3).prints_nothing();
        sign_in(&place, directory, 4, 2).exits(0);
    }
    let killed = place.run(&format!("keygen killed --scheme {TINY}")).exits(0);
    assert!(!killed.stderr.contains("elsewhere"), "{}", killed.all());
    sign_in(&place, "killed", 3, 1).exits(0);
    // A copy of the key that has signed has lost its manifest.
    only(&place, &["secret", "ledger.mark"], "signed");
    place.run(&format!("keygen signed --scheme {TINY}")).exits(3);
}

#[test]
fn a_secret_leaves_no_key_that_goes_on_signing() {
    for (line, others) in [
        ("export key --format leansig-ssz --out file", ""),
        ("export key --format leansig-json --out file", ""),
        ("export key --format leanspec-json --out file", ""),
        ("export key --format leanspec-json --out file --with other", "other"),
    ] {
        let place = Place::new();
        fresh_key(&place);
        place.run(&format!("keygen other --scheme {TINY}")).exits(0);
        sign(&place, 3, 1).exits(0);
        let outcome = place.run(line).exits(0);
        outcome.says(&["warning", "more than one place", "ledger init key --first-epoch N"]);
        for directory in ["key", others].iter().filter(|name| !name.is_empty()) {
            let refused = sign_in(&place, directory, 9, 1).exits(3).prints_nothing();
            refused.says(&["exported", "ledger init"]);
        }
        let shown = place.run("ledger show key --json").exits(1).json();
        assert_eq!((&shown["state"], &shown["spent"]), (&"no-history".into(), &1.into()));
        place.run("check key").exits(0);
        // What is listed stays spent, and the same message gives the same bytes.
        sign(&place, 3, 1).exits(0);
        sign(&place, 3, 2).exits(1);
        place.run("ledger init key --first-epoch 9").exits(0);
        sign(&place, 8, 1).exits(3);
        sign(&place, 9, 1).exits(0);
    }
    // A backup cannot sign before it is restored.
    let place = Place::new();
    fresh_key(&place);
    place
        .run("backup key --out text")
        .exits(0)
        .says(&["warning", "more than one place"]);
    sign(&place, 3, 1).exits(0);
}

#[test]
fn nothing_is_exported_of_a_key_that_cannot_be_told() {
    let place = Place::new();
    fresh_key(&place);
    let line = "export key --format leansig-ssz --out file";
    let lock = fs::File::open(place.path("key/LOCK")).unwrap();
    lock.lock().unwrap();
    changing_nothing(&place, || {
        place.run(line).exits(3).says(&["'key/LOCK'", "nothing was exported"]);
    });
    drop(lock);
    // Put back later, the mark would vouch again.
    fs::rename(place.path("key/ledger.mark"), place.path("mark")).unwrap();
    changing_nothing(&place, || {
        let refused = place.run(line).exits(3);
        refused.says(&[
            "'key/ledger.mark' is missing",
            "ledger init key --first-epoch N",
            "nothing was exported",
        ]);
    });
    place.run("ledger init key --first-epoch 0").exits(0);
    place.run(line).exits(0);
    sign(&place, 3, 1).exits(3).prints_nothing();
    // Whoever need not be told is not asked: a signer may hold what signs nothing.
    let lock = fs::File::open(place.path("key/LOCK")).unwrap();
    lock.lock().unwrap();
    place.run("export key --format leansig-ssz").exits(0);
}

#[test]
fn whoever_brings_the_secret_of_a_key_that_is_there_ends_its_known_history() {
    let place = Place::new();
    fresh_key(&place);
    place.run("export key --format leansig-ssz --out file").exits(0);
    place.run("ledger init key --first-epoch 0").exits(0);
    let secret = fs::read_to_string(place.path("key/secret")).unwrap();
    let seed = secret.trim_end().rsplit(' ').next().unwrap();
    place.file("own-seed", seed);
    fs::set_permissions(place.path("own-seed"), fs::Permissions::from_mode(0o600)).unwrap();
    for (number, line) in [
        "import key --from file".to_owned(),
        format!("keygen key --scheme {TINY} --seed-file own-seed"),
    ]
    .iter()
    .enumerate()
    {
        sign(&place, number as u64, 1).exits(0);
        let told = ["warning", "may have signed", "ledger init key --first-epoch N"];
        place.run(line).exits(0).says(&told);
        sign(&place, 200, 1).exits(3).prints_nothing();
        sign(&place, number as u64, 1).exits(0);
        // As it is told, nothing needs to be written.
        changing_nothing(&place, || place.run(line).exits(0));
        place.run("ledger init key --first-epoch 0").exits(0);
    }
    // A key of a given seed is made by the same command as often as one likes.
    place.file("seed", SEED);
    let line = format!("keygen given --scheme {TINY} --seed-file seed");
    place.run(&line).exits(0).says(&["warning", "more than one place"]);
    place.run("ledger init given --first-epoch 0").exits(0);
    let again = place.run(&line).exits(0);
    assert!(!again.stderr.contains("more than one place"), "{}", again.stderr);
    sign_in(&place, "given", 3, 1).exits(0);
}

#[test]
fn what_one_key_of_a_secret_has_signed_is_spent_for_every_other_that_imports_its_history() {
    let seed = "--seed-file seed".to_owned();
    let prf_key = format!("--prf-key-file seed --parameter {PARAMETER}");
    for (key, other, spent) in [
        // Other intervals; of the longer one, epochs that the shorter one does not have.
        (
            format!("{TINY} --epochs 256 {seed}"),
            format!("{TINY} --epochs 32 {seed}"),
            [3, 40],
        ),
        (
            format!("{TINY} --epochs 32 {prf_key}"),
            format!("{TINY} --epochs 256 {prf_key}"),
            [3, 9],
        ),
        (
            format!("{TINY} --activation-epoch 64 --epochs 64 {seed}"),
            format!("{TINY} --epochs 96 {seed}"),
            [70, 100],
        ),
        // Other schemes of the same trees.
        (
            format!("{TWIN} --epochs 1024 {seed}"),
            format!("{TWIN}-off10 --epochs 1024 {seed}"),
            [3, 9],
        ),
    ] {
        let place = Place::new();
        place.file("seed", SEED);
        place.run(&format!("keygen key --scheme {key}")).exits(0);
        place.run(&format!("keygen other --scheme {other}")).exits(0);
        place.run("ledger init key --first-epoch 2").exits(0);
        for epoch in spent {
            sign(&place, epoch, 1).exits(0);
        }
        place.run("ledger export key --out ledger").exits(0);
        let report = place.run("ledger import other ledger --json").exits(0).json();
        let outside = spent.iter().filter(|&&epoch| epoch == 40 || epoch == 100).count() as u64;
        assert_eq!(
            (&report["added"], &report["outside"]),
            (&(2 - outside).into(), &outside.into()),
            "{other}"
        );
        let refused = place.run("ledger init other --first-epoch 1").exits(3);
        refused.says(&["use 2 or more"]);
        place.run("ledger init other --first-epoch 2").exits(0);
        sign_in(&place, "other", spent[0], 2).exits(1).prints_nothing();
    }
}

#[test]
fn a_history_of_other_one_time_keys_is_not_taken_for_one_of_these() {
    let place = Place::new();
    place.file("seed", SEED);
    fresh_key(&place);
    let other = PARAMETER.replacen("01", "02", 1);
    for (directory, asked) in [
        ("given", "--seed-file seed".to_owned()),
        ("prf", format!("--prf-key-file seed --parameter {PARAMETER}")),
        ("parameter", format!("--prf-key-file seed --parameter {other}")),
    ] {
        place
            .run(&format!("keygen {directory} --scheme {TINY} {asked}"))
            .exits(0);
        place
            .run(&format!("ledger export {directory} --out {directory}.json"))
            .exits(0);
    }
    for (directory, file) in [("key", "given.json"), ("prf", "given.json"), ("prf", "parameter.json")] {
        changing_nothing(&place, || {
            let refused = place.run(&format!("ledger import {directory} {file}")).exits(3);
            refused.says(&["is not a ledger of the key", "fingerprint"]);
        });
    }
}

#[test]
fn a_beginning_and_an_import_come_to_the_same_ledger_in_either_order() {
    let made = || {
        let place = Place::new();
        place.file("seed", SEED);
        for directory in ["key", "first", "second"] {
            place
                .run(&format!("keygen {directory} --scheme {TINY} --seed-file seed"))
                .exits(0);
        }
        place.run("ledger init key --first-epoch 30").exits(0);
        sign(&place, 100, 1).exits(0);
        place.run("ledger export key --out ledger").exits(0);
        place
    };
    let place = made();
    place.run("ledger import first ledger").exits(0);
    place.run("ledger init first --first-epoch 50").exits(0);
    place.run("ledger init second --first-epoch 50").exits(0);
    place.run("ledger import second ledger").exits(0);
    let shown = |directory: &str| {
        let mut shown = place.run(&format!("ledger show {directory} --json")).exits(0).json();
        shown["marked"] = Value::Null;
        shown
    };
    assert_eq!(shown("first"), shown("second"));
    assert_eq!(
        (&shown("first")["first_epoch"], &shown("first")["spent"]),
        (&50.into(), &1.into())
    );
    assert_eq!(
        fs::read(place.path("first/ledger.mark")).unwrap(),
        fs::read(place.path("second/ledger.mark")).unwrap()
    );
}

#[test]
fn a_key_of_which_no_epoch_is_left_is_used_up_and_says_so_everywhere() {
    let used_up = |place: &Place| {
        assert_eq!(place.run("ledger show key --json").exits(1).json()["state"], "used-up");
        place.run("ledger show key").exits(1).prints(&["used-up", "used up"]);
        place.run("check key").exits(0);
        place.run("ledger export key").exits(0);
    };
    // By an import, whose first epoch is the end of this key or beyond.
    for first_epoch in ["256", "257", "4294967296"] {
        let place = Place::new();
        fresh_key(&place);
        let exported = String::from_utf8(place.run("ledger export key").exits(0).stdout).unwrap();
        let from = "\"first_epoch\":\"0\"";
        assert!(exported.contains(from));
        place.file(
            "ledger",
            exported.replace(from, &format!("\"first_epoch\":\"{first_epoch}\"")),
        );
        let report = place.run("ledger import key ledger --json").exits(0).json();
        assert_eq!(report["raised_to"], 256);
        used_up(&place);
        sign(&place, 255, 1).exits(3).prints_nothing().says(&["used up"]);
        for asked in [0, 255, 256, 300] {
            let line = format!("ledger init key --first-epoch {asked}");
            place.run(&line).exits(3).prints_nothing().says(&["used up"]);
        }
    }
    // By a ledger in doubt whose last epoch is spent.
    let place = Place::new();
    fresh_key(&place);
    sign(&place, 255, 1).exits(0);
    fs::remove_file(place.path("key/ledger.mark")).unwrap();
    place.run("ledger init key --first-epoch 0").exits(3).says(&["used up"]);
    // By signing with all that is left.
    let place = Place::new();
    fresh_key(&place);
    place.run("ledger init key --first-epoch 254").exits(0);
    for epoch in [255, 254] {
        assert_eq!(status(&place)["state"], "sound");
        sign(&place, epoch, 1).exits(0);
    }
    used_up(&place);
}

#[test]
fn an_epoch_whose_message_one_side_does_not_know_is_reported_and_not_known() {
    let place = Place::new();
    fresh_key(&place);
    for epoch in [3, 4, 5, 9] {
        sign(&place, epoch, 1).exits(0);
    }
    let exported = String::from_utf8(place.run("ledger export key").exits(0).stdout).unwrap();
    let mut json: Value = serde_json::from_str(&exported).unwrap();
    for at in [0, 1, 3] {
        json["data"][0]["signed_epochs"][at]["message_digest"] = Value::Null;
    }
    place.file("nulls", json.to_string());
    place.file("whole", &exported);
    let outcome = place.run("ledger import key nulls").exits(0);
    outcome
        .says(&["warning", "the file does not know", "3 to 4, 9"])
        .prints(&["0 epochs added, 1 known before, 3 of an unknown message"]);
    let report = place.run("ledger import key nulls --json").exits(0).json();
    let epochs = |report: &Value| -> Vec<u64> {
        let unknown = report["unknown"].as_array().unwrap();
        unknown
            .iter()
            .map(|unknown| unknown["epoch"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(epochs(&report), [3, 4, 9]);
    let digest = &serde_json::from_str::<Value>(&exported).unwrap()["data"][0]["signed_epochs"][0]["message_digest"];
    assert_eq!(
        (&report["unknown"][0]["ours"], &report["unknown"][0]["theirs"]),
        (digest, &Value::Null)
    );
    // The other way round; and what neither knows agrees.
    place.run("backup key --out text").exits(0);
    place.run("restore again --from text").exits(0);
    place.run("ledger import again nulls").exits(0);
    let outcome = place.run("ledger import again whole").exits(0);
    outcome.says(&["warning", "the ledger does not know", "3 to 4, 9"]);
    let report = place.run("ledger import again whole --json").exits(0).json();
    assert_eq!(epochs(&report), [3, 4, 9]);
    assert_eq!(
        (&report["unknown"][0]["ours"], &report["unknown"][0]["theirs"]),
        (&Value::Null, digest)
    );
    place
        .run("ledger import again nulls")
        .exits(0)
        .prints(&["0 epochs added, 4 known before"]);
}

#[test]
fn whoever_gives_or_takes_a_secret_is_warned() {
    let place = Place::new();
    place.file("seed", SEED);
    for line in [
        format!("keygen key --scheme {TINY} --seed-file seed"),
        format!("keygen other --scheme {TINY} --prf-key-file seed --parameter {PARAMETER}"),
        "export key --format leansig-ssz --out file".to_owned(),
        "backup key --out text".to_owned(),
        "import imported --from file".to_owned(),
        "restore restored --from text".to_owned(),
    ] {
        let told = place.run(&line).exits(0);
        let told = told.says(&["warning", "more than one place"]);
        let warnings = told.stderr.matches("more than one place").count();
        assert_eq!(warnings, 1, "{}", told.all());
    }
    place.file("other-seed", "0123456789abcdef".repeat(4));
    for (line, code) in [
        (format!("keygen fresh --scheme {TINY}"), 0),
        // What is there already is not taken again, and what is refused is not taken.
        ("keygen key --seed-file seed".to_owned(), 0),
        ("import imported --from file".to_owned(), 0),
        ("restore restored --from text".to_owned(), 0),
        ("keygen key --seed-file other-seed".to_owned(), 3),
        ("import fresh --from file".to_owned(), 3),
        ("restore fresh --from text".to_owned(), 3),
    ] {
        let quiet = place.run(&line).exits(code);
        assert!(!quiet.stderr.contains("more than one place"), "{}", quiet.all());
    }
    std::fs::remove_file(place.path("restored/secret")).unwrap();
    let told = place.run("restore restored --from text").exits(0);
    let told = told.says(&["more than one place", "its secret was missing and is written again"]);
    assert!(!told.stderr.contains("nothing to do"), "{}", told.all());
}
