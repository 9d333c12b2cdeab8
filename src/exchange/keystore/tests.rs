//! Secrets that go under a passphrase and come out again, and what can be done with them there.

mod elsewhere;
mod turns;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{SecretTurn, seal_secret, unseal_secret};
use crate::audit::fixture_tests::{OPTIONS, TINY, TestKey, seeded};
use crate::audit::{check, repair};
use crate::error::{Reason, Result};
use crate::exchange::{Backup, Exporter};
use crate::failure::FailureKind;
use crate::faults::{Fate, Faults};
use crate::interop::secret_key::SecretKeyForm;
use crate::keydir::{KeyDir, KeyPlace, Origin, SecretForm};
use crate::keygen::tests::cut_short::Work;
use crate::keygen::{CancelHandle, KeyRequest, KeygenJob, NoProgress};
use crate::keystore::Passphrase;
use crate::ledger::{LedgerCondition, init, show};
use crate::signing::{PathReader, Signer};
use crate::trim::trim;
use crate::units::{Epoch, Level};
use keymill_xmss::scheme::Scheme;

const EIO: i32 = rustix::io::Errno::IO.raw_os_error();
const MESSAGE: [u8; 32] = [1; 32];

fn passphrase() -> Passphrase {
    Passphrase::new("open sesame").unwrap()
}

fn other_passphrase() -> Passphrase {
    Passphrase::new("open barley").unwrap()
}

fn form(key: &Path) -> SecretForm {
    KeyDir::open(key).unwrap().secret_form().unwrap()
}

/// Makes the key of a request, with its secret under the passphrase from the beginning.
fn make_sealed(directory: &Path, request: KeyRequest, passphrase: &Passphrase) -> Result<()> {
    let request = KeyRequest {
        scheme: request.scheme.or(Scheme::by_id(TINY).ok()),
        epochs: request.epochs.or(Some(256)),
        ..request
    };
    let asked = KeygenJob::builder(directory).request(request).options(OPTIONS);
    asked.seal_secret(passphrase.clone()).open()?.run(&NoProgress).map(drop)
}

/// Everything in a directory, by its name, but for what RocksDB has.
fn small_files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .filter(|path| path.is_file() && !path.ends_with("LOCK"))
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect()
}

