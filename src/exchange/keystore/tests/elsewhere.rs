//! Keystores that leave a key, and keys that are made of keystores.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{MESSAGE, form, make_sealed, other_passphrase, passphrase, turned};
use crate::audit::fixture_tests::{TINY, TestKey};
use crate::error::{Error, Reason, Result};
use crate::exchange::keystore::{KeystoreExport, read_keystore};
use crate::failure::FailureKind;
use crate::keydir::{KeyDir, KeyPlace, Secret, SecretForm};
use crate::keygen::KeyRequest;
use crate::keystore::Passphrase;
use crate::ledger::{LedgerCondition, show};
use crate::signing::Signer;
use crate::units::Epoch;
use keymill_xmss::scheme::{Parameter, Scheme};

fn exported(key: KeyPlace<'_>) -> String {
    let mut text = Vec::new();
    KeystoreExport::open(key, &passphrase())
        .unwrap()
        .write(&mut text)
        .unwrap();
    String::from_utf8(text).unwrap()
}

/// Makes the key of a keystore in an empty directory.
fn import(text: &str, passphrase: &Passphrase) -> Result<TestKey> {
    let key = TestKey::empty();
    let file = key.path().with_file_name("keystore");
    fs::write(&file, text).unwrap();
    let request = read_keystore(&file, passphrase)?.request(&key.path())?;
    make_sealed(&key.path(), request, passphrase)?;
    Ok(key)
}

#[test]
fn a_keystore_that_left_makes_the_same_key_elsewhere_and_neither_signs_before_a_beginning() {
    let key = turned(SecretForm::Keystore);
    let passphrase = passphrase();
    let place = key.path();
    let place = KeyPlace::new(&place).passphrase(&passphrase);
    Signer::open(place).unwrap().sign(Epoch(7), &MESSAGE).unwrap();
    let text = exported(place);
    let state = serde_json::from_str::<Value>(&text).unwrap()["state"].clone();
    assert_eq!(
        (&state["authoritative"], &state["recovery_only"]),
        (&false.into(), &true.into())
    );
    assert_eq!(
        (&state["high_water"], &state["capacity"]["consumed"]),
        (&7.into(), &1.into())
    );
    assert!(
        state["reference"]
            .as_str()
            .unwrap()
            .contains(&KeyDir::open(place).unwrap().manifest().key_id().to_string())
    );
    let made = import(&text, &passphrase).unwrap();
    assert_eq!(made.layers(), key.layers());
    assert_eq!(form(&made.path()), SecretForm::Keystore);
    for directory in [key.path(), made.path()] {
        let place = KeyPlace::new(&directory).passphrase(&passphrase);
        let refused = Signer::open(place).unwrap().sign(Epoch(9), &MESSAGE).unwrap_err();
        assert_eq!(refused.reason(), Reason::NoHistory);
        assert_eq!(show(&directory).unwrap().condition, LedgerCondition::NoHistory);
    }
    let wrong = import(&text, &other_passphrase()).err().unwrap();
    assert_eq!(wrong.reason(), Reason::WrongPassphrase);
}

#[test]
fn a_state_that_claims_that_less_was_spent_lets_nothing_sign() {
    let key = turned(SecretForm::Keystore);
    let path = key.path().join("keystore.json");
    let passphrase = passphrase();
    let directory = key.path();
    let place = KeyPlace::new(&directory).passphrase(&passphrase);
    Signer::open(place).unwrap().sign(Epoch(7), &MESSAGE).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let mut file: Value = serde_json::from_str(&text).unwrap();
    file["state"]["high_water"] = Value::Null;
    file["state"]["capacity"]["consumed"] = 0.into();
    fs::write(&path, file.to_string()).unwrap();
    let refused = Signer::open(place).unwrap().sign(Epoch(7), &[2; 32]).unwrap_err();
    assert_eq!(refused.reason(), Reason::Spent);
}

#[test]
fn an_export_that_cannot_be_noted_writes_nothing() {
    let key = turned(SecretForm::Plain);
    let signer = Signer::open(&key.path()).unwrap();
    let mut text = Vec::new();
    let export = KeystoreExport::open(&key.path(), &passphrase()).unwrap();
    let refused = export.write(&mut text).unwrap_err();
    assert_eq!((refused.reason(), text.len()), (Reason::Locked, 0));
    drop(signer);
    export.write(&mut text).unwrap();
    assert_eq!(show(&key.path()).unwrap().condition, LedgerCondition::NoHistory);
}

#[test]
fn keystores_that_other_code_wrote_lead_to_the_public_keys_that_other_libraries_computed() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/keystores"));
    let answers: Value = serde_json::from_slice(&fs::read(folder.join("answers.json")).unwrap()).unwrap();
    for answer in answers.as_array().unwrap() {
        let file = folder.join(answer["file"].as_str().unwrap());
        let passphrase = Passphrase::new(answer["passphrase"].as_str().unwrap()).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let expected: Value = serde_json::from_str(&text).unwrap();
        let key = import(&text, &passphrase).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let public_key = KeyDir::open_sealed(&key.path())
            .unwrap()
            .manifest()
            .public_key()
            .unwrap();
        assert_eq!(
            hex::encode(public_key),
            expected["pubkey"].as_str().unwrap(),
            "{}",
            file.display()
        );
    }
}

#[test]
fn a_prf_key_with_fillers_of_its_own_comes_back_with_them() {
    let key = TestKey::empty();
    let scheme = Scheme::by_id(TINY).unwrap();
    let request = KeyRequest {
        scheme: Some(scheme),
        activation_epoch: Some(37),
        epochs: Some(20),
        secret: Some(Secret::PrfKey([9; 32])),
        parameter: Some(Parameter::of(&[1; 20])),
        ..KeyRequest::default()
    };
    let plan = crate::plan::Plan::new(scheme, 37, 20).unwrap();
    let fillers = vec![3; plan.filler_count() * scheme.digest_bytes()];
    let request = KeyRequest {
        fillers: Some(fillers),
        ..request
    };
    make_sealed(&key.path(), request, &passphrase()).unwrap();
    let passphrase = passphrase();
    let made = import(
        &exported(KeyPlace::new(&key.path()).passphrase(&passphrase)),
        &passphrase,
    )
    .unwrap();
    assert_eq!(made.layers(), key.layers());
    let id = |key: &TestKey| KeyDir::open(&key.path()).unwrap().manifest().key_id();
    assert_eq!(id(&made), id(&key));
}

#[test]
fn a_keystore_that_is_changed_under_way_is_refused_before_anything_is_made() {
    let key = turned(SecretForm::Plain);
    let text = exported(KeyPlace::new(&key.path()));
    let epochs = text.replace("\"active_epochs\": 256", "\"active_epochs\": 255");
    assert_ne!(text, epochs);
    let refused = |error: Option<Error>| error.map(|error| error.reason());
    assert_eq!(
        refused(import(&epochs, &passphrase()).err()),
        Some(Reason::WrongPassphrase)
    );
    let huge = text.replace("\"m\": 19456", "\"m\": 4000000000");
    assert_eq!(import(&huge, &passphrase()).err().unwrap().kind(), FailureKind::Usage);
}
