//! Keystores: what is read of them, what opens them, and what is refused.

use std::fs;

use serde_json::{Value, json};

use super::facts::KeyFacts;
use super::format::Keystore;
use super::{Origin, Passphrase, Secret, Snapshot};
use crate::plan::Plan;
use crate::units::EpochRange;
use keymill_xmss::scheme::{Parameter, Scheme};

const LEANSIG: &str = "leansig-p1-l8-abort-v4-w8";
const LEANVM: &str = "leanvm-blake2s-l32-ts-v42-w8";

fn facts(scheme: &str, origin: Origin) -> KeyFacts {
    let scheme = Scheme::by_id(scheme).unwrap();
    let parameter = Parameter::of(&vec![1; scheme.parameter_bytes()]);
    KeyFacts {
        plan: Plan::new(scheme, 37, 20).unwrap(),
        origin,
        parameter: (origin == Origin::PrfKey).then_some(parameter),
        fillers: None,
        public_key: Some(vec![2; scheme.public_key_bytes()]),
    }
}

fn snapshot() -> Snapshot {
    Snapshot {
        stored: EpochRange { start: 32, end: 64 },
        spent: 3,
        highest: Some(41),
        reference: "a ledger".to_owned(),
        is_for_recovery: true,
    }
}

fn passphrase() -> Passphrase {
    Passphrase::new("open sesame").unwrap()
}

fn sealed(facts: KeyFacts) -> Keystore {
    let secret = facts.secret([7; 32]);
    Keystore::seal(facts, &secret, &passphrase(), Some(&snapshot())).unwrap()
}

/// Whether what is read of a text gives this secret under the passphrase; an error says why it is not read.
fn opens(text: &str, passphrase: &Passphrase) -> Result<bool, String> {
    let keystore = Keystore::parse(text.as_bytes())?;
    let opened = keystore.open(passphrase).unwrap();
    Ok(opened.is_some_and(|secret| *secret.bytes() == [7; 32]))
}

#[test]
fn a_secret_of_every_family_and_origin_comes_back_under_its_passphrase_alone() {
    for (scheme, origin) in [
        (LEANSIG, Origin::Fresh),
        (LEANSIG, Origin::Seed),
        (LEANSIG, Origin::PrfKey),
        ("hashsig-p2-l18-wots-v22-w256", Origin::Seed),
        (LEANVM, Origin::Fresh),
    ] {
        let keystore = sealed(facts(scheme, origin));
        let text = keystore.to_text().unwrap();
        assert_eq!(Keystore::parse(text.as_bytes()).unwrap(), keystore, "{scheme} {origin}");
        assert_eq!(opens(&text, &passphrase()), Ok(true), "{scheme} {origin}");
        let other = Passphrase::new("open, sesame").unwrap();
        assert_eq!(opens(&text, &other), Ok(false), "{scheme} {origin}");
        let opened = keystore.open(&passphrase()).unwrap().unwrap();
        assert!(opened.is_same_as(&keystore.facts().secret([7; 32])));
        assert!(!text.contains(&hex::encode([7; 32])));
    }
}

#[test]
fn two_keystores_of_one_secret_share_no_salt_no_nonce_and_no_name() {
    let texts = [(); 2].map(|()| sealed(facts(LEANSIG, Origin::Seed)).to_text().unwrap());
    let [one, other] = texts.map(|text| serde_json::from_str::<Value>(&text).unwrap());
    for path in [
        "/crypto/kdf/params/salt",
        "/crypto/cipher/params/iv",
        "/crypto/cipher/message",
        "/uuid",
    ] {
        assert_ne!(one.pointer(path).unwrap(), other.pointer(path).unwrap(), "{path}");
    }
}

/// What a change of one byte can do without harm: to the words for people, to the state, which nothing reads, and to blanks.
fn is_harmless(whole: &Value, changed: &str) -> bool {
    let Ok(mut changed) = serde_json::from_str::<Value>(changed) else {
        return false;
    };
    let mut whole = whole.clone();
    for value in [&mut whole, &mut changed] {
        let Some(object) = value.as_object_mut() else {
            return false;
        };
        for label in ["description", "path", "uuid", "state"] {
            object.remove(label);
        }
    }
    whole == changed
}

