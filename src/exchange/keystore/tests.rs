//! Secrets that go under a passphrase and come out again: through failures, kills and power cuts, and to other directories.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{KeystoreExport, SecretTurn, read_keystore, seal_secret, unseal_secret};
use crate::audit::fixture_tests::{OPTIONS, TINY, TestKey, seeded};
use crate::audit::{check, repair};
use crate::error::{Error, Reason, Result};
use crate::exchange::{Backup, Exporter};
use crate::failure::FailureKind;
use crate::faults::{Fate, Faults};
use crate::files::directory_tests::copy_directory;
use crate::interop::secret_key::SecretKeyForm;
use crate::keydir::{KeyDir, KeyPlace, Origin, Secret, SecretForm};
use crate::keygen::tests::cut_short::Work;
use crate::keygen::{CancelHandle, KeyRequest, KeygenJob, NoProgress};
use crate::keystore::Passphrase;
use crate::ledger::{LedgerCondition, init, show};
use crate::signing::{PathReader, Signer};
use crate::trim::trim;
use crate::units::{Epoch, Level};
use keymill_xmss::scheme::{Parameter, Scheme};

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

/// A key with a past and a ledger, whose secret is in the form that is left.
fn turned(from: SecretForm) -> TestKey {
    let key = TestKey::new(TINY, 256, 65);
    init(&key.path(), 0).unwrap();
    if from == SecretForm::Keystore {
        seal_secret(&key.path(), &passphrase()).unwrap();
    }
    key
}

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

#[test]
fn a_secret_whose_form_a_failing_call_changes_is_there_and_the_next_command_finishes() {
    for (from, to, turn) in TURNS {
        let made = turned(from).copy_in_memory();
        for number in 1.. {
            let key = made.copy_in_memory();
            let mut calls = 0;
            let faults = Faults::below(&key.path(), move |_, _| {
                calls += 1;
                if calls == number { Fate::Fail(EIO) } else { Fate::Pass }
            });
            let ended = turn(&key.path(), &passphrase());
            let calls = faults.seen().len();
            drop(faults);
            let case = format!("{from:?}, call {number}: {ended:?}");
            assert_ne!(form(&key.path()), SecretForm::Missing, "{case}");
            turn(&key.path(), &passphrase()).unwrap_or_else(|error| panic!("{case}: {error}"));
            assert_eq!(form(&key.path()), to, "{case}");
            let place_passphrase = passphrase();
            let place = KeyPlace::new(&key.path())
                .passphrase(&place_passphrase)
                .path()
                .to_owned();
            KeyDir::open(KeyPlace::new(&place).passphrase(&place_passphrase))
                .unwrap()
                .prf_key()
                .unwrap();
            if calls < number {
                break;
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
