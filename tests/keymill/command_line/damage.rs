//! Damaged directories: what finds it, what still works, and what is said.

use std::fs;

use super::fixtures::{
    LONG, MESSAGE, TINY, changing_nothing, edit, finished_key, flip_byte, recorded_tiny_key, unfinished_key,
};
use super::program::Place;

const HEADER_BYTES: u64 = 4096;
const SIGN: &str = "sign key --epoch 0 --message";

/// Every command that reads `key`.
fn readers() -> Vec<String> {
    let rest = ["path key --epoch 0", "public-key key", "check key", "status key"];
    let sign = format!("{SIGN} {MESSAGE}");
    rest.map(str::to_owned).into_iter().chain([sign]).collect()
}

#[test]
fn a_newer_format_is_refused_by_its_number() {
    let place = Place::new();
    finished_key(&place, TINY);
    edit(
        &place.path("key/manifest.toml"),
        "format_version = 3\n",
        "format_version = 7\n",
    );
    let more = ["keygen key", "migrate key", "migrate key --dry-run"].map(str::to_owned);
    changing_nothing(&place, || {
        for line in readers().into_iter().chain(more) {
            let message = ["'key/manifest.toml'", "version 7", "newer than 3", "newer keymill"];
            place.run(&line).exits(3).prints_nothing().says(&message);
        }
    });
}

#[test]
fn every_change_of_the_manifest_is_noticed() {
    let changes = [
        ("active_epochs = 256", "active_epochs = 255"),
        ("scheme = \"leansig-p1", "scheme = \"leansig-p2"),
        ("state = \"sealed\"", "state = \"generating\""),
        ("public_key = \"f", "public_key = \"0"),
        ("trim = 0", "trim = 1"),
        ("checksum = \"", "checksum = \"0"),
        ("fillers", "filler"),
        ("key_id", "\nkey_id"),
    ];
    for (from, to) in changes {
        let place = Place::new();
        place.file("seed", recorded_tiny_key().rng_seed);
        place
            .run(&format!("keygen key --scheme {TINY} --seed-file seed"))
            .exits(0);
        edit(&place.path("key/manifest.toml"), from, to);
        changing_nothing(&place, || {
            for line in readers().iter().map(String::as_str).chain(["keygen key"]) {
                let message = ["'key/manifest.toml' is damaged", "checksum"];
                place.run(line).exits(3).prints_nothing().says(&message);
            }
        });
    }
}

#[test]
fn a_manifest_that_is_cut_short_is_damaged() {
    let place = Place::new();
    finished_key(&place, TINY);
    let path = place.path("key/manifest.toml");
    let whole = fs::read(&path).unwrap();
    for length in [0, 1, 30, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        for line in ["status key", "keygen key", "path key --epoch 0"] {
            let message = ["'key/manifest.toml' is damaged"];
            place.run(line).exits(3).prints_nothing().says(&message);
        }
    }
}

/// `check` finds exactly one damaged place in this file; gives the JSON object that describes it.
#[track_caller]
fn only_damage(place: &Place, file: &str) -> serde_json::Value {
    place
        .run("check key")
        .exits(1)
        .prints(&["damaged: ", file, "1 damaged place"]);
    let report = place.run("check key --json").exits(1).json();
    assert_eq!(report["clean"], false);
    let damage = report["damage"].as_array().unwrap();
    assert_eq!(damage.len(), 1, "{report}");
    assert_eq!(damage[0]["file"], file);
    damage[0].clone()
}

#[test]
fn a_layer_file_that_is_missing_is_named() {
    let place = Place::new();
    finished_key(&place, TINY);
    fs::remove_file(place.path("key/layers/03.nodes")).unwrap();
    let damage = only_damage(&place, "key/layers/03.nodes");
    assert!(damage["what"].as_str().unwrap().contains("missing"), "{damage}");
    for line in ["path key --epoch 0", &format!("{SIGN} {MESSAGE}")] {
        let message = ["'key/layers/03.nodes'", "missing"];
        place.run(line).exits(3).prints_nothing().says(&message);
    }
    place.run("public-key key").exits(0);
}

