//! Ledgers carried from one copy of a key to another.

use std::fs;
use std::process::{Command, Stdio};

use keymill::exchange::ledger_json::parse;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use sha3::{Digest, Sha3_256};

use super::fixtures::{OTHER_TINY, TINY, changing_nothing, edit, finished_key};
use super::ledger::{fresh_key, message, sign, status};
use super::program::{Outcome, Place};

/// Two copies of one key, `key` and `other`; epochs 3 and 9 are spent in the first one only, then exported into `ledger`.
fn exported() -> Place {
    let place = Place::new();
    finished_key(&place, TINY);
    let line = format!("keygen other --scheme {TINY} --seed-file seed");
    place.run(&line).exits(0);
    sign(&place, 9, 1).exits(0);
    sign(&place, 3, 2).exits(0);
    place.run("ledger export key --out ledger").exits(0).prints_nothing();
    place
}

/// What is done to `other` is looked at as `key`.
fn exchange(place: &Place) {
    fs::rename(place.path("key"), place.path("first")).unwrap();
    fs::rename(place.path("other"), place.path("key")).unwrap();
}

#[test]
fn an_export_is_what_the_format_says() {
    let place = exported();
    let public_key = place.run("public-key key").exits(0).line();
    let printed = place.run("ledger export key").exits(0);
    assert_eq!(printed.stdout, fs::read(place.path("ledger")).unwrap());
    let json = printed.json();
    let metadata = serde_json::json!({ "format": "keymill-ledger", "interchange_format_version": "1" });
    assert_eq!(json["metadata"], metadata);
    assert_eq!(json["data"].as_array().unwrap().len(), 1);
    let data = &json["data"][0];
    assert_eq!(data["pubkey"], public_key);
    assert_eq!(data["scheme"], TINY);
    assert_eq!(data["key_id"], place.status("key").unwrap()["key_id"]);
    assert_eq!(data["first_epoch"], "0");
    let digest = |number| hex::encode(Sha3_256::digest(hex::decode(message(number)).unwrap()));
    let entries = data["signed_epochs"].as_array().unwrap();
    let listed = entries.iter().map(|entry| (&entry["epoch"], &entry["message_digest"]));
    let expected = [("3", digest(2)), ("9", digest(1))].map(|(epoch, digest)| (epoch.into(), digest.into()));
    assert_eq!(
        listed.map(|(a, b)| (a.clone(), b.clone())).collect::<Vec<_>>(),
        expected
    );
    // A clock can be set back between two signatures.
    let times = entries.iter().map(|entry| entry["signed_at_unix_ms"].as_str().unwrap());
    let last = times.map(|time| time.parse().unwrap()).max();
    assert_eq!(status(&place)["last_signed_unix_ms"].as_u64(), last);
    assert_eq!(parse(&printed.stdout).unwrap()[0].signed_epochs.len(), 2);
}

#[test]
fn an_import_makes_spent_there_spent_here_and_changes_nothing_when_repeated() {
    let place = exported();
    let first = sign(&place, 9, 1).exits(0).line();
    exchange(&place);
    let told = ["keymill ledger init key --first-epoch N"];
    place
        .run("ledger import key ledger")
        .exits(0)
        .says(&told)
        .prints(&["2 epochs added, 0 known"]);
    // The same message is the same signature; but the key was not begun.
    assert_eq!(sign(&place, 9, 1).exits(0).line(), first);
    sign(&place, 9, 2).exits(1);
    sign(&place, 10, 1).exits(3).says(&["ledger init"]);
    // Epoch 9 is listed, and stays spent.
    place.run("ledger init key --first-epoch 9").exits(0);
    sign(&place, 9, 2).exits(1);
    sign(&place, 10, 1).exits(0);
    let mark = fs::read(place.path("key/ledger.mark")).unwrap();
    place
        .run("ledger import key ledger")
        .exits(0)
        .prints(&["0 epochs added, 2 known"]);
    assert_eq!(fs::read(place.path("key/ledger.mark")).unwrap(), mark);
    assert_eq!(status(&place)["first_epoch"], 9, "a first epoch was lowered");
    assert_eq!(status(&place)["spent"], 3);
    place.run("check key").exits(0);
}

