//! A secret changes its form: through failures, kills and power cuts, and with another one beside it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{EIO, MESSAGE, form, other_passphrase, passphrase, small_files, turned};
use crate::audit::check;
use crate::audit::fixture_tests::{OPTIONS, TINY, TestKey};
use crate::error::{Reason, Result};
use crate::exchange::keystore::{SecretTurn, seal_secret, unseal_secret};
use crate::faults::{Fate, Faults};
use crate::files::directory_tests::copy_directory;
use crate::keydir::{KeyDir, KeyPlace, SecretForm};
use crate::keygen::tests::cut_short::Work;
use crate::keystore::Passphrase;
use crate::signing::Signer;
use crate::units::Epoch;

type Turn = fn(&Path, &Passphrase) -> Result<SecretTurn>;

const TURNS: [(SecretForm, SecretForm, Turn); 2] = [
    (SecretForm::Plain, SecretForm::Keystore, seal_secret),
    (SecretForm::Keystore, SecretForm::Plain, unseal_secret),
];

/// The key works, whatever form its secret is in, and both turns can be made from there.
fn works(key: &Path, case: &str) {
    let passphrase = passphrase();
    let place = KeyPlace::new(key).passphrase(&passphrase);
    let deep = check(place, true, OPTIONS).unwrap_or_else(|error| panic!("{case}: {error}"));
    assert_eq!(deep.damage, [], "{case}");
    let copy = tempfile::tempdir().unwrap();
    for (at, (_, to, turn)) in TURNS.into_iter().enumerate() {
        let copy = copy.path().join(at.to_string());
        copy_directory(key, &copy);
        turn(&copy, &passphrase).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(form(&copy), to, "{case}");
        let place = KeyPlace::new(&copy).passphrase(&passphrase);
        let signed = Signer::open(place).and_then(|mut signer| signer.sign(Epoch(5), &MESSAGE));
        signed.unwrap_or_else(|error| panic!("{case}: {error}"));
    }
}

#[test]
fn a_secret_whose_form_a_power_cut_changes_is_there_and_the_next_command_finishes() {
    for (from, to, turn) in TURNS {
        let made = turned(from);
        let key = |place: &Path| place.join("key");
        Work {
            before: &|place| copy_directory(&made.path(), &key(place)),
            done: &|place| {
                (
                    (),
                    turn(&key(place), &passphrase())
                        .map(drop)
                        .map_err(|error| error.to_string()),
                )
            },
            holds: &|shown, (), is_finished, case| {
                if is_finished {
                    assert_eq!(form(&key(shown)), to, "{case}");
                }
                works(&key(shown), case);
            },
        }
        .is_cut(24);
    }
}

/// Every call of a turn fails alone, and with all that follow it, as when the process is killed there.
#[test]
fn a_secret_whose_form_a_failing_call_or_a_kill_changes_is_there_and_the_next_command_finishes() {
    for (from, to, turn) in TURNS {
        let made = turned(from).copy_in_memory();
        for is_killed in [false, true] {
            for number in 1.. {
                let key = made.copy_in_memory();
                let mut calls = 0;
                let faults = Faults::below(&key.path(), move |_, _| {
                    calls += 1;
                    let fails = calls == number || (is_killed && calls > number);
                    if fails { Fate::Fail(EIO) } else { Fate::Pass }
                });
                let ended = turn(&key.path(), &passphrase());
                let calls = faults.seen().len();
                drop(faults);
                let case = format!("{from:?}, call {number}, killed {is_killed}: {ended:?}");
                assert_ne!(form(&key.path()), SecretForm::Missing, "{case}");
                let passphrase = passphrase();
                let directory = key.path();
                let place = KeyPlace::new(&directory).passphrase(&passphrase);
                let prf_key = || KeyDir::open(place).unwrap().prf_key();
                prf_key().unwrap_or_else(|error| panic!("{case}: {error}"));
                turn(&directory, &passphrase).unwrap_or_else(|error| panic!("{case}: {error}"));
                assert_eq!(form(&directory), to, "{case}");
                prf_key().unwrap_or_else(|error| panic!("{case}: {error}"));
                if calls < number {
                    break;
                }
            }
        }
    }
}

