//! Repairs of keys that are damaged in every way at once, that fail or end at every call, and that meet other writers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustix::fs::{CWD, FileType, mknodat};

use super::{BatchSet, RepairReport, repair, repair_on};
use crate::audit::fixture_tests::{LONG, OPTIONS, TINY, TestKey, job, open_job};
use crate::audit::{BatchState, check, report};
use crate::error::{Reason, Result};
use crate::failure::IoFailure;
use crate::faults::{Fate, Faults, Seen};
use crate::files::Entry;
use crate::keydir::KeyDir;
use crate::keygen::{CancelHandle, Event, NoProgress, Progress};
use crate::layers::{Disk, LayerFile, Medium};
use crate::remedy::Remedy;
use crate::state::{BatchRecord, ProgressRecord, Store};
use crate::units::{BatchIndex, Level, NodeIndex};

pub(super) const HEADER_BYTES: usize = 4096;

pub(super) fn mend(key: &TestKey) -> Result<RepairReport> {
    repair(&key.path(), OPTIONS, &CancelHandle::default())
}

/// Batches, as a report has them.
fn batches(numbers: &[u64]) -> BatchSet {
    numbers.iter().copied().map(BatchIndex).collect()
}

/// Repairs once more and finds nothing to do; then everything is as in `truth`, and protected.
#[track_caller]
pub(super) fn is_whole(key: &TestKey, truth: &BTreeMap<String, Vec<u8>>, context: &str) {
    is_restored(key, truth, context);
    assert_eq!(mend(key).unwrap(), RepairReport::default(), "{context}");
}

#[track_caller]
fn is_restored(key: &TestKey, truth: &BTreeMap<String, Vec<u8>>, context: &str) {
    assert!(key.layers() == *truth, "{context}: a layer file differs");
    let report = key.check();
    assert!(report.damage.is_empty(), "{context}: {:?}", report.damage);
    assert!(key.are_protected(), "{context}: a layer file is writable");
}

/// A key that lacks a file, has a directory in the place of another, and has a wrong header, a wrong leaf, and a wrong filler.
pub(super) fn damaged_in_many_ways() -> (TestKey, BTreeMap<String, Vec<u8>>) {
    let key = TestKey::new(TINY, 256, 11);
    let truth = key.layers();
    std::fs::remove_file(key.layer(3)).unwrap();
    std::fs::remove_file(key.layer(2)).unwrap();
    std::fs::create_dir(key.layer(2)).unwrap();
    key.edit(5, |bytes| bytes[17] ^= 4);
    key.edit(0, |bytes| bytes[HEADER_BYTES + 3000] ^= 1);
    key.edit(6, |bytes| bytes.truncate(HEADER_BYTES + 31));
    key.edit(8, |bytes| bytes[HEADER_BYTES + 40] ^= 32);
    (key, truth)
}

/// Repairs copies of a key, of which the n-th call fails, or the n-th and all after it. Each failure is told, but for that of
/// reading nodes once: what cannot be read is damage, and is computed again. Then repairs them undisturbed. Gives the number of
/// calls.
fn every_call_fails(damaged: &TestKey, truth: &BTreeMap<String, Vec<u8>>, for_good: bool) -> usize {
    let mut passed_over = BTreeSet::new();
    for number in 0.. {
        let key = damaged.copy();
        let mut made = 0;
        let faults = Faults::below(&key.path(), move |_, _| {
            made += 1;
            if made == number + 1 || for_good && made > number {
                Fate::Fail(5)
            } else {
                Fate::Pass
            }
        });
        let outcome = mend(&key);
        let seen = faults.seen();
        drop(faults);
        if seen.len() <= number {
            outcome.unwrap();
            is_whole(&key, truth, "undisturbed");
            let harmless: &[_] = if for_good { &[] } else { &["pread"] };
            assert!(passed_over.iter().eq(harmless), "{passed_over:?}");
            return number;
        }
        let context = format!("call {number}: {:?}", seen[number]);
        match outcome {
            Err(error) => assert!(error.to_string().contains("nput/output"), "{context}: {error}"),
            Ok(_) => {
                let is_told = |seen: &&Seen| seen.is_injected && !seen.is_of_history();
                passed_over.extend(seen.iter().filter(is_told).map(|seen| seen.call));
            }
        }
        mend(&key).unwrap_or_else(|error| panic!("{context}: {error}"));
        is_restored(&key, truth, &context);
    }
    0
}

