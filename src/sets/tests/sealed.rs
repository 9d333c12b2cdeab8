//! Sets whose secrets are under a passphrase.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::*;
use crate::failure::FailureKind;
use crate::keystore::Passphrase;
use crate::remedy::{Argument, Remedy};

fn sealed(validators: u64, words: &str) -> SetRequest {
    SetRequest {
        validators,
        is_distributed: false,
        keys_only: true,
        seed: None,
        passphrase: Some(Passphrase::new(words).unwrap()),
        restores_secrets: false,
        ..request()
    }
}

/// The directories of the keys, which have a keystore and no plain text of a secret.
fn key_directories(set: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(set).unwrap().map(|entry| entry.unwrap().path());
    let keys: Vec<_> = entries.filter(|path| path.join("manifest.toml").exists()).collect();
    for key in &keys {
        assert!(key.join("keystore.json").exists() && !key.join("secret").exists());
    }
    keys
}

/// What stands in each keystore at a place.
fn in_keystores(set: &Path, pointer: &str) -> BTreeSet<String> {
    let of_key = |key: &PathBuf| {
        let keystore: Value = serde_json::from_slice(&fs::read(key.join("keystore.json")).unwrap()).unwrap();
        keystore.pointer(pointer).unwrap().to_string()
    };
    key_directories(set).iter().map(of_key).collect()
}

#[test]
fn the_secrets_of_a_set_share_a_salt_over_all_runs_and_each_has_a_nonce_of_its_own() {
    let root = tempfile::tempdir().unwrap();
    let set = root.path().join("set");
    run(&set, sealed(2, "open sesame")).unwrap();
    run(&set, sealed(3, "open sesame")).unwrap();
    assert_eq!(in_keystores(&set, "/crypto/kdf/params/salt").len(), 1);
    assert_eq!(in_keystores(&set, "/crypto/cipher/params/iv").len(), 3);
    // Another set has another one.
    let other = root.path().join("other");
    run(&other, sealed(1, "open sesame")).unwrap();
    let salts = [&set, &other].map(|set| in_keystores(set, "/crypto/kdf/params/salt"));
    assert_ne!(salts[0], salts[1]);
}

#[test]
fn a_sealed_set_goes_on_with_its_own_passphrase_alone() {
    let root = tempfile::tempdir().unwrap();
    let set = root.path().join("set");
    let is_refused = |request: SetRequest, kind: FailureKind, reason: Reason| {
        let error = run(&set, request).unwrap_err();
        assert_eq!((error.kind(), error.reason()), (kind, reason), "{error}");
        error
    };
    // Of the first key there is a keystore, and no node.
    dies_while_it_computes(&set, sealed(1, "open sesame"));
    is_refused(sealed(1, "open barley"), FailureKind::No, Reason::WrongPassphrase);
    run(&set, sealed(1, "open sesame")).unwrap();
    // All keys are finished, and the next would be under another passphrase.
    is_refused(sealed(2, "open barley"), FailureKind::No, Reason::WrongPassphrase);
    let plain = SetRequest {
        passphrase: None,
        ..sealed(2, "open sesame")
    };
    let error = is_refused(plain, FailureKind::Directory, Reason::Contradiction);
    assert_eq!(error.remedies()[0], Remedy::Change(Argument::Seal), "{error}");
    run(&set, sealed(2, "open sesame")).unwrap();
    assert_eq!(key_directories(&set).len(), 2);
}

#[test]
fn secrets_under_a_passphrase_go_with_key_directories_alone() {
    let root = tempfile::tempdir().unwrap();
    let set = root.path().join("set");
    let with_files = SetRequest {
        keys_only: false,
        ..sealed(1, "open sesame")
    };
    let error = run(&set, with_files).unwrap_err();
    assert_eq!(error.kind(), FailureKind::Usage);
    assert!(error.to_string().contains("as plain text"), "{error}");
    let remedies = [Remedy::Give(Argument::KeysOnly), Remedy::LeaveOut(Argument::Seal)];
    assert_eq!(error.remedies(), remedies);
    assert!(!set.exists());
}
