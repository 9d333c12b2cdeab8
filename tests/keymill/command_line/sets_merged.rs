//! Key sets that were made in parts.

use std::fs;

use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::Signal;

use super::fixtures::{OTHER_TINY, TINY, changing_nothing, finished_key, snapshot};
use super::program::Place;
use super::sets::{assert_same_sets, made, names, small};

#[test]
fn parts_that_are_merged_are_the_whole() {
    let place = Place::new();
    made(&place, "whole", 4, "");
    // Not in order, and one of them alone.
    made(&place, "last", 1, "--start-index 3");
    made(&place, "first", 2, "");
    made(&place, "middle", 1, "--start-index 2");
    let parts = snapshot(&place.path("first"));
    let merged = place
        .run("merge-sets last first middle --out merged --json")
        .exits(0)
        .json();
    assert_eq!((&merged["num_validators"], &merged["files"]), (&4.into(), &32.into()));
    assert_same_sets(&place, "merged", "whole");
    assert_eq!(snapshot(&place.path("first")), parts);
    place.run("verify-set merged").exits(0);
    // The same again finds everything done.
    place.run("merge-sets last first middle --out merged").exits(0);
    assert_same_sets(&place, "merged", "whole");
}

#[test]
fn distributed_parts_are_merged_in_the_order_in_which_they_are_named() {
    let place = Place::new();
    let flags = "--distributed --export-format ssz";
    made(&place, "whole", 2, flags);
    made(&place, "first", 1, flags);
    made(&place, "second", 1, &format!("{flags} --start-index 1"));
    place.run("merge-sets first second --out merged").exits(0);
    assert_same_sets(&place, "merged", "whole");
}

#[test]
fn parts_that_a_batch_system_numbers_are_merged_to_the_whole_set() {
    let place = Place::new();
    made(&place, "whole", 5, "--export-format ssz");
    for part in 0..3 {
        made(
            &place,
            &format!("part-{part}"),
            5,
            &format!("--export-format ssz --part {part}/3"),
        );
    }
    place.run("merge-sets part-0 part-1 part-2 --out merged").exits(0);
    assert_same_sets(&place, "merged", "whole");
    let refused = |part: &str, says: &str| {
        let line = super::sets::small(&place, "none", 2, &format!("--part {part}"));
        place.run(&line).exits(2).says(&[says]);
    };
    refused("0/3", "part 0 of 3 of 2 validators has none");
    for part in ["3/3", "1", "1/0", "a/b", "1/2/3"] {
        refused(part, "expected I/N");
    }
}

#[test]
fn a_merge_that_was_killed_is_finished_by_the_same_command() {
    let place = Place::new();
    made(&place, "whole", 2, "");
    made(&place, "first", 1, "");
    made(&place, "second", 1, "--start-index 1");
    let mut killed = 0;
    for files_before in [0, 1, 5, 12] {
        let mut running = place.start(&[], "merge-sets first second --out merged");
        let copied = || {
            if place.path("merged").exists() {
                names(&place, "merged").len()
            } else {
                0
            }
        };
        while running.is_running() && copied() <= files_before {}
        running.signal(Signal::KILL);
        let (outcome, _) = running.end();
        killed += u32::from(outcome.code.is_none());
        place.run("merge-sets first second --out merged").exits(0);
        assert_same_sets(&place, "merged", "whole");
        assert_eq!(
            names(&place, "merged/.keymill-set").into_iter().collect::<Vec<_>>(),
            ["LOCK"]
        );
        fs::remove_dir_all(place.path("merged")).unwrap();
    }
    assert!(killed > 0, "each was done before it could be killed");
}

