//! Secrets under a passphrase, as somebody types it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::Value;

use super::fixtures::{MESSAGE, TINY, changes, finished_key, seed, snapshot};
use super::program::{Outcome, Place};

const WORDS: &str = "open sesame";
const WITH: &str = "--passphrase-file passphrase";

/// A place with a passphrase, and another one.
fn place() -> Place {
    let place = Place::new();
    for (name, words) in [("passphrase", WORDS), ("wrong", "open barley")] {
        place.file(name, format!("{words}\n"));
        fs::set_permissions(place.path(name), Permissions::from_mode(0o600)).unwrap();
    }
    place
}

/// A finished key that may sign, with its secret under the passphrase. Gives its public key.
fn sealed_key(place: &Place) -> String {
    let public_key = finished_key(place, TINY);
    place.run(&format!("keystore seal key {WITH}")).exits(0);
    public_key
}

fn has(place: &Place, name: &str) -> bool {
    place.path(name).exists()
}

fn sign(epoch: u32) -> String {
    format!("sign key --epoch {epoch} --message {MESSAGE}")
}

/// Runs a command that changes nothing, but for the name in LOCK, which is for people.
#[track_caller]
fn changing_nothing(place: &Place, line: &str) -> Outcome {
    let before = snapshot(&place.path("."));
    let outcome = place.run(line);
    let mut changed = changes(&before, &snapshot(&place.path(".")));
    changed.retain(|path| !path.ends_with("LOCK"));
    assert!(changed.is_empty(), "{changed:?}: {}", outcome.all());
    outcome
}

/// The same line with a passphrase that is needed, without it, and with a wrong one.
fn needs_the_passphrase(place: &Place, line: &str) -> Outcome {
    let missing = changing_nothing(place, line);
    missing
        .exits(2)
        .prints_nothing()
        .says(&["is under a passphrase, and none was given", "give --passphrase-file"]);
    let wrong = changing_nothing(place, &format!("{line} --passphrase-file wrong"));
    let wrong = wrong.exits(1).prints_nothing();
    let end = "the passphrase does not open 'key/keystore.json'\n";
    assert!(wrong.stderr.ends_with(end), "{}", wrong.all());
    place.run(&format!("{line} {WITH}"))
}

#[test]
fn a_secret_goes_under_a_passphrase_and_comes_out_again() {
    let place = place();
    finished_key(&place, TINY);
    let secret = fs::read(place.path("key/secret")).unwrap();
    let sealed = place.run(&format!("keystore seal key {WITH}")).exits(0);
    assert_eq!(sealed.line(), "'key/secret' is 'key/keystore.json' now");
    assert!(!has(&place, "key/secret"));
    let file: Value = serde_json::from_slice(&fs::read(place.path("key/keystore.json")).unwrap()).unwrap();
    assert_eq!(
        (&file["version"], &file["scheme"]["name"]),
        (&5.into(), &"leanxmss".into())
    );
    assert_eq!(file["crypto"]["kdf"]["params"]["m"], 19456);
    place
        .run("status key")
        .exits(0)
        .prints(&["secret          under a passphrase, in keystore.json"]);
    place
        .run("check key")
        .exits(0)
        .prints(&["clean", "secret under a passphrase"]);
    let opened = needs_the_passphrase_to(&place, "keystore open key");
    assert_eq!(opened.line(), "'key/keystore.json' is 'key/secret' now");
    assert!(!has(&place, "key/keystore.json"));
    assert_eq!(fs::read(place.path("key/secret")).unwrap(), secret);
    place.run(&sign(3)).exits(0);
}

/// As [`needs_the_passphrase`], for commands that do nothing without one.
fn needs_the_passphrase_to(place: &Place, line: &str) -> Outcome {
    let missing = changing_nothing(place, line);
    missing
        .exits(2)
        .prints_nothing()
        .says(&["a keystore needs a passphrase; give --passphrase-file"]);
    let wrong = changing_nothing(place, &format!("{line} --passphrase-file wrong"));
    wrong.exits(1).prints_nothing().says(&["does not open"]);
    place.run(&format!("{line} {WITH}")).exits(0)
}

#[test]
fn every_command_that_needs_the_secret_takes_the_passphrase_and_asks_for_it() {
    let place = place();
    sealed_key(&place);
    needs_the_passphrase(&place, &sign(3)).exits(0);
    needs_the_passphrase(&place, "check key --deep")
        .exits(0)
        .prints(&["clean"]);
    needs_the_passphrase(&place, "repair key")
        .exits(0)
        .prints(&["nothing to repair"]);
    needs_the_passphrase(&place, "backup key").exits(0).prints(&["seed"]);
    needs_the_passphrase(&place, "trim key --level 2").exits(0);
    needs_the_passphrase(&place, "path key --epoch 3").exits(0);
    let export = "export key --format leansig-json --out exported.json";
    needs_the_passphrase(&place, export).exits(0);
    // What needs no secret needs no passphrase.
    for line in [
        "public-key key",
        "ledger show key --json",
        "status key",
        "check key",
        "keygen key",
    ] {
        let outcome = place.run(line);
        assert!([Some(0), Some(1)].contains(&outcome.code), "{}", outcome.all());
        assert!(!outcome.stderr.contains("passphrase"), "{}", outcome.all());
    }
}

