//! The secret is in DIR/secret and nowhere else.

use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use super::fixtures::{LONG, MESSAGE, PARAMETER, SEED, SMALL_GROUPS, TINY, snapshot};
use super::program::{Outcome, Place};
use keymill_reference::{Reference, draw_from_seed};

/// The 32 bytes in DIR/secret, and what kind of secret the file says they are.
fn secret_in_file(place: &Place) -> (String, Vec<u8>) {
    let text = std::fs::read_to_string(place.path("key/secret")).unwrap();
    let (kind, digits) = text.lines().nth(1).unwrap().split_once(' ').unwrap();
    (kind.to_owned(), hex::decode(digits).unwrap())
}

/// A secret in every form in which it might leak.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let digits = hex::encode(secret);
    let reversed: Vec<u8> = secret.iter().rev().copied().collect();
    let listed: Vec<String> = secret.iter().map(u8::to_string).collect();
    vec![
        secret.to_vec(),
        digits.to_uppercase().into(),
        digits.into(),
        hex::encode(&reversed).into(),
        reversed,
        listed.join(", ").into(),
    ]
}

fn holds(bytes: &[u8], form: &[u8]) -> bool {
    bytes.windows(form.len()).any(|window| window == form)
}

/// Every place, other than DIR/secret, where one of the secrets can be read.
fn leaks(place: &Place, outcomes: &[Outcome], secrets: &[Vec<u8>]) -> Vec<String> {
    let mut found = Vec::new();
    let files = snapshot(&place.path("key"));
    assert!(files.keys().any(|name| name.starts_with(place.path("key/state"))));
    for form in secrets.iter().flat_map(|secret| forms(secret)) {
        for (name, (_, content)) in &files {
            let content = content.as_deref().unwrap_or_default();
            if *name != place.path("key/secret") && holds(content, &form) {
                found.push(name.display().to_string());
            }
        }
        for outcome in outcomes {
            if holds(&outcome.stdout, &form) || holds(outcome.stderr.as_bytes(), &form) {
                found.push(outcome.all());
            }
        }
    }
    found
}

/// Everything that can be asked of a key, with the most talkative log.
fn ask_everything(place: &Place, keygen: &str) -> Vec<Outcome> {
    let sign = format!("sign key --epoch 5 --message {MESSAGE}");
    let lines = [
        keygen,
        "keygen key",
        "status key",
        "status key --json",
        "public-key key --format json",
        "path key --epoch 5",
        "ledger init key --first-epoch 0",
        &sign,
        "ledger show key",
        "ledger export key",
        "check key --deep",
        "migrate key",
    ];
    lines
        .iter()
        .map(|line| place.run_with(&[("KEYMILL_LOG", "trace")], line).exits(0))
        .collect()
}

#[test]
fn two_fresh_keys_have_nothing_in_common() {
    let keys: Vec<_> = (0..2)
        .map(|_| {
            let place = Place::new();
            let public_key = place.run(&format!("keygen key --scheme {TINY}")).exits(0).line();
            assert_eq!(place.status("key").unwrap()["origin"], "fresh");
            (public_key, secret_in_file(&place).1)
        })
        .collect();
    assert_ne!(keys[0].1, keys[1].1);
    let digits = |i: usize| keys[i].0.as_bytes().chunks(8);
    assert!(digits(0).zip(digits(1)).all(|(a, b)| a != b));
}