#[test]
fn a_secret_that_was_sealed_and_opened_again_is_the_same_file() {
    for seed in [61, 62] {
        let key = TestKey::new(TINY, 256, seed);
        let before = small_files(&key.path());
        assert_eq!(seal_secret(&key.path(), &passphrase()).unwrap(), SecretTurn::Done);
        assert_eq!(form(&key.path()), SecretForm::Keystore);
        let mode = fs::metadata(key.path().join("keystore.json"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(seal_secret(&key.path(), &passphrase()).unwrap(), SecretTurn::Already);
        assert_eq!(unseal_secret(&key.path(), &passphrase()).unwrap(), SecretTurn::Done);
        assert_eq!(unseal_secret(&key.path(), &passphrase()).unwrap(), SecretTurn::Already);
        assert_eq!(small_files(&key.path()), before);
    }
}

/// What a key gives to those who may open its secret.
type Use<'a> = (&'a str, Box<dyn Fn(KeyPlace<'_>) -> Result<()> + 'a>);

fn uses<'a>() -> Vec<Use<'a>> {
    let window = |place: KeyPlace<'_>| {
        let exporter = Exporter::open(place)?;
        exporter.window(None)?.write(SecretKeyForm::LeansigSsz, &mut Vec::new())
    };
    vec![
        (
            "check --deep",
            Box::new(|place| check(place, true, OPTIONS).map(|report| assert_eq!(report.damage, []))),
        ),
        (
            "repair",
            Box::new(|place| repair(place, OPTIONS, &CancelHandle::default()).map(drop)),
        ),
        (
            "sign",
            Box::new(|place| Signer::open(place)?.sign(Epoch(9), &MESSAGE).map(drop)),
        ),
        ("backup", Box::new(|place| Backup::of(place).map(drop))),
        ("trim", Box::new(|place| trim(place, Level(3)).map(drop))),
        (
            "path",
            Box::new(|place| PathReader::open(place)?.path(Epoch(9)).map(drop)),
        ),
        ("export", Box::new(window)),
    ]
}

#[test]
fn whoever_needs_the_secret_gets_it_with_the_passphrase_alone_and_is_told_so() {
    let key = TestKey::new(TINY, 256, 63);
    init(&key.path(), 0).unwrap();
    seal_secret(&key.path(), &passphrase()).unwrap();
    // Of a key that stores every level, a path needs no secret.
    PathReader::open(&key.path()).unwrap();
    for (name, used) in uses() {
        if name != "path" {
            let before = small_files(&key.path());
            let missing = used(KeyPlace::new(&key.path())).unwrap_err();
            assert_eq!(
                (missing.reason(), missing.kind()),
                (Reason::PassphraseMissing, FailureKind::Usage),
                "{name}"
            );
            assert_eq!(missing.remedies().len(), 1, "{name}");
            let other = other_passphrase();
            let wrong = used(KeyPlace::new(&key.path()).passphrase(&other)).unwrap_err();
            assert_eq!(
                (wrong.reason(), wrong.kind()),
                (Reason::WrongPassphrase, FailureKind::No),
                "{name}"
            );
            assert_eq!(wrong.remedies(), [], "{name}");
            assert_eq!(small_files(&key.path()), before, "{name}");
        }
        used(KeyPlace::new(&key.path()).passphrase(&passphrase())).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let report = check(&key.path(), false, OPTIONS).unwrap();
    assert_eq!((&report.damage[..], report.secret_present), (&[][..], true));
    assert_eq!(report.secret_form, SecretForm::Keystore);
}

#[test]
fn a_key_that_is_sealed_from_the_beginning_is_the_same_key_and_never_has_a_plain_secret() {
    let plain = TestKey::new(TINY, 256, 64);
    let sealed = TestKey::empty();
    let seen = {
        let root = sealed.path().parent().unwrap().to_owned();
        let faults = Faults::below(&root, |_, _| Fate::Pass);
        make_sealed(&sealed.path(), seeded(64), &passphrase()).unwrap();
        faults.seen()
    };
    let secret = sealed.path().join("secret");
    let made = seen.iter().filter(|seen| seen.path == secret).map(|seen| seen.call);
    let made: Vec<_> = made.filter(|call| !["lstat", "open"].contains(call)).collect();
    assert_eq!(made, Vec::<&str>::new());
    assert_eq!(sealed.layers(), plain.layers());
    let manifest = |key: &TestKey| fs::read(key.path().join("manifest.toml")).unwrap();
    assert_eq!(manifest(&sealed), manifest(&plain));
    unseal_secret(&sealed.path(), &passphrase()).unwrap();
    let secret = |key: &TestKey| fs::read(key.path().join("secret")).unwrap();
    assert_eq!(secret(&sealed), secret(&plain));
}

#[test]
fn a_fresh_key_that_is_sealed_from_the_beginning_has_no_past_and_goes_on_with_its_passphrase_wherever_it_ended() {
    // Every call before the manifest is there.
    for number in 1.. {
        let key = TestKey::empty();
        let root = key.path().parent().unwrap().to_owned();
        let mut calls = 0;
        let faults = Faults::below(&root, move |_, _| {
            calls += 1;
            if calls >= number { Fate::Fail(EIO) } else { Fate::Pass }
        });
        let ended = make_sealed(&key.path(), KeyRequest::default(), &passphrase());
        drop(faults);
        let had_manifest = key.path().join("manifest.toml").exists();
        let was_done = ended.is_ok();
        make_sealed(&key.path(), KeyRequest::default(), &passphrase()).unwrap();
        assert_eq!(form(&key.path()), SecretForm::Keystore, "call {number}");
        let status = show(&key.path()).unwrap();
        assert_eq!(status.manifest.origin(), Origin::Fresh, "call {number}");
        assert_eq!(
            status.condition,
            LedgerCondition::Sound,
            "call {number}: {:?}",
            status.problem
        );
        if had_manifest || was_done {
            break;
        }
    }
}

#[test]
fn a_sealed_key_whose_making_a_power_cut_ends_loses_no_secret_of_a_public_key_that_was_told() {
    let run = |place: &Path| {
        let directory = place.join("key");
        match make_sealed(&directory, KeyRequest::default(), &passphrase()) {
            Ok(()) => (KeyDir::open_sealed(&directory).unwrap().manifest().public_key(), Ok(())),
            Err(error) => (None, Err(error.to_string())),
        }
    };
    Work {
        before: &|_| {},
        done: &run,
        holds: &|shown, told, _, case| {
            assert!(!shown.join("key/secret").exists(), "{case}");
            let (found, ended) = run(shown);
            ended.unwrap_or_else(|error| panic!("{case}: {error}"));
            assert!(told.is_none() || *told == found, "{case}: it is another key");
            assert_eq!(form(&shown.join("key")), SecretForm::Keystore, "{case}");
            let status = show(&shown.join("key")).unwrap();
            assert_eq!(status.condition, LedgerCondition::Sound, "{case}: {:?}", status.problem);
        },
    }
    .is_cut(24);
}

/// A key with a past and a ledger, whose secret is in the form that is left.
fn turned(from: SecretForm) -> TestKey {
    let key = TestKey::new(TINY, 256, 65);
    init(&key.path(), 0).unwrap();
    if from == SecretForm::Keystore {
        seal_secret(&key.path(), &passphrase()).unwrap();
    }
    key
}