#[test]
fn the_plain_secret_goes_only_when_the_keystore_is_durable_and_was_opened_from_the_disk() {
    let key = turned(SecretForm::Plain);
    let faults = Faults::below(&key.path(), |_, _| Fate::Pass);
    seal_secret(&key.path(), &passphrase()).unwrap();
    let seen = faults.seen();
    drop(faults);
    let named = |seen: &crate::faults::Seen| {
        let name = seen.path.file_name().unwrap().to_string_lossy().into_owned();
        (seen.call, name)
    };
    let calls: Vec<_> = seen.iter().map(named).collect();
    let at = |call: &str, name: &str| {
        let found = calls.iter().rposition(|(made, on)| *made == call && on == name);
        found.unwrap_or_else(|| panic!("no {call} on {name}: {calls:?}"))
    };
    let synced = calls
        .iter()
        .position(|(call, name)| *call == "fsync" && name == "keystore.json")
        .unwrap();
    let named = calls
        .iter()
        .skip(synced)
        .position(|(call, name)| *call == "fsync" && name == "key")
        .unwrap()
        + synced;
    let order = [
        synced,
        named,
        at("posix_fadvise", "keystore.json"),
        at("read", "keystore.json"),
        at("unlink", "secret"),
    ];
    assert!(order.is_sorted(), "{order:?} {calls:?}");
    assert!(at("fsync", "key") > at("unlink", "secret"), "{calls:?}");
}

#[test]
fn two_secrets_in_one_directory_are_refused_unless_they_are_the_same() {
    let (key, other) = (turned(SecretForm::Plain), TestKey::new(TINY, 256, 66));
    let secret = fs::read(key.path().join("secret")).unwrap();
    let alien = fs::read(other.path().join("secret")).unwrap();
    seal_secret(&key.path(), &passphrase()).unwrap();
    let passphrase = passphrase();
    let put = |bytes: &[u8]| {
        fs::write(key.path().join("secret"), bytes).unwrap();
        fs::set_permissions(key.path().join("secret"), Permissions::from_mode(0o600)).unwrap();
    };
    put(&alien);
    let before = small_files(&key.path());
    for used in [
        seal_secret(&key.path(), &passphrase).map(drop),
        unseal_secret(&key.path(), &passphrase).map(drop),
        KeyDir::open(KeyPlace::new(&key.path()).passphrase(&passphrase))
            .unwrap()
            .prf_key()
            .map(drop),
        KeyDir::open(&key.path()).unwrap().prf_key().map(drop),
    ] {
        assert_eq!(used.unwrap_err().reason(), Reason::SecretDamaged);
    }
    assert_eq!(small_files(&key.path()), before);
    put(&secret);
    KeyDir::open(&key.path()).unwrap().prf_key().unwrap();
    let wrong = seal_secret(&key.path(), &other_passphrase()).unwrap_err();
    assert_eq!(wrong.reason(), Reason::WrongPassphrase);
    assert_eq!(form(&key.path()), SecretForm::Both);
    assert_eq!(seal_secret(&key.path(), &passphrase).unwrap(), SecretTurn::Finished);
    assert_eq!(form(&key.path()), SecretForm::Keystore);
}

#[test]
fn the_keystore_of_another_key_and_a_damaged_one_are_told_from_each_other_and_checked_for() {
    let (key, other) = (turned(SecretForm::Keystore), TestKey::new(TINY, 256, 67));
    seal_secret(&other.path(), &passphrase()).unwrap();
    let path = key.path().join("keystore.json");
    let passphrase = passphrase();
    let prf_key = || {
        KeyDir::open(KeyPlace::new(&key.path()).passphrase(&passphrase))
            .unwrap()
            .prf_key()
    };
    fs::copy(other.path().join("keystore.json"), &path).unwrap();
    let error = prf_key().unwrap_err();
    assert_eq!(error.reason(), Reason::SecretDamaged);
    assert!(
        error.to_string().contains("keystore.json' does not belong to this key"),
        "{error}"
    );
    fs::write(&path, "{ \"version\": 5 }").unwrap();
    let error = prf_key().unwrap_err();
    assert!(error.to_string().contains("keystore.json' is damaged"), "{error}");
    let report = check(&key.path(), false, OPTIONS).unwrap();
    let damaged: Vec<_> = report.damage.iter().map(|damage| damage.file.clone()).collect();
    assert_eq!(damaged, [path]);
}
