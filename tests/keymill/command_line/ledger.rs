//! An epoch signs once, as a user meets it: repeated signatures, keys without a history, many signers at once, kills.

use std::collections::BTreeSet;
use std::time::Duration;

use rustix::process::Signal;

use super::fixtures::{PARAMETER, SEED, TINY, finished_key};
use super::program::{Outcome, Place};
use keymill_reference::Numbers;

/// A message of its own for each number.
pub fn message(number: u64) -> String {
    format!("{number:064x}")
}

pub fn sign(place: &Place, epoch: u64, number: u64) -> Outcome {
    place.run(&format!("sign key --epoch {epoch} --message {}", message(number)))
}

pub fn fresh_key(place: &Place) {
    place.run(&format!("keygen key --scheme {TINY}")).exits(0);
}

pub fn status(place: &Place) -> serde_json::Value {
    place.run("ledger show key --json").json()
}

#[test]
fn the_same_message_gives_the_same_bytes_and_another_one_is_told_when_its_epoch_was_spent() {
    let place = Place::new();
    fresh_key(&place);
    let first = sign(&place, 3, 1).exits(0).line();
    assert_eq!(sign(&place, 3, 1).exits(0).line(), first);
    let shown = status(&place);
    assert_eq!((&shown["spent"], &shown["highest"]), (&1.into(), &3.into()));
    let spent_unix_ms = shown["last_signed_unix_ms"].as_u64().unwrap();
    let time = place.run("ledger show key").exits(0);
    let time = time.text().lines().find(|line| line.starts_with("last spent at"));
    let time = time.unwrap().split_whitespace().last().unwrap().to_owned();
    assert!(spent_unix_ms > 1_700_000_000_000 && time.starts_with("20") && time.ends_with('Z'));
    sign(&place, 3, 2)
        .exits(1)
        .prints_nothing()
        .says(&["epoch 3", "spent", &time]);
    assert_eq!(sign(&place, 3, 1).exits(0).line(), first);
    sign(&place, 4, 2).exits(0);
    assert_eq!(status(&place)["spent"], 2);
    place.run("check key").exits(0);
}

#[test]
fn a_key_from_fresh_randomness_needs_no_beginning_and_one_from_a_given_secret_does() {
    for secret in [
        "--seed-file seed",
        &format!("--prf-key-file seed --parameter {PARAMETER}"),
    ] {
        let place = Place::new();
        place.file("seed", SEED);
        place.run(&format!("keygen key --scheme {TINY} {secret}")).exits(0);
        let how = ["does not know", "keymill ledger init key --first-epoch N"];
        sign(&place, 7, 1).exits(3).prints_nothing().says(&how);
        let shown = place.run("ledger show key --json").exits(1).json();
        assert_eq!(
            (&shown["state"], &shown["first_epoch"]),
            (&"no-history".into(), &().into())
        );
        // That is not damage.
        place.run("check key").exits(0);
        place.run("ledger init key --first-epoch 7").exits(0);
        sign(&place, 6, 1)
            .exits(3)
            .prints_nothing()
            .says(&["epoch 6", "from 7 on"]);
        sign(&place, 7, 1).exits(0);
        let shown = place.run("ledger show key --json").exits(0).json();
        assert_eq!((&shown["state"], &shown["first_epoch"]), (&"sound".into(), &7.into()));
    }
    let place = Place::new();
    fresh_key(&place);
    sign(&place, 0, 1).exits(0);
}

