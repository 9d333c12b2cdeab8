//! From the seed to the verified signature, and every question that can be asked of a key on the way.

use super::fixtures::{LONG, PARAMETER, SEED, TINY, changing_nothing, finished_key, recorded_tiny_key};
use super::program::{Outcome, Place};
use keymill_reference::leanvm::Variant;
use keymill_reference::vectors::{Key, Signature};
use keymill_reference::{all_ids, params};

fn keygen_line(seed_file: &str) -> String {
    format!("keygen key --scheme {TINY} --seed-file {seed_file}")
}

/// The recorded key, made by the program in `key`.
fn recorded_key_made(place: &Place) -> Key {
    let key = recorded_tiny_key();
    place.file("seed", key.rng_seed);
    place.run(&keygen_line("seed")).exits(0);
    place.run("ledger init key --first-epoch 0").exits(0);
    key
}

/// The siblings in a signature: behind two offsets, rho, and the path's own offset.
fn siblings(signature: &Signature) -> &[u8] {
    let params = params(TINY);
    let first = 4 + 4 * params.r + 4 + 4;
    &signature.signature_ssz[first..first + usize::from(params.h) * params.digest_len()]
}

#[test]
fn a_seed_in_bytes_and_in_hex_gives_the_recorded_public_key() {
    let key = recorded_tiny_key();
    let digits = hex::encode(key.rng_seed);
    let forms: [Vec<u8>; 5] = [
        key.rng_seed.to_vec(),
        digits.clone().into(),
        format!("{digits}\n").into(),
        format!("0x{digits}\n").into(),
        digits.to_uppercase().into(),
    ];
    for form in forms {
        let place = Place::new();
        place.file("seed", &form);
        let public_key = place.run(&keygen_line("seed")).exits(0).line();
        assert_eq!(public_key, hex::encode(&key.public_key_ssz), "{form:?}");
    }
}

#[test]
fn a_prf_key_and_its_parameter_are_taken_as_they_are() {
    let key = recorded_tiny_key();
    let place = Place::new();
    place.file("prf", hex::encode(key.prf_key));
    let parameter = hex::encode(&key.parameter);
    let line = format!("keygen key --scheme {TINY} --prf-key-file prf --parameter 0x{parameter}");
    let public_key = place.run(&line).exits(0).line();
    assert!(public_key.ends_with(&parameter), "{public_key}");
    place.run("check key --deep").exits(0);
}

#[test]
fn the_origin_of_a_key_is_named_as_in_its_manifest() {
    for (secret, origin) in [
        ("", "fresh"),
        ("--seed-file seed", "seed"),
        (&format!("--prf-key-file seed --parameter {PARAMETER}"), "prf-key"),
    ] {
        let place = Place::new();
        place.file("seed", SEED);
        place.run(&format!("keygen key --scheme {TINY} {secret}")).exits(0);
        let manifest = std::fs::read_to_string(place.path("key/manifest.toml")).unwrap();
        assert!(manifest.contains(&format!("origin = \"{origin}\"\n")), "{manifest}");
        assert_eq!(place.status("key").unwrap()["origin"], origin);
    }
}

#[test]
fn a_scheme_can_be_named_by_its_upstream_name() {
    let key = recorded_tiny_key();
    let place = Place::new();
    place.file("seed", key.rng_seed);
    let line = format!("keygen key --scheme {} --seed-file seed", key.upstream_name);
    assert_eq!(place.run(&line).exits(0).line(), hex::encode(&key.public_key_ssz));
    // And both names are the same scheme when the key is asked for again.
    place.run(&keygen_line("seed")).exits(0);
}

#[test]
fn every_recorded_signature_is_made_and_found_valid() {
    let place = Place::new();
    let key = recorded_key_made(&place);
    let public_key = hex::encode(&key.public_key_ssz);
    for known in &key.signatures {
        let (epoch, message) = (known.epoch, hex::encode(known.message));
        let signature = place
            .run(&format!("sign key --epoch {epoch} --message {message}"))
            .exits(0)
            .line();
        assert_eq!(signature, hex::encode(&known.signature_ssz), "epoch {epoch}");
        let line = format!(
            "verify --scheme {TINY} --public-key {public_key} --epoch {epoch} --message {message} --signature {signature}"
        );
        assert_eq!(place.run(&line).exits(0).line(), "valid");
        let verdict = place.run(&format!("{line} --json")).exits(0).json();
        assert_eq!(verdict, serde_json::json!({ "valid": true, "reason": null }));
    }
}

