//! `keymill export`: a secret, in the form of another program.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::fixtures::{MESSAGE, OTHER_TINY, PARAMETER, SEED, TINY, changing_nothing, flip_byte, recorded_tiny_key};
use super::program::Place;
use keymill_reference::vectors;

const NAME: &str = "leansig-p1-l8-abort-v4-w8_0442_80_48";

fn recorded(name: &str) -> Vec<u8> {
    fs::read(vectors::folder().join("secret-keys").join(name)).unwrap()
}

/// The recorded key of [80, 128) in `key`, trimmed to a level.
fn imported(trim: u8) -> Place {
    let place = Place::new();
    place.file("validator.ssz", recorded(&format!("{NAME}.ssz")));
    place
        .run(&format!("import key --from validator.ssz --trim {trim}"))
        .exits(0);
    place
}

#[test]
fn the_window_is_the_one_that_leansig_has_there_whatever_is_stored() {
    for trim in [0, 1, 3, 4, 5, 8] {
        let place = imported(trim);
        let export = |epoch: &str| {
            place
                .run(&format!("export key --format leansig-ssz {epoch}"))
                .exits(0)
                .stdout
        };
        // The bottom trees of 16 epochs begin at 80, 96 and 112. The left one is never the last.
        for (epoch, name) in [
            ("", format!("{NAME}.ssz")),
            ("--epoch 95", format!("{NAME}.ssz")),
            ("--epoch 96", format!("{NAME}.advanced.ssz")),
            ("--epoch 127", format!("{NAME}.advanced.ssz")),
        ] {
            assert!(export(epoch) == recorded(&name), "trim {trim}, {epoch}");
        }
        let json = place.run("export key --format leansig-json").exits(0);
        assert!(json.stdout == recorded(&format!("{NAME}.json")), "trim {trim}");
        place
            .run("export key --format leansig-ssz --epoch 128")
            .exits(2)
            .prints_nothing()
            .says(&["[80, 128)"]);
    }
}

/// There the roots of the bottom trees lie below the batches' own, so that a trimmed key has to compute all of them.
#[test]
fn a_key_that_does_not_store_its_bottom_trees_roots_goes_out_all_the_same() {
    let name = "leansig-p2-l18-top-v64-w8_0442_100000_5000.ssz";
    let place = Place::new();
    place.file("validator.ssz", recorded(name));
    place
        .run("import key --from validator.ssz --trim 10 --progress none")
        .exits(0);
    let exported = place.run("export key --format leansig-ssz").exits(0);
    assert!(exported.stdout == recorded(name));
}

#[test]
fn an_exported_file_is_its_owners_alone_and_replaces_nothing_unasked() {
    let place = imported(0);
    // The caller's umask is the tests'.
    let line = "export key --format leansig-ssz --out out.ssz";
    place
        .run(line)
        .exits(0)
        .prints_nothing()
        .says(&["[80, 112)", "ledger", "warning"]);
    let mode = |name: &str| fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("out.ssz"), 0o600);
    changing_nothing(&place, || {
        place.run(line).exits(2).says(&["'out.ssz'", "--force"]);
        place
            .run("export key --format leansig-ssz --out key/out.ssz")
            .exits(2)
            .says(&["key directory"]);
    });
    fs::set_permissions(place.path("out.ssz"), fs::Permissions::from_mode(0o644)).unwrap();
    place.run(&format!("{line} --force --epoch 100")).exits(0);
    assert_eq!(mode("out.ssz"), 0o600);
    assert!(fs::read(place.path("out.ssz")).unwrap() == recorded(&format!("{NAME}.advanced.ssz")));
    let entries = fs::read_dir(place.path(".")).unwrap();
    let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        names.iter().all(|name| !name.to_string_lossy().starts_with(".keymill")),
        "{names:?}"
    );
}

