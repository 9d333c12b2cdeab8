//! The border as C sees it, called from Rust: what is refused, what many threads may do, and what becomes of a panic.

#![expect(
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    reason = "the border is crossed as from C; all pointers lead to values of the test, or are meant to be refused"
)]

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char};
use std::path::Path;
use std::sync::Barrier;

use super::exports::*;
use super::outcome::Status;
use crate::keydir::Secret;
use crate::keygen::{CancelHandle, JobOptions, KeyDefaults, KeyRequest, KeygenJob, NoProgress};
use crate::plan::MemoryRequest;
use crate::signing::{PathReader, Signer};
use crate::units::{Epoch, Level};
use keymill_xmss::scheme::Scheme;
use keymill_xmss::verify;
use keymill_xmss::{PublicKey, Signature};

pub(super) const SCHEME: &str = "leansig-p1-l8-abort-v4-w8";
pub(super) const MESSAGE: [u8; 32] = [7; 32];
pub(super) const OTHER_MESSAGE: [u8; 32] = [8; 32];
pub(super) const EPOCH: u64 = 17;

thread_local! {
    static PLANTED: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Panics if this thread was told to at this place.
pub(super) fn panic_if_planted(place: &'static str) {
    if PLANTED.get() == Some(place) {
        PLANTED.set(None);
        panic!("planted in {place}");
    }
}

pub(super) fn scheme() -> &'static Scheme {
    Scheme::by_id(SCHEME).unwrap()
}

/// A finished key, which may sign. Its seed is fixed: with one key in fifty, another message hashes to an accepted codeword
/// as well, and is refused in other words.
pub(super) fn made_key() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    make_key(directory.path(), 3);
    directory
}

pub(super) fn make_key(directory: &Path, seed: u8) {
    let defaults = KeyDefaults {
        scheme: scheme(),
        epochs: 256,
        trim: Level(0),
    };
    let options = JobOptions::DEFAULT
        .threads(1)
        .group_batches(1)
        .memory(MemoryRequest::NoLimit);
    let cancel = CancelHandle::default();
    let request = KeyRequest {
        secret: Some(Secret::Seed([seed; 32])),
        ..KeyRequest::default()
    };
    let job = KeygenJob::builder(directory)
        .request(request)
        .defaults(defaults)
        .options(options)
        .cancel(cancel)
        .open()
        .unwrap();
    job.run(&NoProgress).unwrap();
    crate::ledger::init(directory, 0).unwrap();
}

pub(super) fn c_text(path: &Path) -> CString {
    CString::new(path.to_str().unwrap()).unwrap()
}

pub(super) type Open = unsafe extern "C" fn(*const c_char, *mut Key) -> Status;

#[track_caller]
pub(super) fn open(open: Open, directory: &Path) -> Key {
    let mut key = Key { id: 0 };
    let status = unsafe { open(c_text(directory).as_ptr(), &raw mut key) };
    assert_eq!((status, last_error().as_str()), (Status::Done, ""));
    assert_ne!(key.id, 0);
    key
}

pub(super) fn last_error() -> String {
    unsafe { CStr::from_ptr(keymill_last_error()) }
        .to_str()
        .unwrap()
        .to_owned()
}

/// The call ended so, and its text has these words.
#[track_caller]
pub(super) fn refused(found: Status, expected: Status, words: &str) {
    let text = last_error();
    assert!(found == expected && text.contains(words), "{found:?}: {text}");
}

pub(super) fn sign(key: Key, epoch: u64, message: &[u8; 32]) -> (Status, Vec<u8>) {
    let mut signature = vec![0; scheme().signature_bytes()];
    let status = unsafe {
        keymill_sign(
            key,
            epoch,
            message.as_ptr(),
            32,
            signature.as_mut_ptr(),
            signature.len(),
        )
    };
    (status, signature)
}

pub(super) fn verified(public_key: &[u8], epoch: u64, message: &[u8], signature: &[u8]) -> Status {
    let id = CString::new(SCHEME).unwrap();
    unsafe {
        keymill_verify(
            id.as_ptr(),
            public_key.as_ptr(),
            public_key.len(),
            epoch,
            message.as_ptr(),
            message.len(),
            signature.as_ptr(),
            signature.len(),
        )
    }
}