#[test]
fn sets_that_do_not_go_together_are_refused_before_anything_is_copied() {
    let place = Place::new();
    let ssz = "--export-format ssz";
    made(&place, "a", 2, ssz);
    made(&place, "again", 1, &format!("{ssz} --start-index 1"));
    made(&place, "json", 1, "--start-index 5");
    place
        .run(&small(&place, "shorter", 1, &format!("{ssz} --start-index 5")).replace("epochs 8", "epochs 7"))
        .exits(0);
    place
        .run(&small(&place, "scheme", 1, &format!("{ssz} --start-index 5")).replace(TINY, OTHER_TINY))
        .exits(0);
    made(&place, "roles", 1, &format!("{ssz} --start-index 5 --roles proposer"));
    made(&place, "named", 1, &format!("{ssz} --start-index 5 --distributed"));
    // The same key under another index.
    made(&place, "moved", 1, ssz);
    let renamed = fs::read_to_string(place.path("moved/validator-keys-manifest.yaml")).unwrap();
    fs::write(
        place.path("moved/validator-keys-manifest.yaml"),
        renamed
            .replace("validator_0", "validator_9")
            .replace("index: 0", "index: 9"),
    )
    .unwrap();
    for name in names(&place, "moved") {
        fs::rename(
            place.path("moved").join(&name),
            place.path("moved").join(name.replace("_0_", "_9_")),
        )
        .unwrap();
    }
    made(&place, "torn", 1, &format!("{ssz} --start-index 5"));
    fs::remove_file(place.path("torn/validator_5_attester_key_sk.ssz")).unwrap();
    made(&place, "swapped", 2, &format!("{ssz} --start-index 5"));
    let file = |name: &str| place.path("swapped").join(name);
    fs::copy(
        file("validator_5_attester_key_pk.ssz"),
        file("validator_6_attester_key_pk.ssz"),
    )
    .unwrap();
    made(
        &place,
        "unnamed",
        1,
        &format!("{ssz} --start-index 5 --create-manifest false"),
    );
    for (set, fragments) in [
        ("again", &["the public key 0x", "'a'", "'again'"][..]),
        ("json", &["the form of its files"][..]),
        ("shorter", &["log_num_active_epochs", "8", "7"][..]),
        ("scheme", &["key_scheme", TINY, OTHER_TINY][..]),
        ("roles", &["proposer,attester"][..]),
        ("named", &["the naming"][..]),
        ("moved", &["the public key 0x", "'a'", "'moved'"][..]),
        ("torn", &["'torn/validator_5_attester_key_sk.ssz' is missing"][..]),
        (
            "swapped",
            &["'swapped/validator_6_attester_key_pk.ssz' does not belong"][..],
        ),
        ("unnamed", &["'unnamed/validator-keys-manifest.yaml' is missing"][..]),
    ] {
        let outcome = changing_nothing(&place, || place.run(&format!("merge-sets a {set} --out merged")));
        outcome.exits(3).prints_nothing().says(fragments);
    }
    let line = "merge-sets a --out a";
    changing_nothing(&place, || place.run(line))
        .exits(2)
        .says(&["'a' is, or lies in, one of the sets"]);
}

#[test]
fn an_index_is_refused_twice_also_with_other_keys() {
    let place = Place::new();
    made(&place, "a", 1, "--export-format ssz");
    let line = small(&place, "b", 1, "--export-format ssz").replace("--seed-file seed", "");
    place.run(&line).exits(0);
    let outcome = changing_nothing(&place, || place.run("merge-sets a b --out merged"));
    outcome.exits(3).says(&["index 0 is in 'a' and in 'b'"]);
}

#[test]
fn a_merge_overwrites_nothing() {
    let place = Place::new();
    made(&place, "a", 1, "--export-format ssz");
    for name in [
        "validator_0_proposer_key_sk.ssz",
        "validator_3_proposer_key_sk.ssz",
        "validator-keys-manifest.yaml",
    ] {
        fs::create_dir(place.path("merged")).unwrap();
        fs::write(place.path("merged").join(name), "mine").unwrap();
        let outcome = place.run("merge-sets a --out merged").exits(3).prints_nothing();
        outcome.says(&[&format!("'merged/{name}'")]);
        assert_eq!(fs::read(place.path("merged").join(name)).unwrap(), b"mine");
        fs::remove_dir_all(place.path("merged")).unwrap();
    }
    // A merge of more sets finds the manifest of one of fewer before it copies anything.
    made(&place, "b", 1, "--export-format ssz --start-index 1");
    place.run("merge-sets a --out merged").exits(0);
    let outcome = changing_nothing(&place, || place.run("merge-sets a b --out merged")).exits(3);
    let outcome = outcome.says(&[
        "'merged/validator-keys-manifest.yaml' is there already",
        "choose another directory",
    ]);
    assert!(!outcome.all().contains("--force"), "{}", outcome.all());
    // And a file whose place is taken.
    fs::create_dir(place.path("taken")).unwrap();
    place.file("taken/validator_1_attester_key_sk.ssz", "mine");
    changing_nothing(&place, || place.run("merge-sets a b --out taken")).exits(3);
    // Nor does it go into a set that generate makes.
    made(&place, "other", 1, "--export-format ssz");
    changing_nothing(&place, || place.run("merge-sets a --out other")).exits(3);
}