#[test]
fn nothing_damaged_goes_out() {
    for (level, node, named) in [
        (0, 80, "node 40 of level 1"),
        (2, 22, "node 22 of level 2"),
        (4, 7, "of level 5"),
    ] {
        let place = imported(0);
        let first = [80, 40, 20, 10, 4][level];
        let path = place.path("key").join(format!("layers/{level:02}.nodes"));
        flip_byte(&path, 4096 + 32 * (node - first));
        place
            .run("export key --format leansig-ssz --out out.ssz")
            .exits(3)
            .says(&[named, "keymill repair key"]);
        assert!(!place.path("out.ssz").exists());
    }
}

#[test]
fn roles_are_for_files_of_two_keys() {
    let place = imported(0);
    for flags in ["--role proposal", "--with key"] {
        place
            .run(&format!("export key --format leansig-ssz {flags}"))
            .exits(2)
            .says(&["leanspec-json"]);
    }
    place.run("export key --format leansig-ssz --force").exits(2);
    place.run("export absent --format leansig-ssz").exits(3);
}

#[test]
fn public_keys_and_signatures_go_out_as_leansig_gives_them() {
    let place = Place::new();
    place.file("seed", recorded_tiny_key().rng_seed);
    let line = format!("keygen key --scheme {TINY} --epochs 256 --seed-file seed");
    place.run(&line).exits(0);
    place.run("ledger init key --first-epoch 0").exits(0);
    let recorded = |name: &str| fs::read(vectors::folder().join(name)).unwrap();
    let public_key = place.run("public-key key --format leansig-json").exits(0);
    assert_eq!(public_key.stdout, recorded("leansig-public-key.json"));
    let message = "07".repeat(32);
    let line = format!("sign key --epoch 5 --message {message} --format leansig-json");
    assert_eq!(place.run(&line).exits(0).stdout, recorded("leansig-signature.json"));
    place
        .run(&format!("sign key --epoch 5 --message {MESSAGE} --format leansig-json"))
        .exits(1);
}

#[test]
fn two_roles_are_two_keys_of_one_scheme() {
    let place = Place::new();
    place.file("prf-key", SEED);
    let other = PARAMETER.replacen("01", "02", 1);
    for (directory, asked) in [
        ("key", format!("{TINY} --prf-key-file prf-key --parameter {PARAMETER}")),
        // The same one-time keys under another name.
        ("again", format!("{TINY} --prf-key-file prf-key --parameter {other}")),
        ("foreign", OTHER_TINY.to_owned()),
    ] {
        place.run(&format!("keygen {directory} --scheme {asked}")).exits(0);
    }
    let line = "export key --format leanspec-json --out out.json --with";
    changing_nothing(&place, || {
        for same in ["key", "./key", "again"] {
            let refused = place.run(&format!("{line} {same}")).exits(2);
            refused.says(&["'key'", &format!("'{same}'"), "gives the key away"]);
        }
        let refused = place.run(&format!("{line} foreign")).exits(2);
        refused.says(&["'foreign'", TINY, OTHER_TINY]);
    });
}

#[test]
fn both_keys_of_a_file_have_the_window_that_is_asked_for_and_a_ledger_to_be_minded() {
    let place = imported(0);
    place.run(&format!("keygen other --scheme {TINY}")).exits(0);
    let outcome = place
        .run("export key --format leanspec-json --with other --epoch 100")
        .exits(0)
        .says(&["[96, 128)", "'key'", "'other'", "ledger show key", "ledger show other"]);
    let pairs = outcome.json();
    for (role, directory) in [("attestation", "key"), ("proposal", "other")] {
        let line = format!("export {directory} --format leansig-ssz --epoch 100");
        let alone = hex::encode(place.run(&line).exits(0).stdout);
        assert!(
            pairs[format!("{role}_keypair")]["secret_key"] == alone,
            "{role} key of '{directory}'"
        );
    }
    for line in ["export key --with other", "export other --with key"] {
        place
            .run(&format!("{line} --format leanspec-json --epoch 20"))
            .exits(2)
            .prints_nothing()
            .says(&["epoch 20", "'key'", "[80, 128)"]);
    }
    // Each has its own first epochs where none is asked for.
    place
        .run("export key --format leanspec-json --with other")
        .exits(0)
        .says(&["[80, 112)", "[0, 32)"]);
}