pub(super) fn path(key: Key, epoch: u64) -> (Status, Vec<u8>, Vec<u8>) {
    let (mut leaf, mut siblings) = (vec![0; 32], vec![0; 8 * 32]);
    let status = unsafe { keymill_path(key, epoch, leaf.as_mut_ptr(), 32, siblings.as_mut_ptr(), siblings.len()) };
    (status, leaf, siblings)
}

pub(super) fn public_key(key: Key) -> Vec<u8> {
    let mut bytes = vec![0; scheme().public_key_bytes()];
    assert_eq!(
        unsafe { keymill_public_key(key, bytes.as_mut_ptr(), bytes.len()) },
        Status::Done
    );
    bytes
}

#[test]
fn the_c_interface_gives_what_the_library_gives() {
    let directory = made_key();
    let reader = PathReader::open(directory.path()).unwrap();
    let expected_path = reader.path(Epoch(17)).unwrap();
    let (expected_key, scheme) = (reader.manifest().public_key().unwrap(), scheme());
    for opened in [keymill_open as Open, keymill_open_to_sign] {
        let key = open(opened, directory.path());
        let mut facts = std::mem::MaybeUninit::<KeyFacts>::uninit();
        assert_eq!(unsafe { keymill_describe_key(key, facts.as_mut_ptr()) }, Status::Done);
        let facts = unsafe { facts.assume_init() };
        assert_eq!((facts.first_epoch, facts.epochs), (0, 256));
        let sizes = facts.scheme;
        assert_eq!(unsafe { CStr::from_ptr(sizes.id.as_ptr()) }.to_str().unwrap(), SCHEME);
        assert_eq!((sizes.lifetime, sizes.message_bytes), (256, 32));
        assert_eq!((sizes.digest_bytes, sizes.siblings_bytes), (32, 8 * 32));
        assert_eq!(
            (sizes.public_key_bytes, sizes.signature_bytes),
            (52, scheme.signature_bytes())
        );
        assert_eq!(public_key(key), expected_key);
        assert_eq!(
            path(key, EPOCH),
            (Status::Done, expected_path.leaf.clone(), expected_path.siblings.clone())
        );
        assert_eq!(keymill_close(key), Status::Done);
    }
    let key = open(keymill_open_to_sign, directory.path());
    let (status, signature) = sign(key, EPOCH, &MESSAGE);
    assert_eq!(status, Status::Done);
    let parsed = PublicKey::from_ssz(scheme, &expected_key).unwrap();
    verify(&parsed, scheme.epoch(EPOCH).unwrap(), &MESSAGE, &signature).unwrap();
    assert_eq!(verified(&expected_key, EPOCH, &MESSAGE, &signature), Status::Done);
    refused(
        verified(&expected_key, EPOCH, &OTHER_MESSAGE, &signature),
        Status::No,
        "codeword",
    );
    refused(
        verified(&expected_key, EPOCH, &MESSAGE, &signature[1..]),
        Status::No,
        "malformed",
    );
    refused(
        verified(&expected_key[1..], EPOCH, &MESSAGE, &signature),
        Status::Usage,
        "the public key is not valid",
    );
    refused(
        verified(&expected_key, EPOCH, &MESSAGE[1..], &signature),
        Status::Usage,
        "31 are given",
    );
    assert_eq!(keymill_close(key), Status::Done);
    let mut signer = Signer::open(directory.path()).unwrap();
    let again: Signature = signer.sign(Epoch(17), &MESSAGE).unwrap();
    assert_eq!(again.to_ssz(), signature);
}

#[test]
fn an_epoch_signs_one_message_through_the_c_interface_too() {
    let directory = made_key();
    let mut first = Vec::new();
    for round in 0..2 {
        let key = open(keymill_open_to_sign, directory.path());
        let (status, signature) = sign(key, EPOCH, &MESSAGE);
        assert_eq!(status, Status::Done);
        assert!(round == 0 || signature == first);
        first = signature;
        let (status, room) = sign(key, EPOCH, &OTHER_MESSAGE);
        refused(status, Status::No, "epoch 17 already signed");
        assert!(room.iter().all(|&byte| byte == 0));
        assert_eq!(keymill_close(key), Status::Done);
    }
}