#[test]
fn a_repair_of_which_any_call_fails_is_finished_by_the_next() {
    let (key, truth) = damaged_in_many_ways();
    let calls = every_call_fails(&key, &truth, false);
    assert!(calls > 150, "{calls}");
}

#[test]
fn a_repair_that_ends_at_any_call_is_finished_by_the_next_also_when_it_replaces_the_store() {
    let (key, truth) = damaged_in_many_ways();
    std::fs::remove_file(key.path().join("state/CURRENT")).unwrap();
    let calls = every_call_fails(&key, &truth, true);
    assert!(calls > 150, "{calls}");
}

#[test]
fn only_what_is_damaged_is_written() {
    let key = TestKey::new(LONG, 3000, 12);
    let truth = key.layers();
    key.edit(0, |bytes| bytes[HEADER_BYTES + 28 * 1500] ^= 1);
    let written = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&written);
    let faults = Faults::below(&key.path().join("layers"), move |call, path| {
        if call.contains("write") {
            noted.lock().unwrap().push(path.to_owned());
        }
        Fate::Pass
    });
    let report = mend(&key).unwrap();
    drop(faults);
    let expected = RepairReport {
        batches_recomputed: batches(&[1]),
        ..RepairReport::default()
    };
    assert_eq!(report, expected);
    // One slice of each of the batch's levels, and nothing above them.
    let slices: Vec<PathBuf> = (0..=10).map(|level| key.layer(level)).collect();
    assert_eq!(*written.lock().unwrap(), slices);
    is_whole(&key, &truth, "one batch");
}

/// Makes a batch that agrees with itself from one wrong leaf, with the record of it if `recorded`; the levels above the
/// batches stay.
fn forge(key: &TestKey, batch: u64, recorded: bool) {
    let opened = KeyDir::open(&key.path()).unwrap();
    let (plan, kernel) = (opened.manifest().plan(), opened.kernel());
    let mut children = Vec::new();
    let mut slice_crc32 = Vec::new();
    for level in plan.batches().levels() {
        let nodes = plan.batches().slice(BatchIndex(batch), level);
        let range = HEADER_BYTES + nodes.start as usize * 28..HEADER_BYTES + nodes.end as usize * 28;
        key.edit(level.0, |bytes| {
            let slice = &mut bytes[range];
            match level {
                Level(0) => slice[4] ^= 1,
                _ => kernel.parents(level, NodeIndex(nodes.start), &children, slice),
            }
            children = slice.to_vec();
        });
        slice_crc32.push(crc32fast::hash(&children));
    }
    if recorded {
        let store = Store::open(&key.entry("state"), &opened.manifest().binding()).unwrap();
        let records = [(BatchIndex(batch), BatchRecord { slice_crc32 })];
        store.commit_batches(&records, &ProgressRecord::default()).unwrap();
    }
}

#[test]
fn a_forged_batch_is_found_by_the_root_and_computed_again_from_the_secret() {
    for recorded in [true, false] {
        let key = TestKey::new(LONG, 3000, 13);
        let truth = key.layers();
        forge(&key, 2, recorded);
        if !recorded {
            std::fs::remove_dir_all(key.path().join("state")).unwrap();
        }
        let deep = check(&key.path(), true, OPTIONS).unwrap().damage;
        let leaves = deep.iter().find(|damage| damage.level == Some(Level(0)));
        assert_eq!(leaves.unwrap().batch, Some(BatchIndex(2)));
        let report = mend(&key).unwrap();
        assert_eq!(report.batches_recomputed, batches(&[2]), "recorded: {recorded}");
        assert_eq!(report.batch_records_renewed, if recorded { 0 } else { 2 });
        assert!(report.crown_rewritten.is_empty(), "{report:?}");
        is_whole(&key, &truth, "forged");
    }
}

