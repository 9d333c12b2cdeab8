//! `keymill import`: another program's key, made again on disk.

use keymill::Scheme;

use keymill::Level;
use keymill::plan::NodeIndex;
use rustix::process::Signal;

use super::fixtures::{
    LONG, MESSAGE, PARAMETER, SEED, TINY, changing_nothing, nothing_was_made, stop_after_first_batch,
};
use super::program::Place;
use crate::leanspec_keys;
use crate::skip::skip;
use keymill_reference::vectors::{self, Key};

/// The recorded keys whose secret keys are here, with their files.
fn recorded() -> impl Iterator<Item = (Key, Vec<u8>)> {
    vectors::keys().into_iter().filter_map(|key| {
        let ssz = key.secret_key_ssz()?;
        Some((key, ssz))
    })
}

/// A recorded key of the tiny scheme that stores [80, 128).
fn with_fillers() -> (Key, Vec<u8>) {
    recorded()
        .find(|(key, _)| key.scheme == TINY && key.stored() == (80, 128))
        .unwrap()
}

/// The secret key of a directory in SSZ.
#[track_caller]
fn exported(place: &Place, directory: &str) -> Vec<u8> {
    place
        .run(&format!("export {directory} --format leansig-ssz"))
        .exits(0)
        .stdout
}

#[test]
fn every_recorded_secret_key_becomes_a_key_that_goes_out_byte_for_byte() {
    let mut seen = 0;
    for (key, ssz) in recorded() {
        let place = Place::new();
        place.file("validator.ssz", &ssz);
        let line = "import key --from validator.ssz --progress none";
        let is_ambiguous = key.scheme.ends_with("-off10") || key.scheme.starts_with("hashsig");
        let line = if is_ambiguous {
            let refused = place.run(line).exits(2).says(&[&key.scheme, "--scheme"]);
            assert!(refused.stderr.contains("-off10"), "{}", refused.all());
            nothing_was_made(&place);
            format!("{line} --scheme {}", key.scheme)
        } else {
            line.to_owned()
        };
        let imported = place
            .run(&line)
            .exits(0)
            .says(&["root, top tree and window", "ledger init key"]);
        assert_eq!(imported.line(), hex::encode(&key.public_key_ssz));
        assert!(exported(&place, "key") == ssz, "{}", key.scheme);
        place.run("check key").exits(0);
        seen += 1;
    }
    assert_eq!(seen, 18);
}

#[test]
fn an_imported_key_signs_only_when_its_ledger_was_begun_and_then_as_recorded() {
    let (key, ssz) = with_fillers();
    let place = Place::new();
    place.file("validator.ssz", ssz);
    let imported = place
        .run("import key --from validator.ssz --format leansig-ssz --json")
        .exits(0);
    assert_eq!(imported.json()["scheme"], TINY);
    place
        .run(&format!("sign key --epoch 81 --message {MESSAGE}"))
        .exits(3)
        .says(&["ledger init key"]);
    place.run("ledger init key --first-epoch 80").exits(0);
    for recorded in &key.signatures {
        let message = hex::encode(recorded.message);
        let line = format!("sign key --epoch {} --message {message}", recorded.epoch);
        assert_eq!(place.run(&line).exits(0).line(), hex::encode(&recorded.signature_ssz));
    }
    // It is finished, and is what the file holds.
    place
        .run("import key --from validator.ssz")
        .exits(0)
        .says(&["already finished", "root, top tree and window"]);
}

/// A recorded key of the long scheme that stores a part of its lifetime.
fn long_with_fillers() -> (Key, Vec<u8>) {
    let name = format!("{LONG}_0442_100000_5000.ssz");
    recorded()
        .find(|(key, _)| key.secret_key_file.as_ref().is_some_and(|file| file.ends_with(&name)))
        .unwrap()
}

/// An import that is killed after the first batches.
#[track_caller]
fn begin_and_kill(place: &Place, directory: &str, file: &str) {
    let line = format!("import {directory} --from {file} --threads 1 --progress none");
    stop_after_first_batch(place, directory, &line, Signal::KILL);
}