#[test]
fn the_facts_of_every_scheme_have_its_whole_identifier() {
    for scheme in Scheme::all() {
        for name in [scheme.id(), scheme.upstream_name()] {
            let mut facts = std::mem::MaybeUninit::<SchemeFacts>::uninit();
            let name = CString::new(name).unwrap();
            assert_eq!(
                unsafe { keymill_describe_scheme(name.as_ptr(), facts.as_mut_ptr()) },
                Status::Done
            );
            let facts = unsafe { facts.assume_init() };
            assert_eq!(
                unsafe { CStr::from_ptr(facts.id.as_ptr()) }.to_str().unwrap(),
                scheme.id()
            );
            assert_eq!(facts.signature_bytes, scheme.signature_bytes());
            assert_eq!(
                facts.siblings_bytes + facts.digest_bytes,
                (usize::from(scheme.log_lifetime()) + 1) * scheme.digest_bytes()
            );
        }
    }
}

#[test]
fn a_panic_is_a_status_and_the_key_it_met_signs_no_more() {
    let directory = made_key();
    PLANTED.set(Some("any call"));
    refused(
        keymill_close(Key { id: 0 }),
        Status::Panic,
        "keymill failed in itself: planted in any call",
    );
    refused(keymill_close(Key { id: 0 }), Status::Usage, "never opened");
    let key = open(keymill_open_to_sign, directory.path());
    PLANTED.set(Some("while signing"));
    let (status, room) = sign(key, EPOCH, &MESSAGE);
    refused(status, Status::Panic, "planted in while signing");
    assert!(room.iter().all(|&byte| byte == 0));
    refused(
        sign(key, EPOCH, &MESSAGE).0,
        Status::Panic,
        "close the key and open it again",
    );
    refused(path(key, EPOCH).0, Status::Panic, "close the key and open it again");
    assert_eq!(keymill_close(key), Status::Done);
    let key = open(keymill_open_to_sign, directory.path());
    assert_eq!(sign(key, EPOCH, &MESSAGE).0, Status::Done);
    assert_eq!(keymill_close(key), Status::Done);
}

#[test]
fn many_threads_use_one_key_and_each_has_its_own_last_error() {
    let directory = made_key();
    let key = open(keymill_open_to_sign, directory.path());
    let bytes = public_key(key);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let bytes = &bytes;
            scope.spawn(move || {
                for round in 0..8 {
                    // Each epoch is asked for by two threads, with the same message.
                    let epoch = round * 2 + thread % 2;
                    let (status, signature) = sign(key, epoch, &MESSAGE);
                    assert_eq!(status, Status::Done, "thread {thread}, epoch {epoch}: {}", last_error());
                    assert_eq!(verified(bytes, epoch, &MESSAGE, &signature), Status::Done);
                    assert_eq!(path(key, epoch).0, Status::Done);
                    refused(
                        path(key, 1000 + thread).0,
                        Status::Usage,
                        &format!("epoch {} is", 1000 + thread),
                    );
                    refused(
                        sign(key, epoch, &OTHER_MESSAGE).0,
                        Status::No,
                        &format!("epoch {epoch} already signed"),
                    );
                }
            });
        }
    });
    assert_eq!(last_error(), "");
    assert_eq!(keymill_close(key), Status::Done);
}

#[test]
fn a_key_that_is_closed_while_others_use_it_is_gone_when_they_are_done() {
    let directory = made_key();
    let key = open(keymill_open_to_sign, directory.path());
    let all_sign = Barrier::new(4);
    std::thread::scope(|scope| {
        let signers: Vec<_> = (0..3)
            .map(|epoch| {
                let all_sign = &all_sign;
                scope.spawn(move || {
                    assert_eq!(sign(key, epoch, &MESSAGE).0, Status::Done);
                    all_sign.wait();
                    let refused = (0..1_000_000).any(|_| sign(key, epoch, &MESSAGE).0 != Status::Done);
                    refused.then(last_error)
                })
            })
            .collect();
        all_sign.wait();
        assert_eq!(keymill_close(key), Status::Done);
        for signer in signers {
            let refusal = signer.join().unwrap();
            assert!(
                refusal.as_ref().is_some_and(|text| text.contains("is not open")),
                "{refusal:?}"
            );
        }
    });
    // The lock is free again.
    let key = open(keymill_open_to_sign, directory.path());
    assert_eq!(keymill_close(key), Status::Done);
}