#[test]
fn a_layer_file_of_another_length_is_named_with_both_lengths() {
    for (length, shown) in [
        (0, "0 bytes"),
        (100, "100 bytes"),
        (5119, "5119 bytes"),
        (5121, "5121 bytes"),
    ] {
        let place = Place::new();
        finished_key(&place, TINY);
        let path = place.path("key/layers/03.nodes");
        flip_byte(&path, 5000);
        fs::File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_len(length)
            .unwrap();
        let damage = only_damage(&place, "key/layers/03.nodes");
        let what = damage["what"].as_str().unwrap();
        assert!(what.contains(shown) && what.contains("5120"), "{damage}");
        let message = ["'key/layers/03.nodes'", shown, "5120"];
        place.run("path key --epoch 0").exits(3).prints_nothing().says(&message);
    }
}

#[test]
fn every_byte_of_a_layer_header_counts() {
    let place = Place::new();
    finished_key(&place, TINY);
    let fields = [
        (0, "magic"),
        (12, "level"),
        (20, "key id"),
        (32, "first index"),
        (40, "count"),
        (48, "digest length"),
        (55, "checksum"),
        (56, "padding"),
        (4095, "padding"),
    ];
    for (offset, field) in fields {
        let path = place.path("key/layers/05.nodes");
        flip_byte(&path, offset);
        let damage = only_damage(&place, "key/layers/05.nodes");
        let what = damage["what"].as_str().unwrap();
        assert!(
            what.contains(field) && what.contains(&format!("byte {offset} ")),
            "{damage}"
        );
        let message = ["'key/layers/05.nodes'", field];
        place.run("path key --epoch 0").exits(3).prints_nothing().says(&message);
        flip_byte(&path, offset);
        place.run("check key").exits(0);
    }
}

#[test]
fn a_flipped_byte_of_a_node_is_found_by_level_and_batch() {
    let place = Place::new();
    place.run(&format!("keygen key --scheme {LONG} --epochs 3000")).exits(0);
    // Node 300 of level 2 lies in the second batch of 256 nodes, above the epochs 1200 to 1203.
    flip_byte(&place.path("key/layers/02.nodes"), HEADER_BYTES + 300 * 28 + 5);
    let damage = only_damage(&place, "key/layers/02.nodes");
    assert_eq!((&damage["level"], &damage["batch"]), (&2.into(), &1.into()));
    let nodes = damage["first_node"].as_u64().unwrap()..=damage["last_node"].as_u64().unwrap();
    assert!(nodes.contains(&300), "{damage}");
    place.run("check key").exits(1).prints(&["level 2", "batch 1"]);
    // Its sibling's epochs need it.
    let message = ["epoch 1204", "'key'", "a check of the key", "keymill repair key"];
    for line in [
        "path key --epoch 1204",
        &format!("sign key --epoch 1204 --message {MESSAGE}"),
    ] {
        place.run(line).exits(3).prints_nothing().says(&message);
    }
    for epoch in [0, 1199, 1200, 1208, 2999] {
        place.run(&format!("path key --epoch {epoch}")).exits(0);
    }
}

#[test]
fn a_flipped_byte_above_the_batches_is_found_by_level() {
    let place = Place::new();
    place.run(&format!("keygen key --scheme {LONG} --epochs 3000")).exits(0);
    for (name, level) in [("10.nodes", 10), ("11.nodes", 11), ("13.nodes", 13), ("18.nodes", 18)] {
        let file = format!("key/layers/{name}");
        flip_byte(&place.path(&file), HEADER_BYTES + 3);
        let report = place.run("check key --json").exits(1).json();
        // The levels above are whole, and not to be blamed.
        assert_eq!(report["damage"].as_array().unwrap().len(), 1, "{report}");
        let damage = &report["damage"][0];
        assert_eq!(
            (&damage["file"], &damage["level"]),
            (&file.clone().into(), &level.into())
        );
        // The batches' own roots belong to them.
        assert_eq!(damage["batch"].is_null(), level > 10, "{report}");
        flip_byte(&place.path(&file), HEADER_BYTES + 3);
    }
    place.run("check key").exits(0);
}