#[test]
fn an_import_that_was_killed_goes_on_with_the_same_command_and_with_keygen() {
    let (_, ssz) = long_with_fillers();
    for resume in [
        "import key --from validator.ssz --progress none",
        "keygen key --progress none",
    ] {
        let place = Place::new();
        place.file("validator.ssz", &ssz);
        begin_and_kill(&place, "key", "validator.ssz");
        place.run(resume).exits(0);
        assert!(exported(&place, "key") == ssz, "{resume}");
    }
}

/// Replaces a node of the lowest level of the top tree, and hashes up to the root again.
fn with_other_bottom_root(scheme: &str, ssz: &[u8], node: u64) -> Vec<u8> {
    let scheme = Scheme::by_id(scheme).unwrap();
    let bytes = scheme.digest_bytes();
    let (lowest, root) = (
        usize::from(scheme.log_lifetime()) / 2,
        usize::from(scheme.log_lifetime()),
    );
    let kernel = scheme.kernel(&keymill::Parameter::of(&ssz[32..52]));
    let mut changed = ssz.to_vec();
    let mut node = NodeIndex(node);
    // Behind the fixed part and the head of the tree: the offsets of its layers, and then these.
    let (tree, mut layer) = (88 + 20, 4 * (root - lowest + 1));
    for level in lowest..=root {
        let at = tree + layer;
        let first = u64::from_le_bytes(ssz[at..at + 8].try_into().unwrap());
        let place = |node: u64| at + 12 + (node - first) as usize * bytes;
        if level == lowest {
            changed[place(node.0)] ^= 1;
        } else {
            let mut parent = vec![0; bytes];
            let below =
                tree + u32::from_le_bytes(ssz[tree + 4 * (level - 1 - lowest)..][..4].try_into().unwrap()) as usize;
            let first_below = u64::from_le_bytes(ssz[below..below + 8].try_into().unwrap());
            node = NodeIndex(node.0 / 2);
            let children = below + 12 + (2 * node.0 - first_below) as usize * bytes;
            kernel.parents(Level(level as u8), node, &changed[children..][..2 * bytes], &mut parent);
            changed[place(node.0)..][..bytes].copy_from_slice(&parent);
        }
        if level < root {
            let next = tree + 4 * (level + 1 - lowest);
            layer = u32::from_le_bytes(ssz[next..next + 4].try_into().unwrap()) as usize;
        }
    }
    changed
}

#[test]
fn a_top_tree_that_does_not_grow_from_its_prf_key_is_refused_before_the_key_is_sealed() {
    let (_, ssz) = with_fillers();
    let place = Place::new();
    // Of the bottom trees 5, 6 and 7 the last one is not in the window, so nothing but the whole tree shows it.
    place.file("false.ssz", with_other_bottom_root(TINY, &ssz, 7));
    place
        .run("import key --from false.ssz")
        .exits(3)
        .prints_nothing()
        .says(&["node 7 of level 4", "Do not sign", "delete it"]);
    assert_eq!(place.status("key").unwrap()["state"], "interrupted");
    place.run("public-key key").exits(3);
    place.run(&format!("sign key --epoch 81 --message {MESSAGE}")).exits(3);
    // Nor does the sound file go on with what the false one began, whose root the directory keeps.
    place.file("sound.ssz", &ssz);
    place
        .run("import key --from sound.ssz")
        .exits(3)
        .prints_nothing()
        .says(&["was begun", "one of the two sources is damaged", "in another directory"]);
    std::fs::remove_dir_all(place.path("key")).unwrap();
    // Also when the key was sealed before.
    place.run("import key --from sound.ssz").exits(0);
    place
        .run("import key --from false.ssz")
        .exits(3)
        .prints_nothing()
        .says(&["node 7 of level 4", "The directory is as it was"]);
    // Nor is one whose interval was changed to another one with trees in the same places.
    let mut shifted = ssz;
    assert_eq!(shifted[52], 80);
    shifted[52] = 64;
    place.file("shifted.ssz", shifted);
    place
        .run("import shifted --from shifted.ssz")
        .exits(3)
        .prints_nothing()
        .says(&["of level 4", "Do not sign"]);
    place.run("public-key shifted").exits(3);
}

