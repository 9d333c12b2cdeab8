//! The engine without HTTP: what it writes, and what it answers when writing fails.

use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use super::engine::{Engine, EngineOptions, NotAdmitted};
use super::figures::EngineFigures;
use super::keys::{KeyIndex, Keys};
use super::order::{Outcomes, Request};
use crate::error::{Reason, Result};
use crate::failure::FailureKind;
use crate::faults::{Fate, Faults};
use crate::files::directory_tests::copy_directory;
use crate::ledger::move_in;
use crate::ledger::show;
use crate::signing::tests::{key, make_key};
use crate::trim::trim;
use crate::units::{Epoch, Level};
use keymill_xmss::Signature;

pub(super) const A: [u8; 32] = [1; 32];
pub(super) const B: [u8; 32] = [2; 32];

pub(super) fn engine(directory: &Path) -> Engine {
    engine_of(Keys::open(&[PathBuf::from(directory)], None, 1000).unwrap())
}

pub(super) fn engine_of(keys: Keys) -> Engine {
    let options = EngineOptions {
        workers: 2,
        waiting_max: 1000,
        threads_end_max: Duration::from_secs(60),
    };
    Engine::start(keys, options, EngineFigures::default()).unwrap()
}

pub(super) fn request(epoch: u32, message: [u8; 32]) -> Request {
    Request {
        key: KeyIndex(0),
        epoch: Epoch(epoch),
        message,
    }
}

pub(super) fn sign(engine: &Engine, requests: Vec<Request>) -> Outcomes {
    let (sender, receiver) = channel();
    let answer = move |outcomes| sender.send(outcomes).unwrap();
    engine.submit(requests, Box::new(answer)).unwrap();
    receiver.recv().unwrap()
}

#[test]
fn a_list_is_spent_in_one_write_and_one_mark() {
    let directory = key();
    let engine = engine(directory.path());
    let faults = Faults::below(directory.path(), |_, _| Fate::Pass);
    let outcomes = sign(&engine, (0..100).map(|epoch| request(epoch, A)).collect());
    assert!(outcomes.iter().all(Result::is_ok));
    let count = |call: &str| faults.seen().iter().filter(|seen| seen.call == call).count();
    assert_eq!((count("a synced write"), count("rename")), (1, 1));
    drop(engine);
    assert_eq!(show(directory.path()).unwrap().spent, 100);
}

#[test]
fn of_two_messages_of_one_epoch_in_one_group_the_first_signs_as_often_as_it_is_there() {
    let directory = key();
    let engine = engine(directory.path());
    let outcomes = sign(
        &engine,
        vec![
            request(1, A),
            request(1, B),
            request(2, B),
            request(1, A),
            request(1, B),
        ],
    );
    let signed: Vec<_> = outcomes
        .iter()
        .map(|outcome| outcome.as_ref().ok().map(Signature::to_ssz))
        .collect();
    assert!(signed[0].is_some() && signed[0] == signed[3] && signed[2].is_some());
    for refused in [1, 4] {
        let error = outcomes[refused].as_ref().unwrap_err();
        assert_eq!(error.reason(), Reason::Spent);
        assert!(!error.to_string().contains("not known"), "{error}");
    }
}

#[test]
fn what_waits_when_the_engine_ends_is_answered() {
    let directory = key();
    let engine = engine(directory.path());
    let (sender, receiver) = channel();
    // Lists too, of which a part is prepared when the engine ends.
    for epoch in 0..50 {
        let sender = sender.clone();
        let answer = move |outcomes: Outcomes| sender.send(outcomes).unwrap();
        let list = (4 * epoch..4 * epoch + 4).map(|epoch| request(epoch, A)).collect();
        engine.submit(list, Box::new(answer)).unwrap();
    }
    drop(sender);
    drop(engine);
    let outcomes: Vec<_> = receiver.iter().flatten().collect();
    assert_eq!(outcomes.len(), 200);
    let signed = outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64;
    // Every signature that was given out is spent.
    assert!(show(directory.path()).unwrap().spent >= signed);
}

