//! Key files of leanVM: read as strictly as can be, recognised, and written as leanVM's clients write them.

use keymill::Scheme;
use keymill::exchange::secret_key::{SecretKeyFile, SecretKeyForm};
use keymill_reference::leanvm::PlainKey;
use keymill_reference::leanvm_vectors::{self as vectors, Key};
use rayon::prelude::*;

const FORMS: [SecretKeyForm; 2] = [SecretKeyForm::LeanvmPostcard, SecretKeyForm::LeanvmBincode];

fn keys() -> impl Iterator<Item = Key> {
    ["s2", "s1"].into_iter().flat_map(vectors::keys)
}

/// The file of a recorded key over [0, 4) in an encoding.
fn small(form: SecretKeyForm) -> Vec<u8> {
    let key = keys().find(|key| (key.first_epoch, key.last_epoch) == (0, 3)).unwrap();
    key.files()[usize::from(form == FORMS[1])].1.to_vec()
}

fn written(key: &SecretKeyFile, form: SecretKeyForm) -> Vec<u8> {
    let mut bytes = Vec::new();
    key.write(form, &mut bytes).unwrap();
    bytes
}

/// Everything that an import looks at before it computes.
fn looked_at(bytes: &[u8], form: Option<SecretKeyForm>) -> Result<SecretKeyFile, String> {
    let key = SecretKeyFile::read(&mut &bytes[..], form, None).map_err(|error| error.to_string())?;
    let scheme = key.scheme(None).map_err(|error| error.to_string())?;
    match key.first_wrong_node(scheme.kernel(&key.head().parameter).as_ref()) {
        Some((level, node)) => Err(format!("node {node} of level {level}")),
        None => Ok(key),
    }
}

