//! The recorded keys of the longest lifetime. Their secret keys have 8 MB each and are not kept here, but their hashes are:
//! `tools/large-keys` makes the keys, exports them, and imports what it exported.

use std::fs;
use std::process::Command;

use super::program::Place;
use crate::layers_on_disk::layer_files;
use keymill_reference::vectors::{self, Key};

/// What has to be the same of a key that was made and of one that was imported: all of the manifest but for the line that
/// says where the secret came from, and the checksum.
fn manifest(place: &Place, directory: &str) -> String {
    let text = fs::read_to_string(place.path(directory).join("manifest.toml")).unwrap();
    let is_same = |line: &&str| !["origin = ", "checksum = "].iter().any(|key| line.starts_with(key));
    text.lines().filter(is_same).collect::<Vec<_>>().join("\n")
}

fn sha256(place: &Place, file: &str) -> String {
    let output = Command::new("sha256sum").arg(place.path(file)).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split(' ').next().unwrap().to_owned()
}

#[track_caller]
fn import(place: &Place, directory: &str, file: &str, key: &Key) {
    let line = format!("import {directory} --from {file} --progress none");
    assert_eq!(place.run(&line).exits(0).line(), hex::encode(&key.public_key_ssz));
}

fn goes_out_and_comes_in(key: &Key) {
    let place = Place::new();
    place.file("seed", key.rng_seed);
    let (scheme, first, end) = (&key.scheme, key.stored_start, key.stored_end);
    // An import knows which epochs are stored, and not which were asked for.
    let line = format!("--scheme {scheme} --activation-epoch {first} --epochs {}", end - first);
    let made = place.run(&format!("keygen made {line} --seed-file seed --progress none"));
    assert_eq!(made.exits(0).line(), hex::encode(&key.public_key_ssz));
    for (file, flags) in [
        ("first.ssz", String::new()),
        ("last.ssz", format!("--epoch {}", end - 1)),
    ] {
        let line = format!("export made --format leansig-ssz --out {file} {flags}");
        place.run(&line).exits(0);
        let bytes = fs::metadata(place.path(file)).unwrap().len();
        assert_eq!(Some(bytes), key.secret_key_ssz_len, "{line}");
        // The recorded keys store two bottom trees, so that there is one window.
        let recorded = key.secret_key_ssz_sha256.as_deref().map(hex::encode);
        assert_eq!(Some(sha256(&place, file)), recorded, "{line}");
        let directory = file.strip_suffix(".ssz").unwrap();
        import(&place, directory, file, key);
        assert_eq!(manifest(&place, directory), manifest(&place, "made"), "{line}");
        let layers = [directory, "made"].map(|directory| layer_files(&place.path(directory)));
        assert!(layers[0] == layers[1], "{line}: the layer files of the import differ");
    }
    for name in ["manifest.toml", "secret"] {
        let [first, last] = ["first", "last"].map(|key| fs::read(place.path(key).join(name)).unwrap());
        assert!(first == last, "two imports of one key have another {name}");
    }
}

/// `tools/large-keys` runs this one, and says in the environment which keys.
#[test]
#[ignore = "a key takes half a minute; tools/large-keys runs it"]
fn recorded_keys_of_the_longest_lifetime_go_out_and_come_in_byte_for_byte() {
    let keys = vectors::keys().into_iter().filter(|key| key.scheme.contains("-l32-"));
    let rows = std::env::var("LARGE_KEYS_ROWS").unwrap();
    let is_asked = |row: usize| rows == "all" || rows.split(' ').any(|asked| asked == row.to_string());
    let mut seen = 0;
    for (row, key) in (1..).zip(keys) {
        seen = row;
        if is_asked(row) {
            goes_out_and_comes_in(&key);
            println!(
                "row {row}, {}, [{}, {}): the same",
                key.scheme, key.stored_start, key.stored_end
            );
        }
    }
    assert_eq!(seen, 8, "the rows that tools/large-keys takes");
}