/// Waits until a worker had nothing better to do.
fn wait_for_block(engine: &Engine, epoch: u32) {
    let begun = Instant::now();
    let paths = engine.keys().get(KeyIndex(0)).signing.paths();
    while !paths.has_block(Epoch(epoch)) {
        assert!(begun.elapsed() < Duration::from_mins(1), "the block of epoch {epoch}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn blocks_of_a_trimmed_key_are_computed_before_their_first_epochs_come() {
    let directory = key();
    trim(directory.path(), Level(4)).unwrap();
    let engine = engine(directory.path());
    // The first one, before anything is asked for.
    wait_for_block(&engine, 15);
    let blocks_above = |epoch| engine.keys().get(KeyIndex(0)).signing.paths().blocks_above(epoch);
    assert_eq!(blocks_above(None), 1);
    assert!(sign(&engine, vec![request(7, A)])[0].is_ok());
    assert_eq!(blocks_above(Some(7)), 0);
    assert_eq!(engine.keys().get(KeyIndex(0)).next_block(Epoch(7)), None);
    // Half of it is behind.
    assert!(sign(&engine, vec![request(8, A)])[0].is_ok());
    wait_for_block(&engine, 16);
    assert_eq!(blocks_above(Some(8)), 1);
    assert!(engine.keys().get(KeyIndex(0)).signing.paths().has_block(Epoch(15)));
    assert!(sign(&engine, vec![request(16, A)])[0].is_ok());
    // The last block has no next one.
    assert!(sign(&engine, vec![request(255, A)])[0].is_ok());
    assert!(sign(&engine, vec![request(24, A)])[0].is_ok());
    wait_for_block(&engine, 32);
}

#[test]
fn no_more_is_admitted_than_may_wait() {
    let directory = key();
    let engine = engine(directory.path());
    let many = (0..1001).map(|_| request(1, A)).collect();
    let refused = engine.submit(many, Box::new(|_| panic!("it was answered")));
    assert_eq!(refused, Err(NotAdmitted::TooMany { most: 1000 }));
    assert!(
        sign(&engine, (0..1000).map(|_| request(1, A)).collect())
            .iter()
            .all(Result::is_ok)
    );
    assert_eq!(engine.waiting(), 0);
}

const SET_KEYS: usize = 5;

/// A set of keys that sign by one ledger.
pub(super) fn set() -> tempfile::TempDir {
    static MADE: std::sync::LazyLock<tempfile::TempDir> = std::sync::LazyLock::new(|| {
        let set = tempfile::tempdir().unwrap();
        for number in 0..SET_KEYS {
            let key = set.path().join(format!("key-{number}"));
            std::fs::create_dir(&key).unwrap();
            make_key(&key, 10 + number as u8);
            move_in(&key, set.path()).unwrap();
        }
        set
    });
    let copied = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(MADE.path()).unwrap() {
        let entry = entry.unwrap();
        copy_directory(&entry.path(), &copied.path().join(entry.file_name()));
    }
    copied
}

/// A request to each key of a set.
pub(super) fn of_each_key(epoch: u32, message: [u8; 32]) -> Vec<Request> {
    let request = |key| Request {
        key: KeyIndex(key),
        ..request(epoch, message)
    };
    (0..SET_KEYS).map(request).collect()
}

#[test]
fn a_list_over_many_keys_of_a_set_is_spent_in_one_write_and_one_mark() {
    let set = set();
    let engine = engine(set.path());
    let faults = Faults::below(set.path(), |_, _| Fate::Pass);
    let list = [of_each_key(1, A), of_each_key(2, B), of_each_key(1, A)].concat();
    let outcomes = sign(&engine, list);
    assert!(outcomes.iter().all(Result::is_ok));
    let count = |call: &str| faults.seen().iter().filter(|seen| seen.call == call).count();
    assert_eq!((count("a synced write"), count("rename")), (1, 1));
    drop(engine);
    for number in 0..SET_KEYS {
        assert_eq!(show(&set.path().join(format!("key-{number}"))).unwrap().spent, 2);
    }
}

#[test]
fn what_is_known_of_a_key_does_not_wait_for_the_disk_and_is_published_with_each_write() {
    let directory = key();
    let engine = engine(directory.path());
    let known = |engine: &Engine| engine.keys().get(KeyIndex(0)).standing().map(|known| known.spent);
    sign(&engine, vec![request(1, A)]);
    assert_eq!(known(&engine), Some(1));
    let (reached, is_reached) = channel();
    let (release, is_released) = channel::<()>();
    let faults = Faults::below(directory.path(), move |call, _| {
        if call == "a synced write" {
            reached.send(()).unwrap();
            is_released.recv().unwrap();
        }
        Fate::Pass
    });
    let (sender, receiver) = channel();
    let answer = move |outcomes| sender.send(outcomes).unwrap();
    engine.submit(vec![request(2, A)], Box::new(answer)).unwrap();
    is_reached.recv().unwrap();
    // The committer has the ledger now, and waits for the disk.
    assert_eq!(known(&engine), Some(1));
    release.send(()).unwrap();
    let outcomes: Outcomes = receiver.recv().unwrap();
    assert!(outcomes[0].is_ok());
    assert_eq!(known(&engine), Some(2));
    drop(faults);
}

#[test]
fn paths_count_as_many_requests_as_they_are() {
    let directory = key();
    let engine = engine(directory.path());
    let (release, is_released) = channel::<()>();
    let (done, is_done) = channel();
    let reading = move |_: &Keys| {
        is_released.recv().unwrap();
        done.send(()).unwrap();
    };
    engine.read(900, reading).unwrap();
    assert_eq!(engine.waiting(), 900);
    assert_eq!(engine.read(101, |_| panic!("it was read")), Err(NotAdmitted::QueueFull));
    assert_eq!(
        engine.read(1001, |_| panic!("it was read")),
        Err(NotAdmitted::TooMany { most: 1000 })
    );
    release.send(()).unwrap();
    is_done.recv().unwrap();
    drop(engine);
}

#[test]
fn a_panic_fails_what_its_thread_had_in_its_hands_and_nothing_else() {
    let directory = key();
    let engine = engine(directory.path());
    let mut is_over = false;
    let faults = Faults::below(directory.path(), move |call, _| {
        if call == "a synced write" && !is_over {
            is_over = true;
            panic!("planned");
        }
        Fate::Pass
    });
    for outcome in sign(&engine, vec![request(1, A), request(2, A)]) {
        let error = outcome.unwrap_err();
        assert_eq!(
            (error.kind(), error.reason()),
            (FailureKind::Machine, Reason::Other),
            "{error}"
        );
    }
    // What the write has done is not known before the ledger is opened again.
    let refused = sign(&engine, vec![request(3, A)]).pop().unwrap().unwrap_err();
    assert_eq!(refused.reason(), Reason::Unknown);
    drop(faults);
    assert!(engine.keys().get(KeyIndex(0)).ledger.reopen());
    assert!(sign(&engine, vec![request(3, A)]).pop().unwrap().is_ok());
}