#[track_caller]
fn refused(bytes: &[u8], form: Option<SecretKeyForm>, words: &[&str]) {
    let error = looked_at(bytes, form).unwrap_err();
    for word in words {
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn every_recorded_key_file_is_recognised_and_written_in_both_encodings_byte_for_byte() {
    let mut seen = 0;
    for key in keys() {
        let files = key.files();
        for (name, file) in &files {
            let read = looked_at(file, None).unwrap();
            assert_eq!(read.public_key(), key.public_key);
            assert_eq!(read.scheme(None).unwrap().id(), key.variant().id());
            for (form, (other, expected)) in FORMS.into_iter().zip(&files) {
                assert!(written(&read, form) == *expected, "{name} to {other}");
            }
            seen += 1;
        }
    }
    assert_eq!(seen, 88);
}

/// Changes every byte of a file in two ways. Gives how many of them are read as another key.
fn change_every_byte(key: &Key, form: SecretKeyForm, file: &[u8]) -> usize {
    let mut read_as_another = 0;
    for (at, change) in (0..file.len()).flat_map(|at| [(at, 0x01), (at, 0x80)]) {
        let mut changed = file.to_vec();
        changed[at] ^= change;
        let Ok(read) = looked_at(&changed, Some(form)) else {
            continue;
        };
        let place = format!("{} [{}, {}] as {form:?}", key.variant, key.first_epoch, key.last_epoch);
        assert!(written(&read, form) == changed, "{place}, byte {at}");
        // Other epochs with as many nodes. An import makes the key, and finds another root.
        let stored = read.head().shape.stored();
        let made = PlainKey::new(key.variant(), key.seed, stored.start as u32, (stored.end - 1) as u32);
        assert_ne!(made.public_key(), read.public_key(), "{place}, byte {at}");
        read_as_another += 1;
    }
    read_as_another
}

#[test]
fn a_changed_byte_of_any_recorded_key_file_is_refused_or_is_seen_in_the_key() {
    let keys: Vec<Key> = keys().collect();
    let of_key = |key: &Key| {
        let files = FORMS.into_iter().zip(key.files());
        let changed = files.map(|(form, (_, file))| change_every_byte(key, form, file));
        changed.collect::<Vec<_>>()
    };
    let read_as_another: Vec<usize> = keys.par_iter().flat_map_iter(of_key).collect();
    assert_eq!(read_as_another.len(), 88);
    // At most the lowest bit of either epoch, of which some are refused.
    assert!(read_as_another.iter().all(|&count| count <= 2), "{read_as_another:?}");
    assert!(read_as_another.iter().sum::<usize>() > 20, "{read_as_another:?}");
}

#[test]
fn a_file_that_is_cut_short_or_goes_on_is_refused_at_that_byte() {
    for form in FORMS {
        let file = small(form);
        for length in 0..file.len() {
            let at = format!("at byte {length}, the file ends");
            refused(&file[..length], Some(form), &[&at]);
        }
        refused(
            &[&file[..], &[0]].concat(),
            None,
            &[&format!("at byte {}", file.len()), "goes on"],
        );
    }
}

#[test]
fn an_integer_has_one_form_and_where_it_follows_from_others_one_value() {
    let [postcard, bincode] = FORMS.map(small);
    let with = |file: &[u8], at: usize, old: usize, new: &[u8]| [&file[..at], new, &file[at + old..]].concat();
    // Epochs, P and seed, lowest level, number of levels, number of nodes.
    let cases: [(usize, &[u8], &str); 9] = [
        (
            0,
            &[0x80, 0],
            "at byte 0, the first epoch is written in more bytes than it takes",
        ),
        (
            0,
            &[0xff, 0xff, 0xff, 0xff, 0x10],
            "at byte 0, the first epoch is larger than 4 bytes hold",
        ),
        (
            0,
            &[0xff, 0xff, 0xff, 0xff, 0xff],
            "at byte 0, the first epoch is larger than 4 bytes hold",
        ),
        (0, &[4], "at byte 1, the last epoch is before the first one"),
        (1, &[16], "at byte 50, the lowest level is not 3"),
        (50, &[2], "at byte 50, the lowest level is not 1"),
        (51, &[31], "at byte 51, the number of levels is not 32"),
        (52, &[1], "at byte 52, the number of nodes of level 1 is not 2"),
        (
            52,
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            "at byte 52, the number of nodes",
        ),
    ];
    for (at, new, expected) in cases {
        refused(&with(&postcard, at, 1, new), Some(FORMS[0]), &[expected]);
    }
    let huge = [0xff; 8];
    refused(
        &with(&bincode, 56, 8, &huge),
        Some(FORMS[1]),
        &["at byte 56, the lowest level is not 1"],
    );
    refused(
        &with(&bincode, 64, 8, &huge),
        Some(FORMS[1]),
        &["at byte 64, the number of levels"],
    );
    refused(
        &with(&bincode, 72, 8, &huge),
        Some(FORMS[1]),
        &["at byte 72, the number of nodes of level 1"],
    );
}

#[test]
fn a_parameter_that_no_version_makes_is_refused_and_a_node_that_is_not_the_hash_of_its_children_named() {
    let file = small(FORMS[0]);
    let changed = |at: usize| {
        let mut changed = file.clone();
        changed[at] ^= 1;
        changed
    };
    for at in [2, 18, 49] {
        refused(
            &changed(at),
            None,
            &[
                "its public parameter is not what its seed makes",
                "leanvm-blake2s-l32-ts-v42-w8-b0",
            ],
        );
    }
    refused(&changed(53), None, &["node 0 of level 2"]);
    refused(&changed(file.len() - 1), None, &["node 0 of level 32"]);
}

#[test]
fn a_scheme_that_contradicts_the_file_is_refused() {
    let key = looked_at(&small(FORMS[0]), None).unwrap();
    let asked = |id: &str| key.scheme(Some(Scheme::by_id(id).unwrap())).unwrap_err().to_string();
    let other_version = asked("leanvm-blake2s-l32-ts-v42-w8-s1");
    assert!(
        other_version.contains("its seed makes under leanvm-blake2s-l32-ts-v42-w8"),
        "{other_version}"
    );
    let other_family = asked("leansig-p1-l8-abort-v4-w8");
    assert!(
        other_family.contains("leansig-ssz, leansig-json, leanspec-json"),
        "{other_family}"
    );
    assert!(key.write(SecretKeyForm::LeansigSsz, &mut std::io::sink()).is_err());
}

/// A version, the seed, the first and the last epoch, and levels of nodes of eight elements.
#[test]
fn a_key_of_leanvm_over_koala_bear_is_called_that_whatever_form_is_named() {
    let varint = |mut number: u32| {
        let mut bytes = Vec::new();
        while number >= 0x80 {
            bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
        bytes
    };
    let mut file = vec![1];
    file.extend([0xab; 32]);
    for number in [5, 1000, 3, 2] {
        file.extend(varint(number));
    }
    for element in 0..200_u32 {
        file.extend(varint(element.wrapping_mul(0x9e37_79b9) % 2_130_706_433));
    }
    for form in [None, Some(FORMS[0]), Some(FORMS[1]), Some(SecretKeyForm::LeansigSsz)] {
        refused(&file, form, &["a key of leanVM's KoalaBear XMSS, July 2026"]);
    }
}