#[test]
fn an_import_raises_the_first_epoch() {
    let place = exported();
    place.run("ledger init key --first-epoch 50").exits(0);
    place.run("ledger export key --out ledger").exits(0);
    exchange(&place);
    place.run("ledger import key ledger").exits(0);
    // Also for whoever imports it from here.
    let again = place.run("ledger export key").exits(0).json();
    assert_eq!(again["data"][0]["first_epoch"], "50");
    place
        .run("ledger init key --first-epoch 49")
        .exits(3)
        .says(&["use 50 or more"]);
    place.run("ledger init key --first-epoch 50").exits(0);
    place.run("ledger import key ledger").exits(0);
    assert_eq!(status(&place)["first_epoch"], 50);
    sign(&place, 49, 1).exits(3);
    sign(&place, 50, 1).exits(0);
}

#[test]
fn an_import_raises_the_first_epoch_of_a_ledger_that_was_begun() {
    let place = exported();
    place.run("ledger init key --first-epoch 50").exits(0);
    place.run("ledger export key --out ledger").exits(0);
    exchange(&place);
    place.run("ledger init key --first-epoch 0").exits(0);
    place.run("ledger import key ledger").exits(0);
    sign(&place, 49, 1).exits(3);
    sign(&place, 50, 1).exits(0);
}

#[test]
fn an_epoch_that_signed_two_messages_is_reported_and_the_rest_is_imported() {
    let place = exported();
    exchange(&place);
    place.run("ledger init key --first-epoch 0").exits(0);
    let ours = sign(&place, 3, 7).exits(0).line();
    let outcome = place.run("ledger import key ledger").exits(1);
    outcome
        .says(&["epoch 3 has signed two messages"])
        .prints(&["1 epoch added", "1 signed twice"]);
    assert_eq!(sign(&place, 3, 7).exits(0).line(), ours);
    sign(&place, 3, 2).exits(1);
    sign(&place, 9, 2).exits(1);
    place.run("check key").exits(0);
}

#[test]
fn an_epoch_without_a_digest_or_a_time_signs_nothing_any_more() {
    let place = exported();
    let text = fs::read_to_string(place.path("ledger")).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    for name in ["message_digest", "signed_at_unix_ms"] {
        json["data"][0]["signed_epochs"][0][name] = serde_json::Value::Null;
    }
    place.file("ledger", json.to_string());
    exchange(&place);
    place.run("ledger import key ledger").exits(0);
    for number in [1, 2] {
        sign(&place, 3, number)
            .exits(1)
            .prints_nothing()
            .says(&["epoch 3", "not known"]);
    }
    // And so it is handed on.
    place.run("ledger export key --out again").exits(0);
    let again: serde_json::Value = serde_json::from_slice(&fs::read(place.path("again")).unwrap()).unwrap();
    assert_eq!(again["data"][0]["signed_epochs"], json["data"][0]["signed_epochs"]);
    assert_eq!(again["data"][0]["first_epoch"], serde_json::Value::Null);
}

/// As a program of format version 2 wrote it.
fn without_fingerprint(ledger: &str) -> String {
    let (before, rest) = ledger.split_once(",\"fingerprint\":").unwrap();
    format!("{before}{}", &rest[rest.find(',').unwrap()..])
}

