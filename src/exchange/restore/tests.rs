//! Keys that are made again: the same bytes, and no signature before somebody says from where on they are unused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Reason, Result};
use crate::exchange::backup::Backup;
use crate::faults::{Fate, Faults};
use crate::keydir::{KeyDir, KeyState, LedgerMark, Origin, Secret};
use crate::keygen::tests::{in_memory, to_be_told};
use crate::keygen::{CancelHandle, JobOptions, KeyDefaults, KeyRequest, KeygenJob, NoProgress};
use crate::ledger::{LedgerCondition, init, show};
use crate::plan::MemoryRequest;
use crate::signing::Signer;
use crate::units::Level;
use keymill_xmss::scheme::Parameter;
use keymill_xmss::scheme::Scheme;

const EIO: i32 = rustix::io::Errno::IO.raw_os_error();
const OPTIONS: JobOptions = JobOptions::DEFAULT
    .threads(1)
    .group_batches(1)
    .memory(MemoryRequest::NoLimit);

pub(in crate::exchange) fn make(directory: &Path, request: &KeyRequest) -> Result<()> {
    let defaults = KeyDefaults {
        scheme: Scheme::by_id("leansig-p1-l8-abort-v4-w8").unwrap(),
        epochs: 256,
        trim: Level(0),
    };
    let job = KeygenJob::builder(directory)
        .request(request.clone())
        .defaults(defaults)
        .options(OPTIONS)
        .open()?;
    job.run(&NoProgress).map(|_| ())
}

#[derive(Debug)]
enum Refusal {
    Restore(Error),
    Keygen(Error),
}

fn restore(directory: &Path, backup: &Backup) -> Result<(), Refusal> {
    let request = backup.request(directory).map_err(Refusal::Restore)?;
    make(directory, &request).map_err(Refusal::Keygen)
}

/// What has to be the same again: manifest, secret and layer files.
pub(in crate::exchange) fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let layers = std::fs::read_dir(directory.join("layers")).unwrap();
    let mut names: Vec<PathBuf> = layers.map(|entry| entry.unwrap().path()).collect();
    names.extend(["manifest.toml", "secret"].map(|name| directory.join(name)));
    let relative = |name: &Path| name.strip_prefix(directory).unwrap().to_owned();
    names
        .iter()
        .map(|name| (relative(name), std::fs::read(name).unwrap()))
        .collect()
}

/// Nothing is signed, and what is on disk does not vouch for the key.
#[track_caller]
fn signs_nothing(directory: &Path, case: &str) {
    assert_eq!(show(directory).unwrap().condition, LedgerCondition::NoHistory, "{case}");
    let mut signer = Signer::open(directory).unwrap();
    let epoch = signer.paths().epoch(110).unwrap();
    assert!(signer.sign(epoch, &[7; 32]).is_err(), "{case}: it signs");
}

#[test]
fn a_key_of_every_origin_is_made_again_byte_for_byte() {
    let scheme = Scheme::by_id("leansig-p1-l8-abort-v4-w8").unwrap();
    let offset = KeyRequest {
        activation_epoch: Some(100),
        epochs: Some(20),
        ..KeyRequest::default()
    };
    let plan = crate::plan::Plan::new(scheme, 100, 20).unwrap();
    let given = KeyRequest {
        secret: Some(Secret::PrfKey([9; 32])),
        parameter: Some(Parameter::of(&[1; 20])),
        ..offset.clone()
    };
    let requests = [
        KeyRequest::default(),
        offset.clone(),
        KeyRequest {
            secret: Some(Secret::Seed([6; 32])),
            trim: Some(Level(4)),
            ..offset.clone()
        },
        given.clone(),
        KeyRequest {
            fillers: Some(vec![2; plan.filler_count() * scheme.digest_bytes()]),
            ..given
        },
    ];
    for (index, request) in requests.into_iter().enumerate() {
        let place = in_memory();
        let [first, second] = ["first", "second"].map(|name| place.path().join(name));
        make(&first, &request).unwrap();
        let text = Backup::of(&first).unwrap().to_text();
        assert_eq!(text.contains("fillers"), request.fillers.is_some(), "request {index}");
        restore(&second, &Backup::parse(&text).unwrap()).unwrap();
        assert!(files(&first) == files(&second), "request {index}");
        assert_eq!(*Backup::of(&second).unwrap().to_text(), *text, "request {index}");
        signs_nothing(&second, &format!("request {index}"));
        // There is nothing to do, and its secret is put back where that is lost.
        std::fs::remove_file(second.join("secret")).unwrap();
        restore(&second, &Backup::parse(&text).unwrap()).unwrap();
        assert!(files(&first) == files(&second), "request {index}, again");
    }
}

/// The calls of a restore that come before the first batch, and some more.
const CREATING_CALLS: usize = 100;

/// Whoever goes on with a restore that ended.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
    Restore,
    Keygen,
}