#[test]
fn key_directories_are_not_copied_and_named() {
    let place = Place::new();
    made(&place, "a", 1, "--export-format ssz --keep-dirs");
    let outcome = place.run("merge-sets a --out merged").exits(0);
    outcome.says(&["'a/validator_0_proposer_key' was not copied"]);
    assert!(!place.path("merged/validator_0_proposer_key").exists());
    place.run("verify-set merged").exits(0);
}

#[test]
fn json_files_have_to_be_there_and_those_of_the_keys() {
    let place = Place::new();
    made(&place, "sound", 2, "");
    for ending in ["pk.json", "sk.json"] {
        let [one, other] =
            ["0_proposer", "1_proposer"].map(|key| place.path(&format!("sound/validator_{key}_key_{ending}")));
        let whole = fs::read(&one).unwrap();
        for change in ["missing", "swapped"] {
            match change {
                "missing" => fs::remove_file(&one).unwrap(),
                _ => drop(fs::copy(&other, &one).unwrap()),
            }
            let outcome = changing_nothing(&place, || place.run("merge-sets sound --out merged"));
            outcome
                .exits(3)
                .prints_nothing()
                .says(&[&format!("'sound/validator_0_proposer_key_{ending}'")]);
            fs::write(&one, &whole).unwrap();
        }
    }
    place.run("merge-sets sound --out merged").exits(0);
}

#[test]
fn what_is_no_file_or_no_directory_is_refused() {
    let place = Place::new();
    made(&place, "a", 1, "--export-format ssz");
    place.file("out", "mine");
    let outcome = changing_nothing(&place, || place.run("merge-sets a --out out"));
    outcome.exits(3).says(&["'out' is not a directory"]);
    let public = place.path("a/validator_0_proposer_key_pk.ssz");
    fs::remove_file(&public).unwrap();
    mkfifoat(CWD, &public, Mode::from_raw_mode(0o644)).unwrap();
    let outcome = place.run("merge-sets a --out merged").exits(3);
    outcome.says(&["'a/validator_0_proposer_key_pk.ssz'", "not a regular file"]);
    assert!(!place.path("merged").exists());
}

#[test]
fn a_manifest_that_is_no_file_is_refused_and_a_fault_of_the_set() {
    let place = Place::new();
    let made_by = small(&place, "a", 1, "--export-format ssz");
    place.run(&made_by).exits(0);
    let manifest = place.path("a/validator-keys-manifest.yaml");
    fs::remove_file(&manifest).unwrap();
    mkfifoat(CWD, &manifest, Mode::from_raw_mode(0o644)).unwrap();
    let what = "validator-keys-manifest.yaml: it is a FIFO and not a regular file";
    place.run("verify-set a").exits(1).prints(&[what]);
    place.run("merge-sets a --out merged").exits(3).says(&["it is a FIFO"]);
    place.run(&made_by).exits(3).says(&["it is a FIFO"]);
    let record = place.path("a/.keymill-set/set.toml");
    fs::remove_file(&manifest).unwrap();
    fs::remove_file(&record).unwrap();
    mkfifoat(CWD, &record, Mode::from_raw_mode(0o644)).unwrap();
    place.run(&made_by).exits(3).says(&["it is a FIFO"]);
}

#[test]
fn no_set_comes_to_lie_among_the_files_of_a_key_or_of_its_parts() {
    let place = Place::new();
    made(&place, "a", 1, "--export-format ssz");
    finished_key(&place, TINY);
    for out in ["key", "key/layers", "key/new", "key/not/yet"] {
        for line in [format!("merge-sets a --out {out}"), small(&place, out, 1, "")] {
            let outcome = changing_nothing(&place, || place.run(&line));
            outcome.exits(2).says(&["lies in the key directory"]);
        }
    }
    for out in ["a/new", "a/.keymill-set/new", "a/not/yet"] {
        let outcome = changing_nothing(&place, || place.run(&format!("merge-sets a --out {out}")));
        outcome.exits(2).says(&["lies in, one of the sets"]);
    }
}
