//! Keys of a set that sign by one ledger, as a user meets it: moving in and out, and what is refused by name.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use super::fixtures::{OTHER_TINY, SEED, TINY};
use super::ledger::message;
use super::program::{Outcome, Place};
use super::sets::names;

fn sign(place: &Place, key: &str, epoch: u64, number: u64) -> Outcome {
    place.run(&format!("sign {key} --epoch {epoch} --message {}", message(number)))
}

/// A set of two keys, of which the first one has signed.
fn set(place: &Place) {
    fs::create_dir(place.path("set")).unwrap();
    for (key, scheme) in [("set/one", TINY), ("set/other", OTHER_TINY)] {
        place.run(&format!("keygen {key} --scheme {scheme}")).exits(0);
    }
    sign(place, "set/one", 3, 1).exits(0);
}

#[test]
fn a_key_signs_by_the_ledger_of_its_set_and_by_its_own_again() {
    let place = Place::new();
    set(&place);
    let first = sign(&place, "set/one", 3, 1).exits(0).line();
    let moved = place.run("ledger move set/one --into set").exits(0);
    assert!(
        moved
            .line()
            .contains("is now that of the set in 'set', with 1 spent epoch")
    );
    assert!(
        place
            .run("ledger move set/one --into set")
            .exits(0)
            .line()
            .contains("was already")
    );
    assert_eq!(sign(&place, "set/one", 3, 1).exits(0).line(), first);
    sign(&place, "set/one", 3, 2).exits(1).says(&["epoch 3"]);
    sign(&place, "set/one", 4, 2).exits(0);
    let shown = place.run("ledger show set/one --json").exits(0).json();
    assert_eq!((&shown["spent"], &shown["set"]), (&2.into(), &"set".into()));
    place.run("check set/one").exits(0);
    // The secret stays while the set lets the key sign.
    let format = "--format leansig-ssz --out out";
    let refused = place.run(&format!("export set/one {format}")).exits(3);
    refused.says(&["moved", "keymill ledger move set/one --out"]);
    assert!(!place.path("out").exists());
    place.run("ledger move set/one --out").exits(0);
    sign(&place, "set/one", 4, 1).exits(1);
    sign(&place, "set/one", 5, 1).exits(0);
    let shown = place.run("ledger show set/one --json").exits(0).json();
    assert_eq!((&shown["spent"], &shown["set"]), (&3.into(), &serde_json::Value::Null));
}

#[test]
fn a_key_that_was_moved_to_a_set_is_refused_by_name_wherever_else_it_is_used() {
    let place = Place::new();
    set(&place);
    place
        .run("ledger move set/other --into .")
        .exits(2)
        .says(&["does not stand in"]);
    place.run("ledger move set/one --into set").exits(0);
    place.run("serve set/one --listen unix:socket").exits(3).says(&[
        "set/one",
        "keymill serve set",
        "keymill ledger move set/one --out",
    ]);
    // Taken out of the set as it is, it signs nowhere.
    fs::rename(place.path("set/one"), place.path("one")).unwrap();
    sign(&place, "one", 9, 1).exits(3).says(&["the ledger of the set"]);
    place.run("ledger show one").exits(1);
    fs::rename(place.path("one"), place.path("set/one")).unwrap();
    sign(&place, "set/one", 9, 1).exits(0);
    // A key with a ledger of its own has nothing to be taken out of.
    place
        .run("ledger move set/other --out")
        .exits(3)
        .says(&["a ledger of its own"]);
}

#[test]
fn two_keys_with_the_same_one_time_keys_do_not_stand_in_one_set() {
    let place = Place::new();
    place.file("seed", SEED);
    fs::create_dir(place.path("set")).unwrap();
    for (key, epochs) in [("one", 256), ("half", 128)] {
        let line = format!("keygen set/{key} --scheme {TINY} --epochs {epochs} --seed-file seed");
        place.run(&line).exits(0);
    }
    place.run("ledger move set/one --into set").exits(0);
    place
        .run("ledger move set/half --into set")
        .exits(3)
        .says(&["same one-time keys"]);
    // It may stand there where the other one does not.
    place.run("ledger move set/one --out").exits(0);
    place.run("ledger move set/half --into set").exits(0);
    place
        .run("ledger move set/one --into set")
        .exits(3)
        .says(&["same one-time keys"]);
}

/// The line that makes a set of key directories alone.
fn generate(validators: u64, more: &str) -> String {
    format!(
        "generate --keys-only --num-validators {validators} --log-num-active-epochs 8 --output-dir keys --scheme {TINY} \
         --progress none {more}"
    )
}

fn key(index: u64, role: &str) -> String {
    format!("keys/validator_{index}_{role}_key")
}

#[test]
fn a_set_of_key_directories_alone_is_made_whenever_it_is_killed_grows_and_signs_at_once_by_one_ledger() {
    let place = Place::new();
    let line = generate(2, "");
    for delay_ms in [5, 20, 40, 80, 120, 160, 240] {
        let mut running = place.start(&[], &line);
        std::thread::sleep(Duration::from_millis(delay_ms));
        running.signal(Signal::KILL);
        running.end();
    }
    place.run(&line).exits(0);
    let kept = names(&place, "keys");
    assert!(
        !kept
            .iter()
            .any(|name| name.contains("_sk") || name.contains("manifest")),
        "{kept:?}"
    );
    for (index, role) in [(0, "proposer"), (0, "attester"), (1, "proposer"), (1, "attester")] {
        let key = key(index, role);
        assert!(
            kept.contains(&format!("validator_{index}_{role}_key_pk.ssz")),
            "{kept:?}"
        );
        let shown = place.run(&format!("ledger show {key} --json")).exits(0).json();
        assert_eq!((&shown["set"], &shown["spent"]), (&"keys".into(), &0.into()));
        sign(&place, &key, 3, index).exits(0);
    }
    // One that has left stays where it is when the set grows.
    let left = key(1, "attester");
    place.run(&format!("ledger move {left} --out")).exits(0);
    place.run(&line).exits(0).says(&["was finished already"]);
    fs::remove_file(place.path(&format!("{}_pk.ssz", key(0, "proposer")))).unwrap();
    place.run(&generate(3, "--jobs 2")).exits(0);
    assert!(place.path(&format!("{}_pk.ssz", key(0, "proposer"))).exists());
    let set = |key: &str| place.run(&format!("ledger show {key} --json")).json()["set"].clone();
    assert_eq!(set(&left), serde_json::Value::Null);
    assert_eq!(set(&key(0, "attester")), "keys");
    assert_eq!(set(&key(2, "attester")), "keys");
    sign(&place, &key(0, "attester"), 3, 7).exits(1);
}

#[test]
fn a_set_of_key_directories_alone_is_not_asked_for_with_what_it_does_not_have() {
    let place = Place::new();
    place.file("seed", SEED);
    for more in [
        "--seed-file seed",
        "--keep-dirs",
        "--export-format ssz",
        "--restore-secrets",
    ] {
        place.run(&generate(1, more)).exits(2);
    }
    place.run(&generate(1, "--trim 4")).exits(0);
    // The secrets are nowhere else, so one that is lost is not made again.
    fs::remove_dir_all(place.path(&key(0, "attester"))).unwrap();
    place
        .run(&generate(1, "--trim 4"))
        .exits(3)
        .says(&["validator_0_attester_key", "missing"]);
    let files = generate(1, "--trim 4").replace("--keys-only", "--keep-dirs");
    place.run(&files).exits(3).says(&["--keys-only"]);
}
