//! Key directories that a program of format version 2 wrote.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use keymill::Scheme;
use keymill::xmss::hash::fingerprint;

use super::fixtures::{TINY, changing_nothing};
use super::ledger::message;
use super::lookup::{has_python, look_up};
use super::program::{Outcome, Place};
use keymill_reference::vectors::folder;

/// Copies a directory; the modes that a key has are not kept in a repository.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() {
            copy(&path, &to);
            continue;
        }
        fs::copy(&path, &to).unwrap();
        fs::set_permissions(&to, Permissions::from_mode(0o600)).unwrap();
    }
}

/// A place in which these keys lie as that program left them.
fn place_of(names: &[&str]) -> Place {
    let place = Place::new();
    for name in names {
        copy(&folder().join("format-2").join(name), &place.path(name));
    }
    place
}

fn sign(place: &Place, key: &str, epoch: u64, number: u64) -> Outcome {
    place.run(&format!("sign {key} --epoch {epoch} --message {}", message(number)))
}

/// The line of the fingerprint that all of them but the fresh ones have to get.
fn fingerprint_line() -> String {
    let seed = std::array::from_fn(|at| 100 + at as u8);
    let drawn = Scheme::by_id(TINY).unwrap().draw(&seed, &[]);
    format!("fingerprint = \"{}\"\n", fingerprint(&drawn.prf_key, &drawn.parameter))
}

fn manifest(place: &Place, key: &str) -> String {
    fs::read_to_string(place.path(key).join("manifest.toml")).unwrap()
}

#[test]
fn keys_of_format_version_2_keep_their_history_and_get_their_fingerprint() {
    let keys = [
        // Its name, what its ledger says, from where it is unused, how many epochs are spent, and one that is, on message 1.
        ("never_signed", "no-history", None, 0, None),
        ("signed", "sound", Some(2), 2, Some(3)),
        ("signed_fresh", "sound", Some(0), 1, Some(4)),
        ("trimmed", "sound", Some(0), 1, Some(5)),
        ("without_secret", "sound", Some(0), 1, None),
    ];
    let place = place_of(&keys.map(|key| key.0));
    for (key, state, first_epoch, spent, signed) in keys {
        if has_python() {
            look_up(&place, &format!("{key} --check")).exits(0);
        }
        let check = format!("check {key}");
        place
            .run(&check)
            .exits(3)
            .says(&["format version 2", "keymill migrate"]);
        changing_nothing(&place, || {
            let promised = place.run(&format!("migrate {key} --dry-run")).exits(0);
            promised.prints(&["0003", "fingerprint", "history.jsonl", "write format version 3"]);
        });
        place.run(&format!("migrate {key}")).exits(0);
        place.run(&format!("migrate {key}")).exits(0).prints(&["nothing to do"]);
        place.run(&check).exits(0);
        if has_python() {
            look_up(&place, &format!("{key} --check")).exits(0);
        }
        let report = place.run(&format!("report {key} --json")).exits(0).json();
        let end = report["runs"].as_array().unwrap().last().unwrap()["end"].clone();
        let samples = report["samples"].as_array().unwrap();
        assert!(
            end == "finished" && samples.last().unwrap()["batches_done"] == 1,
            "{report}"
        );
        let code = i32::from(state != "sound");
        let shown = place.run(&format!("ledger show {key} --json")).exits(code).json();
        assert_eq!(
            (&shown["state"], &shown["first_epoch"], &shown["spent"]),
            (&state.into(), &first_epoch.into(), &spent.into()),
            "{key}"
        );
        let fingerprints = manifest(&place, key).matches("\nfingerprint = ").count();
        assert_eq!(fingerprints, usize::from(key != "without_secret"), "{key}");
        assert!(!key.starts_with("signed_") || !manifest(&place, key).contains(&fingerprint_line()));
        if let Some(epoch) = signed {
            sign(&place, key, epoch, 1).exits(0);
            sign(&place, key, epoch, 7).exits(1).prints_nothing();
            sign(&place, key, 20, 7).exits(0);
        }
    }
    sign(&place, "never_signed", 20, 7)
        .exits(3)
        .prints_nothing()
        .says(&["ledger init"]);
    for key in ["never_signed", "signed", "trimmed"] {
        assert!(manifest(&place, key).contains(&fingerprint_line()), "{key}");
    }
    // Its history is that of the same one-time keys.
    place.run("ledger export signed --out ledger").exits(0);
    place
        .run("ledger import trimmed ledger")
        .exits(0)
        .prints(&["2 epochs added, 1 known before"]);
    sign(&place, "trimmed", 9, 7).exits(1);
}

#[test]
fn a_key_that_was_migrated_without_its_secret_gets_its_fingerprint_when_the_secret_is_at_hand() {
    for way in ["restore", "ledger", "repair"] {
        let place = place_of(&["without_secret", "signed"]);
        place.run("migrate without_secret").exits(0);
        assert!(!manifest(&place, "without_secret").contains("fingerprint"));
        place.run("path without_secret --epoch 3").exits(0);
        let put_back = || {
            fs::copy(place.path("signed/secret"), place.path("without_secret/secret")).unwrap();
        };
        match way {
            "restore" => {
                place.run("backup signed --out text").exits(0);
                place.run("restore without_secret --from text").exits(0);
                // Epoch 7 is spent, and what was behind it while the secret was elsewhere nobody knows.
                let refused = place.run("ledger init without_secret --first-epoch 7").exits(3);
                refused.says(&["use 8 or more"]);
            }
            "ledger" => {
                put_back();
                sign(&place, "without_secret", 7, 1).exits(0);
            }
            _ => {
                put_back();
                place.run("repair without_secret").exits(0);
            }
        }
        assert!(
            manifest(&place, "without_secret").contains(&fingerprint_line()),
            "{way}"
        );
        place.run("check without_secret --deep").exits(0);
    }
}

#[test]
fn a_key_that_a_program_of_format_version_2_began_is_finished_with_its_past() {
    let place = place_of(&["unfinished", "unfinished_fresh", "never_signed"]);
    place.run("migrate never_signed").exits(0);
    let public_key = place.run("public-key never_signed").exits(0).line();
    assert_eq!(place.run("keygen unfinished").exits(0).line(), public_key);
    assert!(manifest(&place, "unfinished").contains(&fingerprint_line()));
    sign(&place, "unfinished", 3, 1)
        .exits(3)
        .prints_nothing()
        .says(&["ledger init"]);
    // Of this one nobody but that program has had the secret.
    place.run("keygen unfinished_fresh").exits(0);
    assert!(manifest(&place, "unfinished_fresh").contains("\nfingerprint = "));
    sign(&place, "unfinished_fresh", 3, 1).exits(0);
    for key in ["unfinished", "unfinished_fresh"] {
        place.run(&format!("check {key} --deep")).exits(0);
    }
}
