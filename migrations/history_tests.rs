//! The history that version 2 kept in the store becomes a file, or is lost with its damage and nothing else.

use std::path::Path;

use super::tests::{begin, manifest};
use super::{COLUMN_FAMILIES, run, steps};
use crate::history::{KeyHistory, Run, RunCommand, RunEnd, Sample, of_key};
use crate::keydir::{LockedDir, Manifest};
use crate::layers::Disk;
use crate::plan::StoreBuffers;
use crate::state::damage_tests::flip_in_tables;
use crate::state::{LedgerHead, LedgerRecord, Store};
use crate::units::{BatchIndex, Epoch};

/// The records of a history as version 2 wrote them, with their keys.
const RECORDS: [(&[u8], &[u8]); 4] = [
    (b"m\0\0\0\0\0\0\0\0", &[1, 2, 3, 3, 1, 7, 8, 2]),
    (b"m\0\0\0\0\0\0\0\x01", &[1, 1, 5, 5, 1]),
    (
        b"r\0\0\0\0\0\0\0\x03",
        &[1, 3, 1, 1, 251, 44, 1, 251, 45, 1, 1, 2, 0, 5, 6, 250, 7],
    ),
    (b"s\0\0\0\0\0\0\0\x09", &[1, 3, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
];

/// What they say.
fn history() -> KeyHistory {
    let mut history = KeyHistory {
        samples: vec![Sample {
            run: 3,
            unix_ms: 2,
            run_epochs: 3,
            batches_done: 4,
            anonymous_bytes: 5,
            file_bytes: 6,
            planned_bytes: 7,
            budget_bytes: 8,
            in_flight_batches: 9,
            written_bytes: 10,
        }],
        runs: vec![Run {
            number: 3,
            runs: 1,
            command: RunCommand::Repair,
            started_unix_ms: 300,
            seen_unix_ms: 301,
            end: Some(RunEnd::OutOfBudget),
            begun: None,
            epochs: 5,
            peak_bytes: 6,
            written_bytes: 7,
        }],
        ..KeyHistory::default()
    };
    for batch in [3, 7, 8].map(BatchIndex) {
        history.redone.insert(batch);
    }
    history.damaged.insert(BatchIndex(5));
    history
}

/// A directory of version 2 with these records in its history, one epoch spent.
fn of_version_2(directory: &Path, records: &[(&[u8], &[u8])]) -> (LockedDir, Manifest) {
    let paths = begin(directory);
    let manifest = run(&paths, manifest(), &Disk::default(), &steps()[..2], |_| true).unwrap();
    let families = [&COLUMN_FAMILIES[..], &["history"]].concat();
    Store::create(&paths.state(), &families, &manifest.binding()).unwrap();
    let store = Store::open(&paths.state(), &manifest.binding()).unwrap();
    let (head, record) = spent();
    store.commit_ledger([(Epoch(7), &record)], &head).unwrap();
    for (key, value) in records {
        store.put_bytes("history", key, value).unwrap();
    }
    (paths, manifest)
}

fn spent() -> (LedgerHead, LedgerRecord) {
    let mut head = LedgerHead {
        initialised: true,
        ..LedgerHead::default()
    };
    let record = LedgerRecord {
        message_digest: None,
        scheme: manifest().scheme().id().to_owned(),
        signed_unix_ms: 1,
    };
    head.add(Epoch(7), &record);
    (head, record)
}

/// Migrates it; what is left is a store without a history and with its ledger, all of which can be read.
fn migrated(paths: &LockedDir, manifest: Manifest) -> KeyHistory {
    let binding = manifest.binding();
    let migrated = run(paths, manifest, &Disk::default(), &steps(), |_| true).unwrap();
    assert_eq!(migrated.format_version, 3);
    assert!(Store::open_with_history(&paths.state(), &binding).unwrap().is_none());
    let store = Store::open(&paths.state(), &binding).unwrap();
    store.read_through().unwrap();
    assert_eq!(store.ledger_head().unwrap(), Some(spent().0));
    let (history, damage) = of_key(&paths.history());
    assert_eq!(damage, None);
    history
}

#[test]
fn the_history_of_a_key_of_version_2_becomes_a_file_through_any_interruption() {
    let directory = tempfile::tempdir().unwrap();
    let (paths, manifest) = of_version_2(directory.path(), &RECORDS);
    assert_eq!(migrated(&paths, manifest.clone()), history());
    // Once more from the beginning, as after a kill before the version was raised.
    assert_eq!(migrated(&paths, manifest), history());
    let directory = tempfile::tempdir().unwrap();
    let (paths, manifest) = of_version_2(directory.path(), &RECORDS);
    // As after a kill between the file and the store.
    std::fs::write(paths.history(), "{\"run\":").unwrap();
    assert_eq!(migrated(&paths, manifest), history());
}

#[test]
fn a_history_of_version_2_that_is_damaged_or_cannot_be_carried_over_is_lost_alone() {
    let damages: [&[(&[u8], &[u8])]; 5] = [
        &[(b"x\0\0\0\0\0\0\0\0", b"")],
        &[(b"r", b"")],
        &[(b"r\0\0\0\0\0\0\0\x03", &[1, 3, 1, 2, 1, 1, 0, 0, 5, 6, 250, 7])],
        &[(b"m\0\0\0\0\0\0\0\x01", &[1, 2, 5, 5, 1, 5, 5, 1])],
        &[(b"s\0\0\0\0\0\0\0\x09", &[2, 3, 2, 3, 4, 5, 6, 7, 8, 9, 10])],
    ];
    for damage in damages {
        let directory = tempfile::tempdir().unwrap();
        let (paths, manifest) = of_version_2(directory.path(), &[&RECORDS[..], damage].concat());
        assert_eq!(migrated(&paths, manifest), KeyHistory::default(), "{damage:?}");
    }
    let directory = tempfile::tempdir().unwrap();
    let (paths, manifest) = of_version_2(directory.path(), &RECORDS);
    // Each opening makes a table of what is in the log: more than are left alone until they are compacted.
    for number in 0..6 {
        let store = Store::open(&paths.state(), &manifest.binding()).unwrap();
        store.put_bytes("history", b"s\0\0\0\0\0\0\0\x0a", &[number]).unwrap();
    }
    drop(Store::open(&paths.state(), &manifest.binding()).unwrap());
    flip_in_tables(paths.state().path(), "history");
    assert_eq!(migrated(&paths, manifest), KeyHistory::default());
    let directory = tempfile::tempdir().unwrap();
    let (paths, manifest) = of_version_2(directory.path(), &RECORDS);
    std::fs::create_dir(paths.history()).unwrap();
    let manifest = run(&paths, manifest, &Disk::default(), &steps(), |_| true).unwrap();
    assert!(
        Store::open_with_history(&paths.state(), &manifest.binding())
            .unwrap()
            .is_none()
    );
}

/// As a program of version 3 left it that was never released.
#[test]
fn a_history_that_is_still_in_the_store_of_a_key_of_this_version_is_dropped_by_the_next_job() {
    let directory = tempfile::tempdir().unwrap();
    let (paths, manifest) = of_version_2(directory.path(), &RECORDS);
    let binding = manifest.binding();
    let store = Store::open_with(&paths.state(), &binding, StoreBuffers::SMALL).unwrap();
    store.read_through().unwrap();
    store.compact().unwrap();
    drop(store);
    assert!(Store::open_with_history(&paths.state(), &binding).unwrap().is_none());
}