#[test]
fn the_secret_file_is_for_its_owner_alone() {
    let place = Place::new();
    place.run(&format!("keygen key --scheme {TINY}")).exits(0);
    let metadata = std::fs::metadata(place.path("key/secret")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
    assert_eq!(secret_in_file(&place).0, "fresh-seed");
}

#[test]
fn a_fresh_seed_and_its_prf_key_are_in_no_other_file_and_no_output() {
    let place = Place::new();
    let outcomes = ask_everything(&place, &format!("keygen key --scheme {TINY}"));
    let seed: [u8; 32] = secret_in_file(&place).1.try_into().unwrap();
    let drawn = draw_from_seed(TINY, &seed, (0, 256));
    // The draw is the one that the key was made with.
    assert!(outcomes[0].line().ends_with(&hex::encode(&drawn.parameter)));
    let secrets = [seed.to_vec(), drawn.prf_key.to_vec()];
    assert_eq!(leaks(&place, &outcomes, &secrets), Vec::<String>::new());
}

#[test]
fn a_given_prf_key_is_in_no_other_file_and_no_output() {
    let place = Place::new();
    place.file("prf", SEED);
    let keygen = format!("keygen key --scheme {LONG} --epochs 256 --prf-key-file prf --parameter {PARAMETER}");
    let outcomes = ask_everything(&place, &keygen);
    assert_eq!(secret_in_file(&place), ("prf-key".to_owned(), SEED.to_vec()));
    assert_eq!(leaks(&place, &outcomes, &[SEED.to_vec()]), Vec::<String>::new());
}

#[test]
fn no_chain_start_is_stored() {
    let place = Place::new();
    place.file("prf", SEED);
    let line = format!("keygen key --scheme {TINY} --prf-key-file prf --parameter {PARAMETER}");
    place.run(&line).exits(0);
    let reference = Reference::new(TINY, &hex::decode(PARAMETER).unwrap());
    let starts: Vec<_> = (0..4).map(|chain| reference.chain_start(&SEED, 0, chain)).collect();
    assert_eq!(leaks(&place, &[], &starts), Vec::<String>::new());
}

/// Canonical elements in Montgomery form, in which they are computed with: times 2^32 mod p.
fn montgomery(canonical: &[u8]) -> Vec<u8> {
    let prime = (1u64 << 31) - (1 << 24) + 1;
    let (words, _) = canonical.as_chunks::<4>();
    let form = |word: &[u8; 4]| ((u64::from(u32::from_le_bytes(*word)) << 32) % prime) as u32;
    words.iter().flat_map(|word| form(word).to_le_bytes()).collect()
}

#[test]
fn a_key_that_was_killed_and_finished_has_left_no_secret_and_no_chain_start_anywhere() {
    let place = Place::new();
    place.file("prf", SEED);
    let log = [SMALL_GROUPS[0], ("KEYMILL_LOG", "trace"), ("RUST_BACKTRACE", "full")];
    let line = format!(
        "keygen key --scheme {LONG} --epochs 2^15 --threads 1 --prf-key-file prf --parameter {PARAMETER} --progress json"
    );
    let mut outcomes = Vec::new();
    for signal in [Signal::KILL, Signal::INT, Signal::KILL] {
        let done = place.batches_done("key");
        let mut running = place.start(&log, &line);
        place.wait_for_batches("key", done + 1);
        running.signal(signal);
        outcomes.push(running.end().0);
    }
    outcomes.extend(ask_everything(&place, &line));
    let reference = Reference::new(LONG, &hex::decode(PARAMETER).unwrap());
    let mut secrets = vec![SEED.to_vec()];
    // Not of epoch 5, which signs: a signature may hold the very start of a chain.
    for epoch in [0, 1023, 1024, 32767] {
        for chain in [0, 1, 63] {
            let start = reference.chain_start(&SEED, epoch, chain);
            secrets.push(montgomery(&start));
            secrets.push(start);
        }
    }
    assert_eq!(leaks(&place, &outcomes, &secrets), Vec::<String>::new());
    // They would be seen: the end of a chain's walk, hashed to the leaf, stands in the lowest layer.
    let leaves = std::fs::read(place.path("key/layers/00.nodes")).unwrap();
    assert!(holds(&leaves, &reference.leaf(&SEED, 1024)));
}

#[test]
fn a_secret_that_others_can_read_is_refused() {
    let place = Place::new();
    place.run(&format!("keygen key --scheme {TINY}")).exits(0);
    let path = place.path("key/secret");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    place
        .run(&format!("sign key --epoch 5 --message {MESSAGE}"))
        .exits(3)
        .says(&["key/secret", "644", "chmod 600"])
        .prints_nothing();
}
