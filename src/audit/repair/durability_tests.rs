//! What a repair may take for durable, and when: bytes in the page cache are not.

use std::sync::{Arc, Mutex};

use super::repair;
use super::tests::{HEADER_BYTES, damaged_in_many_ways, is_whole, mend};
use crate::audit::fixture_tests::{LONG, OPTIONS, TINY, TestKey};
use crate::error::Reason;
use crate::faults::{Fate, Faults};
use crate::keydir::KeyDir;
use crate::keygen::CancelHandle;
use crate::state::Store;

fn recorded(key: &TestKey) -> Vec<u64> {
    let manifest = KeyDir::open(&key.path()).unwrap().manifest().clone();
    let store = Store::open_read_only(&key.entry("state"), &manifest.binding()).unwrap();
    store.batches().unwrap().map(|entry| entry.unwrap().0.0).collect()
}

#[test]
fn a_damaged_batch_whose_sync_fails_has_no_record_that_vouches_for_it() {
    let key = TestKey::new(LONG, 3000, 20);
    let truth = key.layers();
    key.edit(0, |bytes| bytes[HEADER_BYTES + 28 * 1500] ^= 1);
    let faults = Faults::below(&key.path(), |call, _| match call {
        "msync" => Fate::Fail(5),
        _ => Fate::Pass,
    });
    mend(&key).unwrap_err();
    drop(faults);
    assert_eq!(recorded(&key), [0, 2]);
    mend(&key).unwrap();
    assert_eq!(recorded(&key), [0, 1, 2]);
    is_whole(&key, &truth, "failed sync");
}

/// Repairs a key, and gives the calls that were made, in order, with the names of their files.
fn calls_of_repair(key: &TestKey) -> Vec<(&'static str, String)> {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&calls);
    let faults = Faults::below(&key.path(), move |call, path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        noted.lock().unwrap().push((call, name));
        Fate::Pass
    });
    mend(key).unwrap();
    drop(faults);
    std::mem::take(&mut *calls.lock().unwrap())
}

#[test]
fn records_are_renewed_only_after_every_level_was_synced() {
    let key = TestKey::new(TINY, 256, 21);
    std::fs::remove_dir_all(key.path().join("state")).unwrap();
    let calls = calls_of_repair(&key);
    let commit = calls.iter().rposition(|(call, _)| *call == "a synced write").unwrap();
    for level in 0..=8 {
        let name = format!("{level:02}.nodes");
        let synced = calls.iter().position(|call| *call == ("msync", name.clone()));
        assert!(synced.is_some_and(|synced| synced < commit), "{name}: {calls:?}");
    }
}

#[test]
fn a_repair_reads_layer_files_from_the_disk_and_syncs_their_names() {
    let key = TestKey::new(TINY, 256, 22);
    let calls = calls_of_repair(&key);
    for level in 0..=8 {
        let name = format!("{level:02}.nodes");
        let of_file: Vec<_> = calls
            .iter()
            .filter(|(_, n)| *n == name)
            .map(|(call, _)| *call)
            .collect();
        assert_eq!(
            // It looks at all of them before it changes anything.
            of_file[..6],
            ["open", "open", "stat", "fsync", "posix_fadvise", "pread"],
            "{name}"
        );
    }
    assert!(calls.contains(&("fsync", "layers".to_owned())), "{calls:?}");
    let faults = Faults::below(&key.path(), |call, path| match call {
        "fsync" if path.ends_with("03.nodes") => Fate::Fail(5),
        _ => Fate::Pass,
    });
    let failed = mend(&key).unwrap_err();
    drop(faults);
    assert_eq!(failed.reason(), Reason::Call, "{failed}");
}

#[test]
fn an_allocation_that_is_abandoned_ends_the_repair_as_interrupted() {
    let (key, truth) = damaged_in_many_ways();
    let cancel = CancelHandle::default();
    let asked = cancel.clone();
    let faults = Faults::below(&key.path(), move |call, path| {
        // The file that was cut: it is mended in place.
        if call == "fallocate" && path.ends_with("06.nodes") {
            asked.cancel();
            Fate::Fail(4)
        } else {
            Fate::Pass
        }
    });
    let stopped = repair(&key.path(), OPTIONS, &cancel).unwrap_err();
    drop(faults);
    assert_eq!(stopped.reason(), Reason::Interrupted, "{stopped}");
    mend(&key).unwrap();
    is_whole(&key, &truth, "abandoned");
}