#[test]
fn a_key_that_is_made_sealed_is_the_same_key_and_is_gone_on_with() {
    let place = place();
    let plain = finished_key(&place, TINY);
    let made = format!("keygen sealed --scheme {TINY} --epochs 256 --seed-file seed --seal");
    let refused = place.run(&made).exits(2);
    refused.says(&["a keystore needs a passphrase; give --passphrase-file"]);
    assert!(!has(&place, "sealed"));
    let made = place.run(&format!("{made} {WITH}")).exits(0);
    assert_eq!(made.line(), plain);
    assert!(has(&place, "sealed/keystore.json") && !has(&place, "sealed/secret"));
    // Somebody who gives a passphrase is told where it is not used.
    let line = format!("keygen plain --scheme {TINY} --epochs 256 --seed-file seed {WITH}");
    place
        .run(&line)
        .exits(0)
        .says(&["the secret in 'plain' is plain text", "keymill keystore seal plain"]);
    // A backup of a sealed key is restored as a sealed key.
    place.run(&format!("backup sealed --out text {WITH}")).exits(0);
    place
        .run(&format!("restore restored --from text --seal {WITH}"))
        .exits(0);
    assert!(has(&place, "restored/keystore.json") && !has(&place, "restored/secret"));
    place
        .run(&format!("export sealed --format leansig-ssz --out key.ssz {WITH}"))
        .exits(0);
    place
        .run(&format!("import imported --from key.ssz --seal {WITH}"))
        .exits(0);
    assert!(has(&place, "imported/keystore.json") && !has(&place, "imported/secret"));
}

#[test]
fn an_exported_keystore_makes_the_key_elsewhere_and_neither_signs_before_a_beginning() {
    let place = place();
    let public_key = sealed_key(&place);
    place.run(&format!("{} {WITH}", sign(7))).exits(0);
    let line = "keystore export key --out elsewhere.json";
    let exported = needs_the_passphrase_to(&place, line);
    exported.says(&["will not sign again until you run 'keymill ledger init key --first-epoch N'"]);
    place
        .run(&format!("{line} {WITH}"))
        .exits(2)
        .says(&["is there already; --force"]);
    place.run(&format!("{line} {WITH} --force")).exits(0);
    let file = fs::read_to_string(place.path("elsewhere.json")).unwrap();
    let state: Value = serde_json::from_str::<Value>(&file).unwrap()["state"].clone();
    assert_eq!(
        (&state["authoritative"], &state["recovery_only"], &state["high_water"]),
        (&false.into(), &true.into(), &7.into())
    );
    place
        .run(&format!("{} {WITH}", sign(9)))
        .exits(3)
        .says(&["ledger init"]);
    let made = needs_the_passphrase_to(&place, "keystore import made --from elsewhere.json");
    assert_eq!(made.line(), public_key);
    assert!(has(&place, "made/keystore.json") && !has(&place, "made/secret"));
    let signing = format!("sign made --epoch 9 --message {MESSAGE} {WITH}");
    place.run(&signing).exits(3).says(&["ledger init"]);
    place.run("ledger init made --first-epoch 8").exits(0);
    place.run(&signing).exits(0);
    // The same again goes on with it.
    place
        .run(&format!("keystore import made --from elsewhere.json {WITH}"))
        .exits(0);
    for (from, to, word) in [
        ("\"version\": 5", "\"version\": 4", "its version is 4"),
        ("leanxmss", "xmssmt", "its scheme is 'xmssmt'"),
        (
            "\"authoritative\": false",
            "\"authoritative\": true",
            "calls itself authoritative",
        ),
        ("\"m\": 19456", "\"m\": 1000000", "'m' of its key derivation is 1000000"),
    ] {
        place.file("changed.json", file.replacen(from, to, 1));
        let line = format!("keystore import other --from changed.json {WITH}");
        place
            .run(&line)
            .exits(2)
            .says(&["'changed.json' cannot be imported", word]);
        assert!(!has(&place, "other"));
    }
}