/// Ends a restore at its n-th call, goes on, and gives whether there were so many calls.
fn ends_at(original: &Path, backup: &Backup, n: usize, next: Next) -> bool {
    let case = format!("ended at call {n}, then {next:?}");
    let place = in_memory();
    let key = place.path().join("key");
    let mut made = 0;
    let faults = Faults::below(place.path(), move |_, _| {
        made += 1;
        if made < n { Fate::Pass } else { Fate::Fail(EIO) }
    });
    let has_failed = restore(&key, backup).is_err();
    let seen = faults.seen();
    drop(faults);
    let told = to_be_told(&seen, EIO);
    assert!(has_failed || told.is_empty(), "{case}: {told:?} were not noticed");
    let is_reached = seen.len() >= n;
    if next == Next::Keygen {
        match make(&key, &KeyRequest::default()) {
            Ok(()) => {}
            // Nothing of the key was there yet, or only its manifest.
            Err(error) if error.reason() == Reason::SecretMissing => {}
            Err(error) => panic!("{case}: {error}"),
        }
        let made = std::fs::read(key.join("manifest.toml")).unwrap();
        if !String::from_utf8(made).unwrap().contains(&backup.key_id().to_string()) {
            // It drew a secret of its own, since none was there.
            assert!(
                matches!(
                    restore(&key, backup),
                    Err(Refusal::Restore(error)) if error.reason() == Reason::Contradiction
                ),
                "{case}"
            );
            return is_reached;
        }
    }
    restore(&key, backup).unwrap_or_else(|error| panic!("{case}: {error:?}"));
    assert!(files(original) == files(&key), "{case}: other bytes");
    signs_nothing(&key, &case);
    if n.is_multiple_of(16) {
        init(&key, 20).unwrap();
        let mut signer = Signer::open(&key).unwrap();
        let [known, unknown] = [20, 19].map(|epoch| signer.paths().epoch(epoch).unwrap());
        assert!(signer.sign(unknown, &[7; 32]).is_err(), "{case}");
        signer.sign(known, &[7; 32]).unwrap();
    }
    is_reached
}

#[test]
fn a_fresh_key_that_is_made_again_and_ends_at_any_call_signs_nothing_before_a_beginning() {
    let place = in_memory();
    let original = place.path().join("key");
    make(&original, &KeyRequest::default()).unwrap();
    let backup = Backup::of(&original).unwrap();
    assert_eq!(backup.origin(), Origin::Fresh);
    for n in 1.. {
        let both = [Next::Restore, Next::Keygen];
        // While the directory is created, both; later, one after the other.
        let next = if n <= CREATING_CALLS {
            &both[..]
        } else {
            &both[n % 2..][..1]
        };
        let mut is_reached = false;
        for &next in next {
            is_reached |= ends_at(&original, &backup, n, next);
        }
        if !is_reached {
            assert!(n > CREATING_CALLS, "only {n} calls were seen");
            return;
        }
    }
}

#[test]
fn a_mark_that_an_interrupted_creation_left_does_not_vouch_for_a_key_that_is_made_again() {
    let place = in_memory();
    let [original, key] = ["original", "key"].map(|name| place.path().join(name));
    make(&original, &KeyRequest::default()).unwrap();
    let backup = Backup::of(&original).unwrap();
    std::fs::create_dir(&key).unwrap();
    for name in ["secret", "ledger.mark"] {
        std::fs::copy(original.join(name), key.join(name)).unwrap();
    }
    restore(&key, &backup).unwrap();
    assert!(files(&original) == files(&key));
    signs_nothing(&key, "a mark was there");
    // And none is left behind that would vouch for its secret alone.
    let key_id = KeyDir::open(&key).unwrap().manifest().key_id();
    let mark = LedgerMark::read(&KeyDir::open(&key).unwrap().paths().ledger_mark(), key_id)
        .unwrap()
        .unwrap();
    assert!(!mark.vouches());
}

#[test]
fn another_key_or_another_public_key_is_refused() {
    let place = in_memory();
    let [first, second, third] = ["first", "second", "third"].map(|name| place.path().join(name));
    make(&first, &KeyRequest::default()).unwrap();
    make(&second, &KeyRequest::default()).unwrap();
    let mut backup = Backup::of(&first).unwrap();
    let before = files(&second);
    let refused = restore(&second, &backup).unwrap_err();
    assert!(
        matches!(&refused, Refusal::Restore(error) if error.reason() == Reason::Contradiction),
        "{refused:?}"
    );
    assert!(files(&second) == before);
    let mut public_key = backup.public_key().unwrap().to_vec();
    public_key[0] ^= 1;
    backup.public_key = Some(public_key);
    for _ in 0..2 {
        let refused = restore(&third, &backup).unwrap_err();
        assert!(
            matches!(&refused, Refusal::Keygen(error) if error.reason() == Reason::OtherRoot),
            "{refused:?}"
        );
    }
    // Nor by a keygen, which knows the root from the directory alone; nor is the true one taken beside it.
    let refused = make(&third, &KeyRequest::default()).unwrap_err();
    assert_eq!(refused.reason(), Reason::OtherRoot, "{refused}");
    let refused = restore(&third, &Backup::of(&first).unwrap()).unwrap_err();
    assert!(
        matches!(&refused, Refusal::Keygen(error) if error.to_string().contains("was begun as a key that has to have the root")),
        "{refused:?}"
    );
}