/// It may be all that was left of a key, put back to make it once more.
#[test]
fn a_fresh_secret_that_was_put_into_a_new_directory_has_no_known_history() {
    let place = Place::new();
    fresh_key(&place);
    let public_key = place.run("public-key key").exits(0).line();
    sign(&place, 3, 1).exits(0);
    let secret = std::fs::read(place.path("key/secret")).unwrap();
    std::fs::remove_dir_all(place.path("key")).unwrap();
    std::fs::create_dir(place.path("key")).unwrap();
    place.file("key/secret", secret);
    std::fs::set_permissions(
        place.path("key/secret"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    let made = place.run(&format!("keygen key --scheme {TINY}")).exits(0).line();
    assert_eq!(made, public_key);
    sign(&place, 3, 2).exits(3).prints_nothing().says(&["ledger init"]);
}

#[test]
fn init_never_lowers_anything_and_names_the_least_that_is_possible() {
    let place = Place::new();
    finished_key(&place, TINY);
    place.run("ledger init key --first-epoch 10").exits(0);
    place
        .run("ledger init key --first-epoch 9")
        .exits(3)
        .says(&["too low", "use 10 or more"]);
    sign(&place, 20, 1).exits(0);
    sign(&place, 15, 1).exits(0);
    for low in ["0", "9"] {
        let line = format!("ledger init key --first-epoch {low}");
        place
            .run(&line)
            .exits(3)
            .prints_nothing()
            .says(&["too low", "use 10 or more"]);
    }
    // What is listed stays spent, so it does not raise the bound.
    place.run("ledger init key --first-epoch 10").exits(0);
    place
        .run("ledger init key --first-epoch 257")
        .exits(2)
        .says(&["257", "[0, 256)"]);
    assert_eq!(status(&place)["first_epoch"], 10);
    place.run("ledger init key --first-epoch 21").exits(0);
    let shown = status(&place);
    assert_eq!((&shown["first_epoch"], &shown["spent"]), (&21.into(), &2.into()));
    // What is listed is still known.
    sign(&place, 15, 1).exits(0);
    sign(&place, 15, 2).exits(1);
    sign(&place, 16, 2).exits(3);
    place.run("ledger init key --first-epoch 256").exits(2).says(&["256"]);
    place.run("ledger init key --first-epoch 255").exits(0);
    sign(&place, 254, 1).exits(3).says(&["epoch 254"]);
    place.run("check key").exits(0);
}

#[test]
fn of_many_signers_at_once_with_a_message_each_one_message_signs() {
    const SIGNERS: u64 = 8;
    let place = Place::new();
    fresh_key(&place);
    let mut met = 0;
    for epoch in [0, 100, 255].into_iter().chain(1..50) {
        // Where each of them ended before the next one came, nothing was seen.
        if (1..50).contains(&epoch) && met > 0 {
            break;
        }
        let start = |number| place.start(&[], &format!("sign key --epoch {epoch} --message {}", message(number)));
        let running: Vec<_> = (0..SIGNERS).map(start).collect();
        let mut signed = BTreeSet::new();
        for (number, running) in running.into_iter().enumerate() {
            let (outcome, _) = running.end();
            match outcome.code {
                Some(0) => _ = signed.insert(number as u64),
                Some(1) => assert!(
                    outcome.stderr.contains("already signed another message"),
                    "{}",
                    outcome.all()
                ),
                _ => {
                    outcome.exits(3).prints_nothing().says(&["'key/LOCK'"]);
                    met += 1;
                }
            }
        }
        for number in 0..SIGNERS {
            let outcome = sign(&place, epoch, number);
            assert!(matches!(outcome.code, Some(0 | 1)), "{}", outcome.all());
            if outcome.code == Some(0) {
                signed.insert(number);
            }
        }
        assert_eq!(signed.len(), 1, "epoch {epoch}: {signed:?} have signed");
    }
    assert!(met > 0, "no signer met another one");
    place.run("check key").exits(0);
}

#[test]
fn a_signer_killed_at_any_moment_leaves_an_epoch_that_signs_one_message() {
    const KILLS: u64 = 40;
    let place = Place::new();
    fresh_key(&place);
    let seed = 0x51_6e;
    let mut numbers = Numbers(seed);
    let mut killed = 0;
    for epoch in 0..4 {
        let mut signed = BTreeSet::new();
        for number in 0..KILLS / 4 {
            let line = format!("sign key --epoch {epoch} --message {}", message(number));
            let mut running = place.start(&[], &line);
            std::thread::sleep(Duration::from_micros(numbers.below(25_000)));
            running.signal(Signal::KILL);
            let (outcome, _) = running.end();
            killed += u64::from(outcome.code.is_none());
            if !outcome.stdout.is_empty() {
                signed.insert(number);
            }
        }
        for number in 0..KILLS / 4 {
            let outcome = sign(&place, epoch, number);
            assert!(matches!(outcome.code, Some(0 | 1)), "seed {seed}\n{}", outcome.all());
            if outcome.code == Some(0) {
                signed.insert(number);
            }
        }
        assert_eq!(signed.len(), 1, "seed {seed}, epoch {epoch}: {signed:?} have signed");
    }
    // What a killed signer was writing is gone with the next one.
    let mut left = std::fs::read_dir(place.path("key")).unwrap();
    let temporary = left.find(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'));
    assert!(temporary.is_none(), "{temporary:?}");
    assert!(
        killed > KILLS / 4,
        "seed {seed}: only {killed} of {KILLS} kills met a signer"
    );
    place.run("check key").exits(0);
}

#[test]
fn a_key_is_whole_to_whoever_checks_it_while_it_signs() {
    let place = Place::new();
    fresh_key(&place);
    std::thread::scope(|scope| {
        let signer = scope.spawn(|| {
            for epoch in 0..60 {
                sign(&place, epoch, 1).exits(0);
            }
        });
        while !signer.is_finished() {
            place.run("check key").exits(0);
            place.run("ledger show key").exits(0);
        }
    });
}

#[test]
fn a_beginning_names_the_first_epoch_that_may_sign() {
    let place = Place::new();
    place
        .run(&format!(
            "keygen key --scheme {TINY} --activation-epoch 128 --epochs 64"
        ))
        .exits(0);
    let begin = |first: u64, said: &str| {
        let line = format!("ledger init key --first-epoch {first}");
        place.run(&line).exits(0).prints(&[said]);
    };
    let stored = place.status("key").unwrap();
    let (start, end) = (&stored["stored_start"], stored["stored_end"].as_u64().unwrap());
    begin(1, &format!("epochs from {start} on may sign"));
    sign(&place, 130, 1).exits(0);
    sign(&place, end - 1, 1).exits(0);
    begin(129, "epochs from 129 on may sign");
    begin(130, "epochs from 131 on may sign");
    begin(
        end - 1,
        &format!("no epoch may sign: those from {} on are spent", end - 1),
    );
}