#[test]
fn every_byte_of_a_keystore_that_is_changed_is_refused_or_harmless() {
    let text = sealed(facts(LEANSIG, Origin::Seed)).to_text().unwrap();
    let whole: Value = serde_json::from_str(&text).unwrap();
    // It derives the key once for all of them.
    let passphrase = passphrase();
    let (mut refused, mut harmless) = (0, 0);
    for at in 0..text.len() {
        for flip in [0x01, 0x02, 0x10, 0x20] {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= flip;
            let Ok(changed) = String::from_utf8(bytes) else {
                continue;
            };
            // Another test tries a few of these, each of which costs a derivation.
            if Keystore::parse(changed.as_bytes()).is_ok_and(|keystore| keystore.has_other_kdf(&text)) {
                continue;
            }
            match opens(&changed, &passphrase) {
                Ok(true) => {
                    assert!(is_harmless(&whole, &changed), "byte {at}: {}", &text[at..]);
                    harmless += 1;
                }
                Ok(false) | Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 2000 && harmless > 300, "{refused} {harmless}");
}

#[test]
fn another_salt_or_other_costs_open_nothing() {
    let text = sealed(facts(LEANSIG, Origin::Seed)).to_text().unwrap();
    for (path, value) in [
        ("/crypto/kdf/params/salt", json!(hex::encode([9; 16]))),
        ("/crypto/kdf/params/m", json!(19_455)),
        ("/crypto/kdf/params/t", json!(3)),
        ("/crypto/kdf/params/p", json!(2)),
    ] {
        let changed = with(&text, path, Some(value));
        assert_eq!(opens(&changed, &passphrase()), Ok(false), "{path}");
    }
}

/// The text with another value in one place, or without it.
fn with(text: &str, path: &str, value: Option<Value>) -> String {
    let mut file: Value = serde_json::from_str(text).unwrap();
    let (parent, name) = path.rsplit_once('/').unwrap();
    let parent = file.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Some(value) => drop(parent.insert(name.to_owned(), value)),
        None => drop(parent.remove(name)),
    }
    file.to_string()
}

#[test]
fn what_is_not_a_keystore_that_can_be_trusted_is_refused_by_name() {
    let seed = sealed(facts(LEANSIG, Origin::Seed)).to_text().unwrap();
    let prf_key = sealed(facts(LEANSIG, Origin::PrfKey)).to_text().unwrap();
    let refused = |text: &str, path: &str, value: Option<Value>, word: &str| {
        let fault = Keystore::parse(with(text, path, value).as_bytes()).unwrap_err();
        assert!(fault.contains(word), "{path}: '{fault}' does not say '{word}'");
    };
    let params = |name: &str| format!("/scheme/params/{name}");
    let range = |id: &str, start: u64, end: u64| json!({ "id": id, "start": start, "end": end, "high_water": start });
    let cases: [(&str, Option<Value>, &str); 27] = [
        ("/version", Some(json!(4)), "its version is 4"),
        ("/version", None, "no 'version'"),
        ("/scheme/name", Some(json!("xmssmt")), "its scheme is 'xmssmt'"),
        ("/scheme", None, "missing field `scheme`"),
        (
            "/crypto/cipher/function",
            Some(json!("aes-128-ctr")),
            "its cipher is 'aes-128-ctr'",
        ),
        (
            "/crypto/kdf/function",
            Some(json!("scrypt")),
            "its key derivation is 'scrypt'",
        ),
        (
            "/crypto/checksum/function",
            Some(json!("sha256")),
            "its checksum is 'sha256'",
        ),
        (
            "/crypto/kdf/params/m",
            Some(json!(262_145)),
            "'m' of its key derivation is 262145",
        ),
        ("/crypto/kdf/params/m", Some(json!(7)), "'m' of its key derivation is 7"),
        (
            "/crypto/kdf/params/t",
            Some(json!(17)),
            "'t' of its key derivation is 17",
        ),
        (
            "/crypto/kdf/params/p",
            Some(json!(17)),
            "'p' of its key derivation is 17",
        ),
        (
            "/crypto/kdf/params/salt",
            Some(json!("00")),
            "'salt' of its key derivation is 1 byte",
        ),
        ("/crypto/kdf/params/dklen", Some(json!(64)), "'dklen' is 64"),
        ("/crypto/kdf/params/x", Some(json!(1)), "unknown field `x`"),
        (
            "/crypto/cipher/params/iv",
            Some(json!("00")),
            "'iv' has 1 bytes instead of 12",
        ),
        ("/crypto/cipher/message", Some(json!("AA".repeat(32))), "capitals"),
        ("/state/authoritative", Some(json!(true)), "calls itself authoritative"),
        (
            "/state/authority",
            Some(json!("embedded")),
            "'authority' of its 'state'",
        ),
        (
            "/state/reserved_ranges",
            Some(json!([range("a", 5, 9), range("b", 0, 5)])),
            "'reserved_ranges' of its 'state' overlap",
        ),
        ("/uuid", Some(json!("1d85ae20-35c5-4611-98e8")), "'uuid'"),
        ("/pubkey", Some(json!("00")), "'pubkey' has 1 bytes"),
        ("/origin", Some(json!("prf-key")), "'origin' is 'prf-key'"),
        (
            &params("index_mode"),
            Some(json!("counter")),
            "'index_mode' is counter, and synchronized",
        ),
        (&params("hash"), Some(json!("poseidon")), "unknown scheme 'poseidon'"),
        (&params("target_sum"), Some(json!(7)), "'target_sum' is 7, and 6"),
        (&params("draw"), None, "'draw' is none, and rand-stdrng"),
        (
            &params("parameter"),
            Some(json!("01".repeat(20))),
            "a seed draws its own 'parameter'",
        ),
    ];
    for (path, value, word) in cases {
        refused(&seed, path, value, word);
    }
    refused(&prf_key, &params("parameter"), None, "a PRF key needs its 'parameter'");
    refused(
        &prf_key,
        &params("draw"),
        Some(json!("rand-stdrng")),
        "'draw' is rand-stdrng, and none",
    );
    refused(&prf_key, &params("fillers"), Some(json!("00")), "1 bytes of 'fillers'");
    for (text, word) in [
        ("{}".to_owned(), "no 'version'"),
        ("[]".to_owned(), "expected an object"),
        (
            seed.replace("\"path\"", "\"uuid\": \"\", \"path\""),
            "duplicate field `uuid`",
        ),
        (format!("{seed}{{}}"), "trailing characters"),
        (" ".repeat(super::KEYSTORE_BYTES_MAX + 1), "more than 65536 bytes"),
    ] {
        let fault = Keystore::parse(text.as_bytes()).unwrap_err();
        assert!(fault.contains(word), "'{fault}' does not say '{word}'");
    }
}

/// Written by `tests/vectors/keystores/make.py`, with the libraries `argon2-cffi` and `cryptography`.
#[test]
fn keystores_that_other_code_wrote_give_their_secrets() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/keystores");
    let list = fs::read_to_string(format!("{folder}/answers.json")).unwrap();
    let list: Value = serde_json::from_str(&list).unwrap();
    let answers = list.as_array().unwrap();
    assert_eq!(answers.len(), 3);
    for answer in answers {
        let word = |name: &str| answer[name].as_str().unwrap();
        let text = fs::read_to_string(format!("{folder}/{}", word("file"))).unwrap();
        let keystore = Keystore::parse(text.as_bytes()).unwrap();
        let passphrase = Passphrase::new(word("passphrase")).unwrap();
        let secret = keystore.open(&passphrase).unwrap();
        let secret = secret.unwrap_or_else(|| panic!("{}", word("file")));
        assert_eq!(hex::encode(secret.bytes()), word("secret"));
        let is_prf_key = matches!(secret, Secret::PrfKey(_));
        assert_eq!(is_prf_key, word("kind") == "prf-key");
        assert!(keystore.facts().may_be_of(&secret), "{}", word("file"));
        assert!(keystore.open(&self::passphrase()).unwrap().is_none());
    }
}

#[test]
fn a_passphrase_derives_the_key_of_one_keystore_once_and_shows_nothing() {
    let keystore = sealed(facts(LEANSIG, Origin::Seed));
    let passphrase = passphrase();
    assert!(keystore.open(&passphrase).unwrap().is_some());
    let shown = format!("{passphrase:?} {keystore:?}");
    assert!(
        !shown.contains("sesame") && !shown.contains(&format!("{:?}", [7; 32])),
        "{shown}"
    );
    // A second one is not taken for the first.
    let other = sealed(facts(LEANSIG, Origin::Fresh));
    assert!(other.open(&passphrase).unwrap().is_some());
    assert!(keystore.open(&passphrase).unwrap().is_some());
}
