//! Imports that end early: whoever goes on finishes the key of the file, or none.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::Import;
use crate::error::{Reason, Result};
use crate::exchange::Exporter;
use crate::exchange::restore::tests::{files, make};
use crate::faults::{Fate, Faults};
use crate::interop::secret_key::SecretKeyForm;
use crate::keydir::{KeyDir, KeyState, Secret};
use crate::keygen::KeyRequest;
use crate::keygen::tests::{in_memory, to_be_told};
use crate::plan::MemoryRequest;
use keymill_xmss::scheme::Parameter;

/// The calls of an import that come before the first batch, and some more.
const CREATING_CALLS: usize = 100;
const EIO: i32 = rustix::io::Errno::IO.raw_os_error();

/// A key that keygen made, and its secret key in a file, with the window that comes first.
fn original(place: &Path) -> (PathBuf, PathBuf) {
    let [key, file] = ["original", "validator.ssz"].map(|name| place.join(name));
    let request = KeyRequest {
        secret: Some(Secret::PrfKey([9; 32])),
        parameter: Some(Parameter::of(&[1; 20])),
        activation_epoch: Some(96),
        epochs: Some(32),
        ..KeyRequest::default()
    };
    make(&key, &request).unwrap();
    let mut ssz = Vec::new();
    let exporter = Exporter::open(&key).unwrap();
    let window = exporter.window(None).unwrap();
    window.write(SecretKeyForm::LeansigSsz, &mut ssz).unwrap();
    std::fs::File::create(&file).unwrap().write_all(&ssz).unwrap();
    (key, file)
}

/// What the command does.
fn import(directory: &Path, file: &Path) -> Result<(), String> {
    let import = Import::read(file, None, None, None, MemoryRequest::NoLimit).map_err(|error| error.to_string())?;
    make(directory, &import.request(None)).map_err(|error| error.to_string())?;
    import.compare(directory).map_err(|error| error.to_string())
}

/// Runs something of which all calls below a directory fail from the n-th one on, and which says whether that was noticed.
/// Gives whether there were so many calls.
fn fails_from(n: usize, directory: &Path, mut run: impl FnMut() -> bool) -> bool {
    let mut made = 0;
    let faults = Faults::below(directory, move |_, _| {
        made += 1;
        if made < n { Fate::Pass } else { Fate::Fail(EIO) }
    });
    let is_noticed = run();
    let seen = faults.seen();
    drop(faults);
    let told = to_be_told(&seen, EIO);
    assert!(is_noticed || told.is_empty(), "call {n}: {told:?} were not noticed");
    seen.len() >= n
}

/// What became of a keygen without flags, in a directory in which something was begun.
fn keygen(key: &Path) -> Result<()> {
    make(key, &KeyRequest::default())
}

fn holds(key: &Path, original: &Path) -> bool {
    let key_id = |directory: &Path| KeyDir::open_any_version(directory).unwrap().manifest().key_id();
    key_id(key) == key_id(original)
}

#[test]
fn an_import_that_fails_at_any_call_is_finished_by_the_same_command_or_by_keygen() {
    let place = in_memory();
    let (original, file) = original(place.path());
    let expected = files(&original);
    for n in 1.. {
        let mut is_reached = false;
        // While the directory is created, both; later, one after the other.
        let both = [false, true];
        let next = if n <= CREATING_CALLS {
            &both[..]
        } else {
            &both[n % 2..][..1]
        };
        for &goes_on_with_keygen in next {
            let case = format!("call {n}, keygen: {goes_on_with_keygen}");
            let place = in_memory();
            let [key, copy] = ["key", "validator.ssz"].map(|name| place.path().join(name));
            std::fs::copy(&file, &copy).unwrap();
            is_reached |= fails_from(n, place.path(), || import(&key, &copy).is_err());
            if goes_on_with_keygen {
                match keygen(&key) {
                    // It drew a secret of its own, since nothing of the key was there yet.
                    Ok(()) if !holds(&key, &original) => continue,
                    Ok(()) => {}
                    Err(error) if error.reason() == Reason::SecretMissing => {}
                    Err(error) => panic!("{case}: {error}"),
                }
            }
            import(&key, &copy).unwrap_or_else(|error| panic!("{case}: {error}"));
            assert!(files(&key) == expected, "{case}: other bytes");
        }
        if !is_reached {
            assert!(n > CREATING_CALLS, "only {n} calls were seen");
            return;
        }
    }
}

#[test]
fn a_key_that_has_to_have_another_root_is_sealed_by_nobody_wherever_it_was_interrupted() {
    let place = in_memory();
    let (original, file) = original(place.path());
    let mut request = Import::read(&file, None, None, None, MemoryRequest::NoLimit)
        .unwrap()
        .request(None);
    request.root.as_mut().unwrap()[0] ^= 1;
    for n in 1.. {
        let place = in_memory();
        let key = place.path().join("key");
        let mut was_interrupted = true;
        fails_from(n, place.path(), || {
            let error = make(&key, &request).unwrap_err();
            was_interrupted = error.reason() != Reason::OtherRoot;
            true
        });
        match keygen(&key) {
            Ok(()) => assert!(!holds(&key, &original), "call {n}: it is sealed"),
            Err(error) if error.reason() == Reason::SecretMissing => {
                let error = make(&key, &request).unwrap_err();
                assert_eq!(error.reason(), Reason::OtherRoot, "call {n}: {error}");
            }
            Err(error) => {
                assert_eq!(error.reason(), Reason::OtherRoot, "call {n}: {error}");
                let state = KeyDir::open(&key).unwrap().manifest().state();
                assert_eq!(state, KeyState::Generating, "call {n}");
            }
        }
        if !was_interrupted {
            assert!(n > CREATING_CALLS, "only {n} calls were seen");
            return;
        }
    }
}

/// As a keygen with the same PRF key leaves it, or an import by a program that did not keep the root.
#[test]
fn a_key_that_was_begun_without_a_root_is_not_spoiled_by_a_source_with_a_wrong_one() {
    let place = in_memory();
    let (original, file) = original(place.path());
    let key = place.path().join("key");
    let sound = Import::read(&file, None, None, None, MemoryRequest::NoLimit)
        .unwrap()
        .request(None);
    let without = KeyRequest {
        root: None,
        ..sound.clone()
    };
    let mut other = sound.clone();
    other.root.as_mut().unwrap()[0] ^= 1;
    {
        let rule = |call, _: &Path| if call == "msync" { Fate::Fail(EIO) } else { Fate::Pass };
        let _faults = Faults::below(&key, rule);
        make(&key, &without).unwrap_err();
    }
    let error = make(&key, &other).unwrap_err();
    assert_eq!(error.reason(), Reason::OtherRoot, "{error}");
    make(&key, &sound).unwrap();
    assert!(files(&key) == files(&original));
}