#[test]
fn a_killed_import_is_sealed_by_keygen_with_the_root_of_its_file_and_with_no_other() {
    let (key, ssz) = long_with_fillers();
    let place = Place::new();
    // Of the bottom trees from 195 on, 199 is in no window that comes first.
    let damaged = with_other_bottom_root(LONG, &ssz, 199);
    let root = u32::from_le_bytes(damaged[80..84].try_into().unwrap()) as usize - 2 * 28;
    let false_root = hex::encode(&damaged[root..][..28]);
    let true_root = hex::encode(&key.public_key_ssz[..28]);
    assert_ne!(false_root, true_root);
    place.file("false.ssz", &damaged);
    begin_and_kill(&place, "key", "false.ssz");
    for _ in 0..2 {
        place
            .run("keygen key --progress none")
            .exits(3)
            .prints_nothing()
            .says(&[&false_root, &true_root, "is not finished", "can be deleted"]);
        assert_eq!(place.status("key").unwrap()["state"], "interrupted");
        place.run("public-key key").exits(3);
        // Nothing is damaged, and a repair does not change what the key has to be.
        place.run("repair key").exits(0);
    }
    place.file("sound.ssz", &ssz);
    begin_and_kill(&place, "sound", "sound.ssz");
    let unfinished = std::fs::read_to_string(place.path("sound/manifest.toml")).unwrap();
    assert!(unfinished.contains(&format!("\nexpected_root = \"{true_root}\"\n")));
    place.run("keygen sound --progress none").exits(0);
    // In the end nothing tells that it was imported: as one whose secret, parameter and fillers were given.
    place.run("import whole --from sound.ssz --progress none").exits(0);
    let [finished, whole] = ["sound", "whole"].map(|key| std::fs::read(place.path(key).join("manifest.toml")).unwrap());
    assert!(finished == whole);
    assert!(!String::from_utf8(finished).unwrap().contains("expected_root"));
}

#[test]
fn a_file_that_cannot_be_imported_makes_no_directory() {
    let (_, ssz) = with_fillers();
    let place = Place::new();
    place.file("validator.ssz", &ssz);
    place.file("cut.ssz", &ssz[..1000]);
    place.file("longer.ssz", [&ssz[..], b"!"].concat());
    place.file("nothing", "");
    place.file("text", "something else");
    let mut other_secret = ssz.clone();
    other_secret[0] ^= 1;
    place.file("other-secret.ssz", other_secret);
    place.file("other-top-node.ssz", with_other_bottom_root(TINY, &ssz, 5));
    let mut other_root = ssz.clone();
    // The last layer of the top tree is the root and its filler.
    let root = u32::from_le_bytes(ssz[80..84].try_into().unwrap()) as usize - 64;
    other_root[root] ^= 1;
    place.file("other-root.ssz", other_root);
    for (arguments, code, fragments) in [
        ("--from absent", 2, &["'absent'"][..]),
        ("--from .", 2, &["'.'"]),
        ("--from cut.ssz", 2, &["'cut.ssz'", "at byte 1000", "cut short"]),
        ("--from longer.ssz", 2, &["at byte 2756", "goes on"]),
        ("--from nothing", 2, &["not a secret key of a known form", "empty"]),
        ("--from text", 2, &["not a secret key of a known form"]),
        ("--from other-secret.ssz", 2, &["node 80 of level 0"]),
        ("--from other-top-node.ssz", 2, &["node 5 of level 4"]),
        ("--from other-root.ssz", 2, &["node 0 of level 8"]),
        ("--from validator.ssz --format leansig-json", 2, &["at byte 0"]),
        ("--from validator.ssz --role proposal", 2, &["--role"]),
        (
            "--from validator.ssz --scheme leansig-p2-l8-top-v64-w8",
            2,
            &["node 80 of level 0"],
        ),
        (
            "--from validator.ssz --scheme leansig-p2-l32-top-v64-w8",
            2,
            &["2^8", TINY],
        ),
    ] {
        changing_nothing(&place, || {
            place
                .run(&format!("import key {arguments}"))
                .exits(code)
                .prints_nothing()
                .says(fragments);
        });
        nothing_was_made(&place);
    }
}

