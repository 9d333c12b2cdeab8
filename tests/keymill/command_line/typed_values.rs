//! Values and files that are typed or made by hand: what they were taken for is said, and what cannot be meant is refused.

use std::fs;

use super::fixtures::{MESSAGE, PARAMETER, SEED, TINY, changing_nothing, finished_key, nothing_was_made};
use super::program::{Outcome, Place};

/// What some editors put before a text.
const MARK: &str = "\u{feff}";

fn verify(place: &Place, public_key: &str, signature: &str) -> Outcome {
    place.run(&format!(
        "verify --scheme {TINY} --public-key {public_key} --epoch 3 --message {MESSAGE} --signature {signature}"
    ))
}

#[test]
fn what_is_hex_and_the_name_of_a_file_is_told_as_what_it_was_taken() {
    let place = Place::new();
    let public_key = finished_key(&place, TINY);
    let sign = format!("sign key --epoch 3 --message {MESSAGE}");
    let signature = place.run(&sign).exits(0).line();
    place.file("5e1f", &public_key);
    place.file("abcd", &signature);
    let taken = |name: &str| format!("'{name}' was taken as hex digits, although there is a file of that name");
    verify(&place, "5e1f", &signature)
        .exits(2)
        .says(&["--public-key", &taken("5e1f"), "'./5e1f'", "2 bytes"]);
    verify(&place, &public_key, "abcd")
        .exits(1)
        .says(&["--signature", &taken("abcd"), "'./abcd'"]);
    verify(&place, "./5e1f", "./abcd").exits(0);
    // Of a file, its name is said; of what is neither, that it is neither.
    place.file("short", "00");
    verify(&place, "short", &signature)
        .exits(2)
        .says(&["--public-key", "hex digits in the file 'short'"]);
    place.file("binary", [0xff; 7]);
    verify(&place, "binary", &signature)
        .exits(2)
        .says(&["--public-key", "bytes of the file 'binary'", "7 bytes"]);
    for wrong in ["nothing", "0g", "0x123"] {
        let words = [&format!("'{wrong}' is neither hex nor an existing file"), "not hex"];
        verify(&place, wrong, &signature).exits(2).says(&words);
        verify(&place, &public_key, wrong).exits(2).says(&words);
    }
    let long = "0g".repeat(40_000);
    let refused = verify(&place, &long, &signature)
        .exits(2)
        .says(&["nor an existing file"]);
    assert!(refused.stderr.len() < 500, "{}", refused.stderr.len());
}

#[test]
fn a_byte_order_mark_is_passed_over_in_every_text() {
    let place = Place::new();
    let public_key = finished_key(&place, TINY);
    let marked = |name: &str, text: &str| {
        place.file("marked", format!("{MARK}{text}"));
        fs::rename(place.path("marked"), place.path(name)).unwrap();
    };
    marked("settings.toml", &format!("scheme = \"{TINY}\"\n"));
    place.run("plan --config settings.toml").exits(0).prints(&[TINY]);
    for end in ["", "\n", "\r\n"] {
        let place = Place::new();
        place.file("seed", format!("{MARK}{}{end}", hex::encode(SEED)));
        let made = place
            .run(&format!("keygen key --scheme {TINY} --seed-file seed"))
            .exits(0);
        assert_eq!(made.line(), public_key);
    }
    marked("public-key", &public_key);
    let signature = place
        .run(&format!("sign key --epoch 3 --message {MESSAGE}"))
        .exits(0)
        .line();
    marked("signature", &signature);
    verify(&place, "public-key", "signature").exits(0);
    let ledger = place.run("ledger export key").exits(0).text().to_owned();
    marked("ledger.json", &ledger);
    place
        .run("ledger import key ledger.json")
        .exits(0)
        .prints(&["1 known before"]);
    marked("backup", place.run("backup key").exits(0).text());
    assert_eq!(place.run("restore restored --from backup").exits(0).line(), public_key);
    for form in ["leansig-json", "leanspec-json"] {
        let exported = place.run(&format!("export key --format {form}")).exits(0);
        marked(form, exported.text());
        let imported = place.run(&format!("import from-{form} --from {form}")).exits(0);
        assert_eq!(imported.line(), public_key);
    }
}

#[test]
fn a_seed_that_anybody_can_guess_or_that_lacks_its_half_is_refused_wherever_one_is_given() {
    let half = hex::encode(&SEED[..16]);
    let contents: [(Vec<u8>, &str); 9] = [
        (vec![0; 32], "the same byte 32 times"),
        (vec![0x5a; 32], "the same byte 32 times"),
        ("00".repeat(32).into(), "the same byte 32 times"),
        (
            format!("{MARK}0x{}\n", "Ff".repeat(32)).into(),
            "the same byte 32 times",
        ),
        (half.clone().into(), "16 bytes"),
        (format!("{half}\n").into(), "16 bytes"),
        (format!("0x{half}").into(), "16 bytes"),
        (format!("{MARK}{}", half.to_uppercase()).into(), "16 bytes"),
        (vec![b'7'; 32], "16 bytes"),
    ];
    for (content, reason) in contents {
        let place = Place::new();
        place.file("seed", &content);
        changing_nothing(&place, || {
            for line in [
                format!("keygen key --scheme {TINY} --seed-file seed"),
                format!("keygen key --scheme {TINY} --prf-key-file seed --parameter {PARAMETER}"),
                format!(
                    "generate --scheme {TINY} --num-validators 1 --log-num-active-epochs 8 --output-dir key --seed-file seed"
                ),
            ] {
                let refused = place.run(&line).exits(2).prints_nothing();
                refused.says(&["'seed'", reason, "32"]);
            }
        });
        nothing_was_made(&place);
    }
}

#[test]
fn the_json_of_another_program_is_called_what_it_is_and_its_fault_has_a_place() {
    let place = Place::new();
    finished_key(&place, TINY);
    let json = place.run("export key --format leansig-json").exits(0).text().to_owned();
    let indented = serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(&json).unwrap()).unwrap();
    let line = indented.lines().position(|line| line.contains("\"depth\"")).unwrap() + 1;
    let wrong = indented.replacen("\"depth\": 8", "\"depth\": x", 1);
    let keystore = "{\n \"uuid\": \"\", \"path\": \"m/12381/60/0/0\", \"crypto\": {\"kdf\": {}}, \"version\": 4}";
    let cases: [(&str, &[&str]); 9] = [
        ("", &["it is empty"]),
        ("[]", &["a JSON array"]),
        ("{ }", &["an empty JSON object"]),
        (
            "{\"attestation_public\": \"00\", \"attestation_secret\": \"00\", \"proposal_public\": \"00\"}",
            &["earlier leanSpec", "attestation_public", "\"attestation_keypair\""],
        ),
        (
            "{\"public\": \"00\", \"secret\": \"00\"}",
            &["earlier leanSpec", "public and secret"],
        ),
        (keystore, &["EIP-2335", "BLS"]),
        ("{\"keys\": []}", &["a JSON object with none of the fields"]),
        ("{\"prf_key\": [1, 2, 300]}", &["at byte 19", "above 255"]),
        (&wrong, &[&format!("in line {line}, at byte "), "a number"]),
    ];
    for (content, words) in cases {
        place.file("from", content);
        changing_nothing(&place, || {
            place
                .run("import new --from from")
                .exits(2)
                .prints_nothing()
                .says(words)
        });
    }
    // Whatever it is called.
    place.file("from", keystore);
    place
        .run("import new --from from --format leanspec-json")
        .exits(2)
        .says(&["EIP-2335"]);
}