#[test]
fn a_path_holds_the_siblings_of_the_recorded_signature() {
    let place = Place::new();
    let key = recorded_key_made(&place);
    for known in &key.signatures {
        let siblings = siblings(known);
        let line = format!("path key --epoch {}", known.epoch);
        let as_hex = place.run(&format!("{line} --format hex")).exits(0).line();
        assert_eq!(as_hex, hex::encode(siblings));
        assert_eq!(place.run(&format!("{line} --format ssz")).exits(0).stdout, siblings);
        let as_json = place.run(&line).exits(0).json();
        assert_eq!(as_json["epoch"], known.epoch);
        let listed: Vec<_> = siblings.chunks(params(TINY).digest_len()).map(hex::encode).collect();
        assert_eq!(as_json["siblings"], serde_json::json!(listed));
    }
}

#[test]
fn a_sealed_key_says_so_in_text_and_in_json() {
    let place = Place::new();
    let public_key = finished_key(&place, LONG);
    place
        .run("status key")
        .exits(0)
        .prints(&["state           sealed", LONG, "1 of 1 (100.0%)", &public_key]);
    let status = place.run("status key --json").exits(0).json();
    for (name, value) in [
        ("state", serde_json::json!("sealed")),
        ("scheme", serde_json::json!(LONG)),
        ("activation_epoch", serde_json::json!(0)),
        ("active_epochs", serde_json::json!(256)),
        ("stored_start", serde_json::json!(0)),
        ("stored_end", serde_json::json!(1024)),
        ("origin", serde_json::json!("seed")),
        ("batches", serde_json::json!(1)),
        ("batches_done", serde_json::json!(1)),
        ("writer", serde_json::json!(null)),
        ("public_key", serde_json::json!(public_key)),
    ] {
        assert_eq!(status[name], value, "{name} in {status}");
    }
}

#[test]
fn a_key_that_was_just_made_is_clean() {
    let place = Place::new();
    finished_key(&place, LONG);
    place.run("check key").exits(0).prints(&["clean: 1 batch checked"]);
    place
        .run("check key --deep")
        .exits(0)
        .prints(&["clean", "leaves computed again"]);
    let report = place.run("check key --deep --json").exits(0).json();
    assert_eq!(report["clean"], true);
    assert_eq!(report["deep"], true);
    assert_eq!(report["damage"], serde_json::json!([]));
}

#[test]
fn asking_a_sealed_key_changes_no_file() {
    let place = Place::new();
    finished_key(&place, TINY);
    changing_nothing(&place, || {
        for line in [
            "status key",
            "status key --json",
            "public-key key",
            "path key --epoch 3",
            "ledger show key",
            "ledger show key --json",
            "check key",
            "check key --deep",
            "migrate key --dry-run",
            "plan key",
        ] {
            place.run(line).exits(0);
        }
    });
}

#[test]
fn keygen_on_a_finished_key_says_so_and_prints_it_again() {
    let place = Place::new();
    let public_key = finished_key(&place, TINY);
    for line in [
        "keygen key".to_owned(),
        keygen_line("seed"),
        format!("keygen key --epochs 2^8 --activation-epoch 0 --scheme {TINY}"),
    ] {
        let again = place.run(&line).exits(0).says(&["'key'", "already finished"]);
        assert_eq!(again.line(), public_key);
    }
    let as_json = place.run("keygen key --json").exits(0).json();
    assert_eq!(as_json["was_sealed"], true);
    assert_eq!(as_json["public_key"], public_key);
}

#[test]
fn keygen_on_a_finished_key_changes_no_file() {
    let place = Place::new();
    finished_key(&place, TINY);
    changing_nothing(&place, || place.run("keygen key").exits(0));
}

#[test]
fn a_directory_of_the_present_format_needs_no_migration() {
    let place = Place::new();
    finished_key(&place, TINY);
    for line in ["migrate key --dry-run", "migrate key"] {
        place.run(line).exits(0).prints(&["nothing to do"]);
    }
    place.run("check key").exits(0);
}

#[test]
fn the_table_lists_all_34_schemes_in_text_and_in_json() {
    let place = Place::new();
    let text = place.run("schemes").exits(0);
    let rows: Vec<_> = text.text().lines().skip(1).collect();
    let mut known = all_ids();
    known.extend([Variant::S2, Variant::S1, Variant::B0].map(|variant| variant.id().to_owned()));
    known.sort_unstable();
    let first_words = rows.iter().map(|row| row.split_whitespace().next().unwrap());
    let mut ids: Vec<_> = first_words.collect();
    ids.sort_unstable();
    assert_eq!(ids, known);
    let table = place.run("schemes --json").exits(0).json();
    let rows = table["schemes"].as_array().unwrap();
    assert_eq!(rows.len(), 34);
    let mut ids: Vec<_> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, known);
}

#[test]
fn an_advised_command_can_be_pasted_where_its_path_has_a_blank() {
    let place = Place::new();
    let keygen = ["keygen", "my key", "--scheme", TINY];
    let mut command = place.command("");
    let output = command.args(keygen).output().unwrap();
    let told = Outcome::new("keygen 'my key'", output).exits(0);
    told.says(&[
        "`keymill public-key 'my key'`",
        "`keymill sign 'my key' --epoch N --message HEX32`",
    ]);
}
