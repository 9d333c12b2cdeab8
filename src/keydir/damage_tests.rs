//! Every bit of the manifest and of the secret.

use std::fs;
use std::path::Path;

use super::{FORMAT_VERSION, KeyDir, KeyPaths, LockedDir, Manifest, Origin, Secret, commitment};
use crate::error::Reason;
use crate::plan::Plan;
use crate::units::Fingerprint;
use keymill_xmss::hash::fingerprint;
use keymill_xmss::scheme::Parameter;
use keymill_xmss::scheme::Scheme;

/// A directory with the manifest and the secret of a key, and nothing else.
fn begun(directory: &Path, secret: &Secret, origin: Origin) -> LockedDir {
    let scheme = Scheme::by_id("leansig-p1-l8-abort-v4-w8").unwrap();
    let plan = Plan::new(scheme, 37, 20).unwrap();
    let parameter = [1; 20];
    let drawn = secret.draw(&plan, &Parameter::of(&parameter));
    let commitment = commitment(&drawn.prf_key);
    let mut manifest = Manifest::begin(plan, drawn.parameter, commitment, origin, drawn.fillers).sealed(vec![7; 32]);
    manifest = manifest.with_fingerprint(fingerprint(&drawn.prf_key, &drawn.parameter));
    manifest.format_version = FORMAT_VERSION;
    let locked = KeyPaths::open(directory).unwrap().lock().unwrap();
    locked.write_plain(secret, origin).unwrap();
    manifest.write(&locked).unwrap();
    locked
}

fn for_each_flipped_bit(path: &Path, mut look: impl FnMut(usize, u8)) {
    let whole = fs::read(path).unwrap();
    for offset in 0..whole.len() {
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[offset] ^= 1 << bit;
            fs::write(path, flipped).unwrap();
            look(offset, bit);
        }
    }
    fs::write(path, whole).unwrap();
}

#[test]
fn every_bit_of_the_manifest_counts() {
    let directory = tempfile::tempdir().unwrap();
    let paths = begun(directory.path(), &Secret::Seed([5; 32]), Origin::Seed);
    for_each_flipped_bit(paths.manifest().path(), |offset, bit| {
        let refused = Manifest::read(&paths.manifest()).err();
        let is_refused = refused.is_some_and(|error| error.path() == Some(paths.manifest().path()));
        assert!(is_refused, "bit {bit} of byte {offset}");
    });
    assert!(Manifest::read(&paths.manifest()).unwrap().is_some());
}

#[test]
fn every_bit_of_the_secret_counts() {
    let secrets = [
        (Secret::Seed([0xa5; 32]), Origin::Fresh),
        (Secret::Seed([0x5a; 32]), Origin::Seed),
        (Secret::PrfKey([0xfa; 32]), Origin::PrfKey),
    ];
    for (secret, origin) in secrets {
        let directory = tempfile::tempdir().unwrap();
        let paths = begun(directory.path(), &secret, origin);
        let key = KeyDir::open(directory.path()).unwrap();
        for_each_flipped_bit(paths.secret().path(), |offset, bit| {
            let refused = key.prf_key().err();
            let is_refused = refused.is_some_and(|error| error.reason() == Reason::SecretDamaged);
            assert!(is_refused, "{origin}: bit {bit} of byte {offset}");
        });
        key.prf_key().unwrap();
    }
}

#[test]
fn a_secret_whose_one_time_keys_are_not_those_of_the_fingerprint_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let paths = begun(directory.path(), &Secret::Seed([5; 32]), Origin::Seed);
    KeyDir::open(directory.path()).unwrap().prf_key().unwrap();
    let manifest = Manifest::read(&paths.manifest()).unwrap().unwrap();
    let other = manifest.clone().with_fingerprint(Fingerprint([9; 32]));
    other.write(&paths).unwrap();
    let refused = KeyDir::open(directory.path()).unwrap().prf_key().unwrap_err();
    assert_eq!(refused.path(), Some(paths.manifest().path()), "{refused}");
    // Of an earlier version, whatever it is, it is not one.
    let mut older = manifest;
    older.format_version = 2;
    older.write(&paths).unwrap();
    let refused = Manifest::read(&paths.manifest()).unwrap_err().to_string();
    assert!(refused.contains("fingerprint"), "{refused}");
}
