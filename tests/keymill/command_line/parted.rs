//! One key in parts: what people type, and what they are told.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use super::fixtures::{MESSAGE, SEED, TINY, finished_key};
use super::program::Place;
use crate::layers_on_disk::layer_files;

const KEY: &str = "--scheme leanvm-blake2s-l32-ts-v42-w8 --epochs 5000 --activation-epoch 300 --seed-file seed";

fn part(index: u64) -> String {
    format!("part key/ticket.toml --index {index} --secret-file key/secret --work scratch --out parts")
}

fn divided() -> Place {
    let place = Place::new();
    place.file("seed", SEED);
    place
        .run(&format!("split key {KEY} --part-epochs 2^10"))
        .exits(0)
        .prints(&["6, of at most 1024 epochs"]);
    place
}

#[test]
fn a_key_is_split_made_in_parts_and_joined_and_what_is_missing_is_named_with_its_command() {
    let place = divided();
    place.run(&format!("keygen whole {KEY}")).exits(0);
    fs::create_dir(place.path("parts")).unwrap();
    place
        .run("join key parts")
        .exits(1)
        .prints(&["missing: part 0", "--index 5 --secret-file"]);
    for index in [5, 0, 2, 3, 4] {
        place
            .run(&part(index))
            .exits(0)
            .says(&[&format!("part {index} is in 'parts/")]);
    }
    let outcome = place.run("join key parts").exits(1);
    outcome.prints(&[
        "taken: 5 parts",
        "missing: part 1, the epochs [1024, 2048)",
        "--index 1 ",
    ]);
    place.run(&part(1)).exits(0);
    place.run(&part(1)).exits(0).says(&["already; nothing to do"]);
    let joined = place.run("join key parts").exits(0);
    joined.prints(&["taken: 6 parts, 5 of them before"]);
    assert!(layer_files(&place.path("key")) == layer_files(&place.path("whole")));
    let manifest = |name: &str| fs::read(place.path(name).join("manifest.toml")).unwrap();
    assert!(manifest("key") == manifest("whole"));
    place.run("check key --deep").exits(0).prints(&["clean"]);
    place.run("ledger init key --first-epoch 0").exits(0);
    place
        .run(&format!("sign key --epoch 5299 --message {MESSAGE}"))
        .exits(0);
}

#[test]
fn parts_and_joins_that_are_killed_at_any_moment_are_finished_by_the_same_command() {
    let place = Place::new();
    place.file("seed", SEED);
    let key = "--scheme leansig-p2-l18-top-v64-w8 --epochs 2^13 --seed-file seed";
    place.run(&format!("split key {key} --parts 2")).exits(0);
    place.run(&format!("keygen whole {key}")).exits(0);
    for index in 0..2 {
        for delay_ms in [1, 20, 60, 110] {
            let mut running = place.start(&[], &part(index));
            std::thread::sleep(std::time::Duration::from_millis(delay_ms));
            if running.is_running() {
                running.signal(Signal::KILL);
            }
            running.end();
        }
        place.run(&part(index)).exits(0);
    }
    for delay_ms in [1, 10, 30, 60] {
        let mut running = place.start(&[], "join key parts");
        std::thread::sleep(std::time::Duration::from_millis(delay_ms));
        if running.is_running() {
            running.signal(Signal::KILL);
        }
        running.end();
    }
    place.run("join key parts").exits(0);
    assert!(layer_files(&place.path("key")) == layer_files(&place.path("whole")));
    assert_eq!(fs::read_dir(place.path("parts")).unwrap().count(), 2);
}

#[test]
fn a_key_that_adopts_its_parts_survives_kills_signs_and_is_exported_as_any_other() {
    let place = divided();
    place.run(&format!("keygen whole {KEY}")).exits(0);
    place
        .run("join key parts --adopt --copy")
        .exits(2)
        .says(&["cannot be used with"]);
    place.run(&part(3)).exits(0);
    place
        .run("join key parts --adopt")
        .exits(1)
        .prints(&["taken: 1 part", "missing: part 0"]);
    place
        .run("keygen key")
        .exits(3)
        .says(&["keeps the files of its parts", "keymill join key"]);
    place.run("repair key").exits(0).prints(&["nothing to repair"]);
    place.run("join key parts --copy").exits(3).says(&["leave --copy out"]);
    for index in [0, 1, 2, 4, 5] {
        place.run(&part(index)).exits(0);
    }
    for delay_ms in [1, 5, 10, 20] {
        let mut running = place.start(&[], "join key parts --adopt");
        std::thread::sleep(std::time::Duration::from_millis(delay_ms));
        if running.is_running() {
            running.signal(Signal::KILL);
        }
        running.end();
    }
    place.run("join key parts --adopt").exits(0);
    let adopted = place.path("key/layers/parts-t0");
    assert_eq!(fs::read_dir(&adopted).unwrap().count(), 6);
    assert_eq!(fs::read_dir(place.path("parts")).unwrap().count(), 0);
    place.run("check key --deep").exits(0).prints(&["clean"]);
    for key in ["key", "whole"] {
        place.run(&format!("ledger init {key} --first-epoch 0")).exits(0);
        place
            .run(&format!("export {key} --format leanvm-postcard --out {key}.sk"))
            .exits(0);
    }
    assert!(fs::read(place.path("key.sk")).unwrap() == fs::read(place.path("whole.sk")).unwrap());
    place.run("ledger init key --first-epoch 0");
    let file = fs::read_dir(&adopted).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(file).unwrap();
    place.run("check key").exits(1).prints(&["is missing"]);
    place
        .run("path key --epoch 300")
        .exits(3)
        .says(&["is missing", "keymill repair key"]);
    place
        .run("repair key")
        .exits(0)
        .prints(&["restored: key/layers/parts-t0/"]);
    place.run("check key --deep").exits(0);
    place.run("trim key --level 4").exits(0);
    assert!(!adopted.exists());
    place.run("check key --deep").exits(0).prints(&["clean"]);
}