#[test]
fn a_ledger_of_another_key_or_with_epochs_outside_is_refused_and_nothing_is_imported() {
    let place = exported();
    let ledger = fs::read_to_string(place.path("ledger")).unwrap();
    let ledger = without_fingerprint(&ledger);
    place.file("pubkey", ledger.replacen("\"pubkey\":\"", "\"pubkey\":\"00", 1));
    place.file("scheme", ledger.replace(TINY, OTHER_TINY));
    place.file("empty", ledger[..ledger.find("[{").unwrap()].to_owned() + "[]}");
    place.file("outside", ledger.replace("\"epoch\":\"9\"", "\"epoch\":\"256\""));
    place.file(
        "newer",
        ledger.replace(
            "\"interchange_format_version\":\"1\"",
            "\"interchange_format_version\":\"2\"",
        ),
    );
    place.file("format", ledger.replace("keymill-ledger", "other"));
    place.file("more", ledger.replacen("\"epoch\"", "\"more\":1,\"epoch\"", 1));
    place.file("less", ledger.replacen("\"first_epoch\":\"0\",", "", 1));
    place.file("zero", ledger.replace("\"epoch\":\"9\"", "\"epoch\":\"09\""));
    place.file("cut", &ledger[..ledger.len() - 4]);
    exchange(&place);
    place.run("ledger init key --first-epoch 0").exits(0);
    changing_nothing(&place, || {
        for (file, code, message) in [
            ("scheme", 3, "is not a ledger of the key"),
            ("pubkey", 3, "is not a ledger of the key"),
            ("empty", 3, "is not a ledger of the key"),
            ("outside", 2, "data[0].signed_epochs[1].epoch is 256"),
            ("newer", 2, "'2'"),
            ("format", 2, "'other'"),
            ("more", 2, "unknown field"),
            ("less", 2, "missing field"),
            ("zero", 2, "data[0].signed_epochs[1].epoch"),
            ("cut", 2, "not a ledger"),
            ("nothing", 2, "'nothing' cannot be read"),
        ] {
            let outcome = place.run(&format!("ledger import key {file}")).exits(code);
            outcome.prints_nothing().says(&[message]);
        }
    });
    assert_eq!(status(&place)["spent"], 0);
}

#[test]
fn a_file_larger_than_a_ledger_of_the_key_can_be_is_refused_and_one_without_end_is_not_waited_for() {
    let place = exported();
    let ledger = fs::read(place.path("ledger")).unwrap();
    // What a key of 256 epochs may need.
    let bytes_max = (1 << 20) + 512 * 256;
    let widened = |bytes: usize| [&ledger[..], &vec![b' '; bytes - ledger.len()]].concat();
    place.file("larger", widened(bytes_max + 1));
    changing_nothing(&place, || {
        place.run("ledger import key larger").exits(2).prints_nothing().says(&[
            "'larger'",
            "more than 1179648 bytes",
            "256 epochs",
        ]);
        place
            .run("ledger import key /dev/zero")
            .exits(2)
            .prints_nothing()
            .says(&["'/dev/zero'", "device"]);
    });
    place.file("ledger", widened(bytes_max));
    place.run("ledger import key ledger").exits(0).prints(&["2 known"]);
    // A pipe may have no end either.
    let line = "ledger import key /dev/stdin";
    let piped = |source: &mut Command| {
        let mut source = source
            .current_dir(place.path(""))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut import = place.command(line);
        let output = import.stdin(source.stdout.take().unwrap()).output().unwrap();
        // Its output, which a process without end ends by, is gone with the command.
        drop(import);
        source.wait().unwrap();
        Outcome::new(line, output)
    };
    let endless = piped(&mut Command::new("yes")).exits(2).prints_nothing();
    endless.says(&["more than 1179648 bytes"]);
    piped(Command::new("cat").arg("ledger")).exits(0).prints(&["2 known"]);
}

#[test]
fn a_ledger_without_its_mark_takes_entries_and_signs_nothing_for_it() {
    let place = exported();
    fs::remove_file(place.path("key/ledger.mark")).unwrap();
    place
        .run("ledger import key ledger")
        .exits(0)
        .says(&["ledger init key --first-epoch N"]);
    // It is not known which entries are lost, so the new mark is that of a ledger that has to be begun again, above all.
    assert_eq!(
        place.run("ledger show key --json").exits(1).json()["state"],
        "no-history"
    );
    sign(&place, 100, 1)
        .exits(3)
        .prints_nothing()
        .says(&["ledger init key"]);
    place
        .run("ledger init key --first-epoch 9")
        .exits(3)
        .says(&["use 10 or more"]);
    place.run("ledger init key --first-epoch 10").exits(0);
    sign(&place, 100, 1).exits(0);
}