#[test]
fn a_root_that_the_secret_does_not_lead_to_is_said_and_nothing_is_adapted_to_it() {
    let key = TestKey::new(TINY, 256, 14);
    let truth = key.layers();
    let path = key.entry("manifest.toml");
    let found = KeyDir::open(&key.path()).unwrap();
    let mut root = found.manifest().root().unwrap().to_vec();
    root[0] ^= 1;
    let forged = found.manifest().clone().sealed(root);
    forged.write(&found.lock().unwrap()).unwrap();
    let forged = std::fs::read(&path).unwrap();
    let error = mend(&key).unwrap_err();
    assert_eq!(error.reason(), Reason::OtherRoot, "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), forged);
    assert!(key.layers() == truth);
}

#[test]
fn records_that_are_no_records_of_this_key_are_replaced_or_removed() {
    let key = TestKey::new(LONG, 3000, 15);
    let truth = key.layers();
    let binding = KeyDir::open(&key.path()).unwrap().manifest().binding();
    let store = Store::open(&key.entry("state"), &binding).unwrap();
    let record = |count| BatchRecord {
        slice_crc32: vec![1; count],
    };
    let records = [
        (BatchIndex(1), record(3)),
        (BatchIndex(2), record(11)),
        (BatchIndex(9), record(11)),
    ];
    store.commit_batches(&records, &ProgressRecord::default()).unwrap();
    drop(store);
    let damage = key.check().damage;
    assert!(
        damage
            .iter()
            .any(|d| d.batch == Some(BatchIndex(1)) && d.what.contains("the record ")),
        "{damage:?}"
    );
    assert!(damage.iter().any(|d| d.batch == Some(BatchIndex(2))), "{damage:?}");
    assert!(
        damage.iter().any(|d| d.what.contains("1 batch that is not")),
        "{damage:?}"
    );
    let report = mend(&key).unwrap();
    assert_eq!(report.batches_recomputed, batches(&[2]));
    assert_eq!((report.batch_records_renewed, report.records_removed), (1, 1));
    is_whole(&key, &truth, "records");
}

/// Stops the job when its first group is committed.
struct StopAfterOneGroup(CancelHandle);

impl Progress for StopAfterOneGroup {
    fn event(&self, event: Event) {
        if let Event::Committed { .. } = event {
            self.0.cancel();
        }
    }
}

/// A key of 16 batches of which some have been made, and how many.
fn unfinished() -> (TestKey, u64) {
    let key = TestKey::empty();
    let cancel = CancelHandle::default();
    let job = open_job(&key.path(), LONG, 16 * 1024, 16, cancel.clone()).unwrap();
    let stopped = job.run(&StopAfterOneGroup(cancel)).unwrap_err();
    assert_eq!(stopped.reason(), Reason::Interrupted);
    let done = key.check().batches_checked;
    assert!((1..16).contains(&done), "{done}");
    (key, done)
}

#[test]
fn of_an_unfinished_key_the_batches_that_were_done_are_repaired_and_the_others_left_to_keygen() {
    let truth = TestKey::new(LONG, 16 * 1024, 16).layers();
    for store_is_lost in [false, true] {
        let (key, done) = unfinished();
        std::fs::remove_file(key.layer(2)).unwrap();
        key.edit(0, |bytes| bytes[HEADER_BYTES + 5] ^= 1);
        if store_is_lost {
            std::fs::write(key.path().join("state/CURRENT"), "MANIFEST-999999\n").unwrap();
            let refused = job(&key.path(), LONG, 16 * 1024, 16).unwrap().run(&NoProgress);
            let refused = refused.unwrap_err();
            assert!(refused.to_string().ends_with("is missing"), "{refused}");
            assert!(matches!(refused.remedies(), [Remedy::Repair(_)]), "{refused:?}");
        }
        let report = mend(&key).unwrap();
        let recomputed = report.batches_recomputed.iter().count() as u64;
        let repaired = if store_is_lost { 0 } else { done };
        assert_eq!((recomputed, report.batches_left), (repaired, 16 - repaired));
        let checked = key.check();
        assert_eq!((checked.batches_checked, &checked.damage[..]), (repaired, &[][..]));
        job(&key.path(), LONG, 16 * 1024, 16).unwrap().run(&NoProgress).unwrap();
        is_whole(&key, &truth, "finished");
    }
}

#[test]
fn a_damaged_store_is_kept_beside_the_new_one_however_often_that_happens() {
    let key = TestKey::new(TINY, 256, 17);
    let truth = key.layers();
    for name in ["state.damaged", "state.damaged.2", "state.damaged.3"] {
        std::fs::write(key.path().join("state/CURRENT"), "not a manifest").unwrap();
        let report = mend(&key).unwrap();
        let replaced = report.store_replaced.unwrap();
        assert_eq!(replaced.moved_to, Some(key.path().join(name)));
        let kept = std::fs::read(key.path().join(name).join("CURRENT")).unwrap();
        assert_eq!(kept, b"not a manifest");
        assert_eq!(report.batch_records_renewed, 1);
        is_whole(&key, &truth, name);
    }
    let foreign = crate::keydir::KeyPaths::open(&key.path())
        .unwrap()
        .foreign_entry()
        .unwrap();
    assert_eq!(foreign, None);
}

#[test]
fn a_store_of_another_key_is_refused_and_left_alone() {
    let key = TestKey::new(TINY, 256, 18);
    let other = TestKey::new(TINY, 256, 19);
    key.edit(0, |bytes| bytes[HEADER_BYTES] ^= 1);
    std::fs::rename(key.path().join("state"), key.path().join("own")).unwrap();
    std::fs::rename(other.path().join("state"), key.path().join("state")).unwrap();
    let layers = key.layers();
    let damage = key.check().damage;
    assert!(
        damage[0].file.ends_with("state") && damage[0].what.contains("another key"),
        "{damage:?}"
    );
    let refused = mend(&key).unwrap_err();
    assert!(refused.to_string().contains("another key"), "{refused}");
    assert!(key.layers() == layers);
}

#[test]
fn a_repair_that_is_cancelled_says_so_and_is_finished_by_the_next() {
    let (key, truth) = damaged_in_many_ways();
    let cancel = CancelHandle::default();
    cancel.cancel();
    let stopped = repair(&key.path(), OPTIONS, &cancel).unwrap_err();
    assert_eq!(stopped.reason(), Reason::Interrupted, "{stopped}");
    mend(&key).unwrap();
    is_whole(&key, &truth, "cancelled");
}

/// While a file is created on it, somebody else begins a repair.
struct Intruded {
    directory: PathBuf,
    refusals: AtomicUsize,
}

impl Medium for Intruded {
    fn create(&self, layer: &Entry, bytes: u64, header: &[u8]) -> Result<(), IoFailure> {
        let refused = repair(&self.directory, OPTIONS, &CancelHandle::default()).unwrap_err();
        let own = format!("process {}", std::process::id());
        assert_eq!(refused.reason(), Reason::Locked, "{refused}");
        assert!(refused.to_string().contains(&own), "{refused}");
        self.refusals.fetch_add(1, Ordering::Relaxed);
        Disk::default().create(layer, bytes, header)
    }

    fn sync_names(&self, directory: &Entry) -> Result<(), IoFailure> {
        Disk::default().sync_names(directory)
    }

    fn open(&self, layer: &Entry, bytes: u64) -> Result<Box<dyn LayerFile>> {
        Disk::default().open(layer, bytes)
    }

    fn protect(&self, layer: &Entry) -> Result<(), IoFailure> {
        Disk::default().protect(layer)
    }
}

#[test]
fn a_second_writer_is_refused_by_name_while_a_repair_writes() {
    let (key, truth) = damaged_in_many_ways();
    let medium = Intruded {
        directory: key.path(),
        refusals: AtomicUsize::new(0),
    };
    repair_on(&medium, (&key.path()).into(), OPTIONS, &CancelHandle::default()).unwrap();
    // One file was missing, and one was something else.
    assert_eq!(medium.refusals.load(Ordering::Relaxed), 2);
    is_whole(&key, &truth, "intruded");
}

#[test]
fn whatever_stands_in_the_place_of_a_history_stops_no_check_no_repair_and_no_report() {
    let makes: [fn(&Path); 4] = [
        |path| std::fs::write(path, b"{\"run\":\n\xff").unwrap(),
        |path| std::fs::create_dir(path).unwrap(),
        |path| mknodat(CWD, path, FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap(),
        |path| std::os::unix::fs::symlink("secret", path).unwrap(),
    ];
    let (damaged, truth) = damaged_in_many_ways();
    for (case, make) in makes.into_iter().enumerate() {
        let key = damaged.copy();
        let path = key.path().join("history.jsonl");
        std::fs::remove_file(&path).unwrap();
        make(&path);
        assert!(!key.check().damage.is_empty());
        mend(&key).unwrap();
        is_whole(&key, &truth, &format!("case {case}"));
        let report = report(&key.path()).unwrap();
        // What is a file is mended by the repair, which is remembered in it; anything else is left alone.
        assert_eq!(report.history_damage.is_some(), case > 0, "{:?}", report.history_damage);
        assert_eq!(report.map.total.of(BatchState::Repaired), u64::from(case == 0));
    }
}