#[test]
fn a_root_that_no_key_of_the_scheme_can_have_is_refused_before_anything_is_made() {
    let place = in_memory();
    let key = place.path().join("key");
    for root in [vec![0; 31], vec![0; 33], vec![0xff; 32]] {
        let request = KeyRequest {
            root: Some(root),
            ..KeyRequest::default()
        };
        let refused = make(&key, &request).unwrap_err();
        assert!(
            refused.to_string().contains("is not a digest of its scheme"),
            "{refused}"
        );
        assert!(!key.exists());
    }
}

#[test]
fn an_unfinished_key_and_one_that_has_only_manifest_and_secret_are_backed_up() {
    let place = in_memory();
    let [whole, key, again] = ["whole", "key", "again"].map(|name| place.path().join(name));
    make(&whole, &KeyRequest::default()).unwrap();
    let text = Backup::of(&whole).unwrap().to_text();
    for name in ["layers", "state"] {
        std::fs::remove_dir_all(whole.join(name)).unwrap();
    }
    assert_eq!(*Backup::of(&whole).unwrap().to_text(), *text);
    // A restore that ends when it is to seal.
    let faults = Faults::below(
        &key,
        |call, _| if call == "msync" { Fate::Fail(EIO) } else { Fate::Pass },
    );
    restore(&key, &Backup::parse(&text).unwrap()).unwrap_err();
    drop(faults);
    let unfinished = Backup::of(&key).unwrap();
    assert_eq!(
        crate::keydir::KeyDir::open(&key).unwrap().manifest().state(),
        KeyState::Generating
    );
    assert_eq!(unfinished.public_key(), Backup::parse(&text).unwrap().public_key());
    restore(&again, &Backup::parse(&unfinished.to_text()).unwrap()).unwrap();
    restore(&key, &unfinished).unwrap();
    assert!(files(&key) == files(&again));
}

#[test]
fn a_repair_of_a_key_that_is_being_made_again_does_not_vouch_for_it() {
    let place = in_memory();
    let [whole, key] = ["whole", "key"].map(|name| place.path().join(name));
    make(&whole, &KeyRequest::default()).unwrap();
    let backup = Backup::of(&whole).unwrap();
    let faults = Faults::below(
        &key,
        |call, _| if call == "msync" { Fate::Fail(EIO) } else { Fate::Pass },
    );
    restore(&key, &backup).unwrap_err();
    drop(faults);
    std::fs::remove_dir_all(key.join("state")).unwrap();
    crate::audit::repair(&key, OPTIONS, &CancelHandle::default()).unwrap();
    make(&key, &KeyRequest::default()).unwrap();
    assert!(files(&whole) == files(&key));
    signs_nothing(&key, "repaired");
}

/// `keygen` has left a mark there that says that the key has not signed, and the first copy to be finished would be the second to sign.
#[test]
fn what_keygen_began_is_not_gone_on_with_as_a_key_that_existed_before() {
    let parent = in_memory();
    let (begun, finished) = (parent.path().join("begun"), parent.path().join("finished"));
    let defaults = KeyDefaults {
        scheme: Scheme::by_id("leansig-p1-l8-abort-v4-w8").unwrap(),
        epochs: 256,
        trim: Level(0),
    };
    drop(
        KeygenJob::builder(&begun)
            .defaults(defaults)
            .options(OPTIONS)
            .open()
            .unwrap(),
    );
    let backup = Backup::of(&begun).unwrap();
    restore(&finished, &backup).unwrap();
    init(&finished, 0).unwrap();
    let refused = restore(&begun, &backup).unwrap_err();
    assert!(
        matches!(&refused, Refusal::Keygen(error) if error.to_string().contains("the key has not signed") && error.path() == Some(&begun)),
        "{refused:?}"
    );
    // An import knows the root and not where the secret came from.
    let root = KeyDir::open(&finished).unwrap().manifest().root().unwrap().to_vec();
    let imported = KeyRequest {
        root: Some(root),
        restored: None,
        ..backup.request(&begun).unwrap()
    };
    let refused = make(&begun, &imported).unwrap_err();
    assert!(refused.to_string().contains("the key has not signed"), "{refused}");
    // Finished by both ways before, it is finished.
    make(&begun, &KeyRequest::default()).unwrap();
    restore(&begun, &backup).unwrap();
}