#[test]
fn a_repaired_store_is_given_its_entries_again_and_then_a_beginning() {
    let place = exported();
    let shown = status(&place);
    fs::remove_dir_all(place.path("key/state")).unwrap();
    place.run("repair key").exits(0).says(&["ledger import", "ledger init"]);
    assert_eq!(status(&place)["state"], "went-backwards");
    place.run("ledger import key ledger").exits(0);
    assert_eq!(status(&place)["spent"], shown["spent"]);
    assert_eq!(status(&place)["state"], "no-history");
    let highest = shown["highest"].as_u64().unwrap();
    sign(&place, highest + 1, 1).exits(3).prints_nothing();
    let line = format!("ledger init key --first-epoch {}", highest + 1);
    place.run(&line).exits(0);
    sign(&place, highest + 1, 1).exits(0);
    place.run("check key").exits(0);
}

#[test]
fn thousands_of_entries_are_imported_and_exported_again() {
    let place = Place::new();
    place
        .run("keygen key --scheme leansig-p2-l18-top-v64-w8 --epochs 3072")
        .exits(0);
    place.run("ledger export key --out ledger").exits(0);
    let entry =
        |epoch| format!("{{\"epoch\":\"{epoch}\",\"message_digest\":\"{epoch:064x}\",\"signed_at_unix_ms\":\"5\"}}");
    // Each twice, out of order, over several chunks.
    let epochs = (0..2 * 3000).map(|number| number * 7 % 3000);
    let entries: Vec<_> = epochs.map(entry).collect();
    edit(
        &place.path("ledger"),
        "\"signed_epochs\":[",
        &format!("\"signed_epochs\":[{}", entries.join(",")),
    );
    place
        .run("ledger import key ledger")
        .exits(0)
        .prints(&["3000 epochs added, 3000 known"]);
    place.run("check key").exits(0);
    let exported = place.run("ledger export key").exits(0).json();
    let listed = exported["data"][0]["signed_epochs"].as_array().unwrap();
    let listed = listed
        .iter()
        .map(|entry| entry["epoch"].as_str().unwrap().parse().unwrap());
    assert_eq!(listed.collect::<Vec<u32>>(), (0..3000).collect::<Vec<_>>());
    sign(&place, 2999, 1).exits(1);
    sign(&place, 3000, 1).exits(0);
}

#[test]
fn a_ledger_is_shown_beside_a_signer_and_changed_by_one_at_a_time() {
    let place = Place::new();
    fresh_key(&place);
    place.run("ledger export key --out ledger").exits(0);
    let lock = fs::File::open(place.path("key/LOCK")).unwrap();
    lock.lock().unwrap();
    place.run("ledger show key").exits(0);
    let writers = [
        "ledger init key --first-epoch 5",
        "ledger import key ledger",
        "ledger export key",
    ];
    for line in writers {
        place.run(line).exits(3).prints_nothing().says(&["'key/LOCK'"]);
    }
    drop(lock);
    for line in writers {
        place.run(line).exits(0);
    }
}

/// A ledger text with a few entries.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let entry = (any::<u32>(), any::<bool>(), any::<u64>()).prop_map(|(epoch, known, signed)| {
        let digest = if known {
            format!("\"{:064x}\"", signed)
        } else {
            "null".to_owned()
        };
        format!("{{\"epoch\":\"{epoch}\",\"message_digest\":{digest},\"signed_at_unix_ms\":\"{signed}\"}}")
    });
    proptest::collection::vec(entry, 0..4).prop_map(|entries| {
        let text = format!(
            "{{\"metadata\":{{\"format\":\"keymill-ledger\",\"interchange_format_version\":\"1\"}},\"data\":[{{\
             \"pubkey\":\"00\",\"scheme\":\"s\",\"key_id\":\"{:032x}\",\"first_epoch\":null,\"signed_epochs\":[{}]}}]}}",
            7,
            entries.join(",")
        );
        text.into_bytes()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hostile_text_is_refused_without_a_panic(
        mut text in text(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        noise in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        prop_assert!(parse(&text).is_ok());
        let _ = parse(&noise);
        let whole = text.clone();
        for (at, byte) in changes {
            let at = at.index(text.len());
            text[at] = byte;
        }
        // What is still a ledger has as many entries: nothing is left out in silence.
        if let Ok(histories) = parse(&text) {
            prop_assert_eq!(histories[0].signed_epochs.len(), parse(&whole).unwrap()[0].signed_epochs.len());
        }
        for length in 0..whole.len() {
            prop_assert!(parse(&whole[..length]).is_err());
        }
    }
}