#[test]
fn another_file_does_not_go_on_with_a_directory() {
    let (_, ssz) = with_fillers();
    let (_, other) = recorded()
        .find(|(key, _)| key.scheme == TINY && key.stored() == (0, 256))
        .unwrap();
    let place = Place::new();
    place.file("validator.ssz", ssz);
    place.file("other.ssz", other);
    place.run("import key --from validator.ssz").exits(0);
    changing_nothing(&place, || {
        place
            .run("import key --from other.ssz")
            .exits(3)
            .prints_nothing()
            .says(&["holds another key", "other.ssz"]);
    });
}

#[test]
fn leanspecs_published_keys_come_in_and_go_out_as_the_very_files() {
    if !leanspec_keys::folder().exists() {
        skip("leanSpec's published keys are not beside this clone");
        return;
    }
    let mut seen = 0;
    for entry in std::fs::read_dir(leanspec_keys::folder()).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let pairs: serde_json::Value = serde_json::from_str(&text).unwrap();
        let place = Place::new();
        place.file("validator.json", &text);
        place.run("import key --from validator.json").exits(2).says(&["--role"]);
        for role in ["attestation", "proposal"] {
            let line = format!("import {role} --from validator.json --role {role}");
            let public_key = place.run(&line).exits(0).line();
            assert_eq!(pairs[format!("{role}_keypair")]["public_key"], public_key);
            seen += 1;
        }
        for line in [
            "export attestation --format leanspec-json --with proposal",
            "export proposal --role proposal --format leanspec-json --with attestation",
        ] {
            assert!(place.run(line).exits(0).text() == text, "{line}");
        }
    }
    assert_eq!(seen, 16);
}

#[test]
fn a_pair_whose_public_key_is_another_ones_is_refused() {
    let (key, ssz) = with_fillers();
    let place = Place::new();
    place.file("validator.ssz", ssz);
    place.run("import key --from validator.ssz").exits(0);
    let text = place.run("export key --format leanspec-json --role proposal").exits(0);
    let text = text.says(&["proposal key alone", "--with"]).text().to_owned();
    let public_key = hex::encode(&key.public_key_ssz);
    assert!(text.starts_with(&format!(
        "{{\n  \"proposal_keypair\": {{\n    \"public_key\": \"{public_key}\""
    )));
    place.file("validator.json", &text);
    place.run("import again --from validator.json").exits(0);
    let other = format!("{}{}", "00000000", &public_key[8..]);
    place.file("other.json", text.replace(&public_key, &other));
    place
        .run("import other --from other.json")
        .exits(2)
        .says(&[&other, &public_key]);
    place
        .run("import other --from validator.json --role attestation")
        .exits(2)
        .says(&["no attestation key"]);
}

/// A key file with the attestation key of one directory and the proposal key of another one.
fn both_roles(place: &Place, attestation: &str, proposal: &str) -> String {
    let alone = |directory: &str, role: &str| {
        let line = format!("export {directory} --format leanspec-json --role {role}");
        place.run(&line).exits(0).text().to_owned()
    };
    let (first, second) = (alone(attestation, "attestation"), alone(proposal, "proposal"));
    let first = first.strip_suffix("\n}").unwrap();
    let second = second.strip_prefix("{\n").unwrap();
    format!("{first},\n{second}")
}

#[test]
fn a_file_of_one_key_in_both_roles_is_refused() {
    let place = Place::new();
    place.file("prf-key", SEED);
    let other = PARAMETER.replacen("01", "02", 1);
    for (directory, parameter) in [("one", PARAMETER), ("other", &other)] {
        let line = format!("keygen {directory} --scheme {TINY} --prf-key-file prf-key --parameter {parameter}");
        place.run(&line).exits(0);
    }
    place.run(&format!("keygen second --scheme {TINY}")).exits(0);
    for (proposal, code) in [("one", 2), ("other", 2), ("second", 0)] {
        place.file("validator.json", both_roles(&place, "one", proposal));
        for role in ["attestation", "proposal"] {
            let line = format!("import {proposal}-{role} --from validator.json --role {role}");
            let outcome = place.run(&line).exits(code);
            if code == 2 {
                outcome.prints_nothing().says(&["are the same", "gives the key away"]);
                assert!(!place.path(&format!("{proposal}-{role}")).exists());
            }
        }
    }
}