#[test]
fn what_cannot_be_divided_made_or_joined_is_told_and_changes_nothing() {
    let place = divided();
    let refused = |line: &str, code: i32, says: &str| {
        place.run(line).exits(code).says(&[says]);
    };
    refused("split other --epochs 2^18", 2, "--parts");
    refused(&format!("split other {KEY} --parts 0"), 2, "1 to 6");
    refused(&format!("split other {KEY} --parts 7"), 2, "1 to 6");
    refused(&format!("split other {KEY} --part-epochs 1000"), 2, "power of two");
    refused(&format!("plan {KEY} --parts 7"), 2, "1 to 6");
    refused("plan --parts 2 --part-epochs 1024", 2, "cannot be used with");
    refused(
        &format!("split other {KEY} --parts 2 --part-epochs 1024"),
        2,
        "cannot be used with",
    );
    refused("split other --for slurm", 3, "no key directory");
    refused("split key --for pbs", 2, "slurm");
    assert!(!place.path("other").exists());
    refused(&format!("split key {KEY} --parts 5"), 3, "in another way");
    refused(&part(6), 2, "parts 0 to 5");
    refused(
        "part none --index 0 --secret-file key/secret --work scratch --out parts",
        3,
        "there is no ticket",
    );
    refused(
        "part key --index 0 --secret-file key/secret --work scratch --out parts",
        3,
        "directory",
    );
    refused(
        "part key/ticket.toml --index 0 --secret-file none --work scratch --out parts",
        3,
        "there is no secret in",
    );
    place.file(
        "secret",
        "keymill-secret 1\nseed 0101010101010101010101010101010101010101010101010101010101010102\n",
    );
    let other = "part key/ticket.toml --index 0 --secret-file secret --work scratch --out parts";
    refused(other, 3, "can be read by others");
    fs::set_permissions(place.path("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    refused(other, 3, "not the secret of this key");
    refused("join none parts", 3, "no key directory");
    refused("join key parts", 2, "parts");
    assert!(!place.path("parts").exists() && !place.path("scratch").exists());
}

#[test]
fn plan_says_of_parts_what_split_says_and_warns_of_small_ones_as_split_does() {
    let place = Place::new();
    place.file("seed", SEED);
    let warned = |line: String| place.run(&line).exits(0).says(&["parts of 1024 epochs", "are small"]);
    let planned = warned(format!("plan {KEY} --part-epochs 2^10 --json"));
    let split = warned(format!("split key {KEY} --part-epochs 2^10 --json"));
    let (planned, split) = (planned.json(), split.json());
    assert_eq!(planned["division"]["parts"], split["parts"]);
    assert_eq!(planned["division"]["part_epochs_max"], split["part_epochs"]);
    assert_eq!(planned["division"]["join_written_bytes"], split["layer_bytes"]);
    // One part has nobody to wait for.
    let one = place.run(&format!("plan {KEY} --parts 1")).exits(0);
    assert!(one.stderr.is_empty(), "{}", one.all());
}

#[test]
fn a_finished_key_is_neither_divided_nor_joined_again() {
    let place = Place::new();
    let public_key = finished_key(&place, TINY);
    fs::create_dir(place.path("parts")).unwrap();
    place.run("split key --parts 1").exits(3).says(&["finished"]);
    assert_eq!(place.run("join key parts").exits(0).line(), public_key);
}

#[test]
fn the_secret_is_in_no_job_file_no_ticket_and_no_part() {
    let place = divided();
    let secret = fs::read_to_string(place.path("key/secret")).unwrap();
    let digits = secret.split_whitespace().last().unwrap();
    assert_eq!(digits.len(), 64);
    let mut texts: Vec<Vec<u8>> = vec![fs::read(place.path("key/ticket.toml")).unwrap()];
    for engine in ["slurm", "kubernetes", "parallel"] {
        let outcome = place.run(&format!("split key --for {engine}")).exits(0);
        assert!(outcome.text().contains("key/ticket.toml"), "{engine}");
        texts.push(outcome.text().as_bytes().to_vec());
    }
    place.run(&part(0)).exits(0);
    for entry in fs::read_dir(place.path("parts")).unwrap() {
        texts.push(fs::read(entry.unwrap().path()).unwrap());
    }
    let bytes = hex::decode(digits).unwrap();
    for text in texts {
        assert!(!text.windows(64).any(|window| window == digits.as_bytes()));
        assert!(!text.windows(32).any(|window| window == bytes));
    }
}