#[test]
fn a_passphrase_comes_from_a_file_a_descriptor_or_a_credential_and_nowhere_else() {
    let place = place();
    sealed_key(&place);
    let fed = |line: &str, words: &str| {
        place.file("words", words);
        let mut command = place.command(line);
        let output = command
            .stdin(Stdio::from(fs::File::open(place.path("words")).unwrap()))
            .output()
            .unwrap();
        Outcome::new(line, output)
    };
    fed(&format!("{} --passphrase-fd 0", sign(3)), WORDS).exits(0);
    fed(&format!("{} --passphrase-fd 0", sign(3)), "sesame").exits(1);
    fed(&format!("{} --passphrase-fd 0", sign(3)), "\n")
        .exits(2)
        .says(&["it is empty"]);
    place
        .run(&format!("{} --passphrase-fd 99", sign(3)))
        .exits(2)
        .says(&["/dev/fd/99"]);
    let both = place.run(&format!("{} {WITH} --passphrase-fd 0", sign(3)));
    both.exits(2);
    fs::create_dir(place.path("credentials")).unwrap();
    fs::copy(place.path("passphrase"), place.path("credentials/keymill-passphrase")).unwrap();
    // Who may read it is a matter of the service manager.
    fs::set_permissions(
        place.path("credentials/keymill-passphrase"),
        Permissions::from_mode(0o440),
    )
    .unwrap();
    let directory = place.path("credentials").display().to_string();
    let environment = [("CREDENTIALS_DIRECTORY", directory.as_str())];
    place.run_with(&environment, &sign(3)).exits(0);
    place
        .run_with(&environment, &format!("{} --passphrase-file wrong", sign(3)))
        .exits(1);
    place.run_with(&[("KEYMILL_PASSPHRASE", WORDS)], &sign(3)).exits(2);
    fs::set_permissions(place.path("passphrase"), Permissions::from_mode(0o644)).unwrap();
    let exposed = changing_nothing(&place, &format!("{} {WITH}", sign(3)));
    exposed.exits(3).says(&[
        "'passphrase' can be read by others (its mode is 644)",
        "chmod 600 passphrase",
    ]);
}

#[test]
fn a_change_of_form_that_was_not_finished_is_told_of_and_finished() {
    let place = place();
    finished_key(&place, TINY);
    let secret = fs::read(place.path("key/secret")).unwrap();
    place.run(&format!("keystore seal key {WITH}")).exits(0);
    let put_back = |bytes: &[u8]| {
        place.file("key/secret", bytes);
        fs::set_permissions(place.path("key/secret"), Permissions::from_mode(0o600)).unwrap();
    };
    put_back(&secret);
    assert_eq!(place.status("key").unwrap()["secret_form"], "both");
    let told = [
        "is there under a passphrase and as plain text too",
        "run 'keymill keystore seal key'",
    ];
    place.run(&sign(3)).exits(0).says(&told);
    let wrong = changing_nothing(&place, "keystore seal key --passphrase-file wrong");
    wrong.exits(1);
    place
        .run(&format!("keystore seal key {WITH}"))
        .exits(0)
        .prints(&["is deleted"]);
    assert!(!has(&place, "key/secret"));
    place.file("seed", seed(0x5b));
    place
        .run(&format!("keygen alien --scheme {TINY} --epochs 256 --seed-file seed"))
        .exits(0);
    put_back(&fs::read(place.path("alien/secret")).unwrap());
    for line in ["keystore seal key", "keystore open key", "check key --deep"] {
        let refused = changing_nothing(&place, &format!("{line} {WITH}"));
        refused.exits(3).says(&["hold two different secrets"]);
    }
}

#[test]
fn neither_passphrase_nor_secret_is_in_any_output_or_file_of_a_sealed_key() {
    let place = place();
    place.file("seed", super::fixtures::SEED);
    let loud = [("KEYMILL_LOG", "trace")];
    let lines = [
        format!("keygen key --scheme {TINY} --epochs 256 --seed-file seed --seal {WITH}"),
        "ledger init key --first-epoch 0".to_owned(),
        format!("{} {WITH}", sign(3)),
        format!("check key --deep {WITH}"),
        "status key --json".to_owned(),
        format!("keystore export key --out elsewhere.json {WITH}"),
        format!("keystore seal key {WITH} --json"),
    ];
    let mut seen: Vec<Vec<u8>> = Vec::new();
    for line in &lines {
        let outcome = place.run_with(&loud, line).exits(0);
        seen.extend([outcome.stdout, outcome.stderr.into_bytes()]);
    }
    let files = super::fixtures::snapshot(&place.path("key"));
    seen.extend(files.into_values().filter_map(|(_, content)| content));
    seen.push(fs::read(place.path("elsewhere.json")).unwrap());
    let secret = super::fixtures::SEED;
    for form in [
        WORDS.as_bytes().to_vec(),
        secret.to_vec(),
        hex::encode(secret).into_bytes(),
    ] {
        assert!(
            seen.iter()
                .all(|bytes| !bytes.windows(form.len()).any(|part| part == form))
        );
    }
}