#[test]
fn damage_in_an_unfinished_key_is_found_and_mended_by_going_on() {
    let place = Place::new();
    unfinished_key(&place, "2^13");
    flip_byte(&place.path("key/layers/00.nodes"), HEADER_BYTES + 77);
    let damage = only_damage(&place, "key/layers/00.nodes");
    assert_eq!((&damage["level"], &damage["batch"]), (&0.into(), &0.into()));
    place.run("keygen key").exits(0).says(&["did not match"]);
    place.run("check key --deep").exits(0);
}

#[test]
fn check_looks_at_the_secret_but_a_key_that_only_serves_paths_needs_none() {
    let place = Place::new();
    finished_key(&place, TINY);
    let secret = std::fs::read_to_string(place.path("key/secret")).unwrap();
    assert_eq!(place.run("check key --json").exits(0).json()["secret_present"], true);
    place.file("key/secret", secret.replace(' ', "\t"));
    place.run("check key").exits(1).prints(&["damaged: ", "key/secret"]);
    std::fs::remove_file(place.path("key/secret")).unwrap();
    place.run("check key").exits(0).prints(&["clean", "no usable secret"]);
    place.run("check key --deep").exits(3).says(&["key/secret"]);
}

#[test]
fn the_secret_of_another_key_does_not_sign() {
    let place = Place::new();
    finished_key(&place, TINY);
    edit(&place.path("key/secret"), "a7a7", "a7a8");
    let message = ["'key/secret'", "does not belong to this key", "secret_commitment"];
    let sign = format!("{SIGN} {MESSAGE}");
    changing_nothing(&place, || {
        for line in [&sign, "check key --deep"] {
            place.run(line).exits(3).prints_nothing().says(&message);
        }
    });
    // The public side needs no secret.
    place.run("path key --epoch 0").exits(0);
}

#[test]
fn a_secret_that_is_missing_or_no_secret_is_named() {
    let place = Place::new();
    finished_key(&place, TINY);
    let sign = format!("{SIGN} {MESSAGE}");
    for wrong in ["", "hello\n", "keymill-secret 1\nseed a7a7\n", "keymill-secret 9\n"] {
        fs::write(place.path("key/secret"), wrong).unwrap();
        let outcome = place.run(&sign).exits(3).prints_nothing();
        outcome.says(&["'key/secret' is damaged"]);
    }
    fs::remove_file(place.path("key/secret")).unwrap();
    place
        .run(&sign)
        .exits(3)
        .prints_nothing()
        .says(&["'key/secret'", "missing"]);
    place.run("path key --epoch 0").exits(0);
    place.run("check key").exits(0);
}

#[test]
fn a_sealed_key_without_its_checkpoints_still_gives_paths() {
    let place = Place::new();
    let public_key = finished_key(&place, TINY);
    for (lost, word) in [("key/state/CURRENT", "CURRENT"), ("key/state", "it is missing")] {
        let path = place.path(lost);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
        changing_nothing(&place, || {
            let damage = only_damage(&place, "key/state");
            assert!(damage["what"].as_str().unwrap().contains(word), "{damage}");
            assert_eq!(place.run("public-key key").exits(0).line(), public_key);
            place.run("path key --epoch 0 --count 256").exits(0);
        });
        // Without its ledger nobody knows what it has signed.
        let sign = place.run(&format!("{SIGN} {MESSAGE}"));
        sign.exits(3).prints_nothing().says(&["'key/state'"]);
    }
}

#[test]
fn an_unfinished_key_without_its_checkpoints_is_not_continued() {
    let place = Place::new();
    unfinished_key(&place, "2^18");
    fs::remove_file(place.path("key/state/CURRENT")).unwrap();
    for line in ["keygen key", "status key"] {
        let message = ["'key/state'", "CURRENT", "'keymill repair key'"];
        place.run(line).exits(3).prints_nothing().says(&message);
    }
    only_damage(&place, "key/state");
}
