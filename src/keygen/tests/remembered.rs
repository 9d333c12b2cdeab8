//! What a key remembers of its runs: bounded, in the writes that are made anyway, and true after any end.

use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustix::process::{Signal, getpid, kill_process};

use super::{BATCHES, in_memory, open, run_quick};
use crate::faults::{Fate, Faults};
use crate::keydir::{KeyDir, KeyState};
use crate::keygen::history::{History, INTERVAL_MS, RUNS_MAX, SAMPLES_MAX};
use crate::keygen::{CancelHandle, NoProgress};
use crate::layers::Disk;
use crate::migrations::COLUMN_FAMILIES;
use crate::plan::{MemoryPlan, StoreBuffers};
use crate::state::damage_tests::flip_in_tables;
use crate::state::{KeyHistory, ProgressRecord, RunCommand, RunEnd, Store};
use crate::units::BatchIndex;
use keymill_reference::Numbers;

const BINDING: [u8; 32] = [0xb1; 32];
const MEMORY: MemoryPlan = MemoryPlan {
    threads: 2,
    group_batches: 8,
    arena_bytes: 0,
    store: StoreBuffers::SMALL,
    anonymous_bytes: 14 << 20,
    file_bytes: 0,
    budget: None,
};

fn remembered(store: &Store) -> KeyHistory {
    store.history().unwrap().unwrap().0
}

/// The history of a key directory.
fn of_key(directory: &std::path::Path) -> KeyHistory {
    let key = KeyDir::open(directory).unwrap();
    remembered(&Store::open_read_only(&key.paths().state(), &key.manifest().binding()).unwrap())
}

/// However a key was finished: the last run says how it ended, and the last sample that nothing was left.
#[track_caller]
pub(super) fn assert_whole(directory: &std::path::Path, case: &str) {
    let history = of_key(directory);
    // A run whose manifest is there, but was not made durable, has failed, and its key is sealed.
    let end = history.runs.last().unwrap().end;
    assert!(
        matches!(end, Some(RunEnd::Finished | RunEnd::Failed)),
        "{case}: {end:?}"
    );
    assert_eq!(history.samples.last().unwrap().batches_done, BATCHES, "{case}");
    assert!(
        history.runs.is_sorted_by(|before, after| before.number < after.number),
        "{case}"
    );
}

fn store(place: &std::path::Path) -> Store {
    let path = crate::files::Entry::of(&place.join("state")).unwrap();
    Store::create(&path, &COLUMN_FAMILIES, &BINDING).unwrap();
    Store::open_recording(&path, &BINDING, StoreBuffers::SMALL).unwrap()
}

fn progress(unix_ms: u64, run_epochs: u64) -> ProgressRecord {
    ProgressRecord {
        batches_done: run_epochs / 1024,
        run_started_unix_ms: 1_000,
        committed_unix_ms: unix_ms,
        run_epochs,
    }
}

/// The first and the last sample that each run gave.
type Ends = Vec<[(u64, u64); 2]>;

/// Lets runs of random lengths commit at random moments. Gives what each began and ended with.
fn live(store: &Store, seed: u64, runs: u64) -> Ends {
    let mut numbers = Numbers(seed);
    let mut unix_ms = 1_000;
    (0..runs)
        .map(|_| {
            let mut history = History::begin(store, RunCommand::Keygen, &MEMORY).unwrap();
            let (mut run_epochs, longest_ms) = (0, 1 << numbers.below(20));
            for _ in 0..1 + numbers.below(400) {
                unix_ms += numbers.below(longest_ms);
                run_epochs += 1024;
                store
                    .write_history(history.note(store, &progress(unix_ms, run_epochs), 16))
                    .unwrap();
            }
            if numbers.below(2) == 0 {
                history.end(store, RunEnd::Interrupted).unwrap();
            }
            [(1_000, 0), (unix_ms, run_epochs)]
        })
        .collect()
}

#[test]
fn samples_are_thinned_out_and_the_first_and_last_of_each_run_stay() {
    for seed in 0..8 {
        let place = in_memory();
        let store = store(place.path());
        let expected = live(&store, seed, 40 + seed * 10);
        let history = remembered(&store);
        assert!(
            history.samples.len() < SAMPLES_MAX,
            "seed {seed}: {}",
            history.samples.len()
        );
        assert!(
            history.samples.len() > SAMPLES_MAX / 4,
            "seed {seed}: {}",
            history.samples.len()
        );
        assert!(history.runs.last().unwrap().interval_ms > INTERVAL_MS, "seed {seed}");
        let by_run = history.samples.chunk_by(|before, after| before.run == after.run);
        let ends = by_run.map(|samples| [samples[0], samples[samples.len() - 1]].map(|s| (s.unix_ms, s.run_epochs)));
        assert_eq!(ends.collect::<Ends>(), expected, "seed {seed}");
        assert!(history.samples.is_sorted_by_key(|sample| sample.run), "seed {seed}");
    }
}

#[test]
fn the_oldest_of_very_many_runs_are_told_as_one() {
    let place = in_memory();
    let store = store(place.path());
    let runs = 2 * RUNS_MAX as u64 + 77;
    for number in 0..runs {
        let mut history = History::begin(&store, RunCommand::Keygen, &MEMORY).unwrap();
        store
            .write_history(history.note(&store, &progress(5_000 * (number + 1), 1024), 16))
            .unwrap();
        history.end(&store, RunEnd::Interrupted).unwrap();
    }
    let history = remembered(&store);
    assert_eq!(history.runs.len(), RUNS_MAX);
    assert!(history.samples.len() < SAMPLES_MAX, "{}", history.samples.len());
    assert_eq!(history.runs.iter().map(|run| run.runs).sum::<u64>(), runs);
    assert_eq!(history.runs.iter().map(|run| run.epochs).sum::<u64>(), 1024 * runs);
    assert_eq!(history.runs[0].runs, runs + 1 - RUNS_MAX as u64);
    assert!(
        history.runs[1..]
            .iter()
            .zip(history.runs[0].runs..)
            .all(|(run, number)| run.number == number)
    );
}

/// Runs on the key; gives the writes to the store that wait for the disk and those that do not, once it was created.
fn writes(directory: &std::path::Path) -> [usize; 2] {
    let counts = [const { AtomicUsize::new(0) }; 2].map(Arc::new);
    let [synced, unsynced] = counts.clone();
    let faults = Faults::below(directory, move |call, _| {
        match call {
            "a synced write" => synced.fetch_add(1, Ordering::Relaxed),
            "a write" => unsynced.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        Fate::Pass
    });
    run_quick(&directory.join("key"), Box::new(Disk::default())).unwrap();
    drop(faults);
    counts.map(|count| count.load(Ordering::Relaxed))
}

#[test]
fn a_history_costs_no_sync() {
    let place = in_memory();
    let [synced, unsynced] = writes(place.path());
    // Two of the creation, one a group, one of the crown; and the beginning and the end of the run.
    assert_eq!((synced as u64, unsynced), (2 + BATCHES + 1, 2));
    let history = of_key(&place.path().join("key"));
    let last = history.samples.last().unwrap();
    assert_eq!((last.run_epochs, last.batches_done), (BATCHES * 1024, BATCHES));
    assert_eq!(last.in_flight_batches, 2);
    assert!(
        last.anonymous_bytes > 1 << 20 && last.planned_bytes > 4 << 20,
        "{last:?}"
    );
    let [run] = &history.runs[..] else {
        panic!("{:?}", history.runs)
    };
    assert_eq!((run.end, run.epochs), (Some(RunEnd::Finished), BATCHES * 1024));
    assert!(
        run.peak_bytes >= last.anonymous_bytes && run.written_bytes > last.written_bytes,
        "{run:?}"
    );
}

#[test]
fn a_run_says_how_it_ended_where_it_can() {
    let place = in_memory();
    let key = place.path().join("key");
    let cancel = CancelHandle::default();
    let job = open(&key, Box::new(Disk::default()), cancel.clone()).unwrap();
    cancel.cancel();
    job.run(&NoProgress).unwrap_err();
    let faults = Faults::below(place.path(), |call, path| match call {
        "msync" if path.ends_with("10.nodes") => Fate::Fail(5),
        _ => Fate::Pass,
    });
    run_quick(&key, Box::new(Disk::default())).unwrap_err();
    drop(faults);
    run_quick(&key, Box::new(Disk::default())).unwrap();
    let ends: Vec<_> = of_key(&key).runs.iter().map(|run| run.end).collect();
    assert_eq!(ends, [RunEnd::Interrupted, RunEnd::Failed, RunEnd::Finished].map(Some));
}

#[test]
fn what_was_in_flight_at_a_crash_is_marked_when_it_is_begun_again_and_what_was_damaged_is_not() {
    let place = in_memory();
    let store = store(place.path());
    let batches = |range: std::ops::Range<u64>| range.map(BatchIndex);
    let mut crashed = History::begin(&store, RunCommand::Keygen, &MEMORY).unwrap();
    assert_eq!(crashed.handing_out(batches(0..12)).count(), 12);
    store
        .write_history(crashed.note(&store, &progress(2_000, 8 * 1024), 16))
        .unwrap();
    drop(crashed);
    // A repair between the two changes nothing.
    History::begin(&store, RunCommand::Repair, &MEMORY)
        .unwrap()
        .end(&store, RunEnd::Finished)
        .unwrap();
    let mut next = History::begin(&store, RunCommand::Keygen, &MEMORY).unwrap();
    next.note_damaged(&store, batches(3..5)).unwrap();
    next.note_redone(&store, batches(3..5).chain(batches(8..40))).unwrap();
    // A second round of the same run.
    next.note_redone(&store, batches(3..40)).unwrap();
    next.end(&store, RunEnd::Interrupted).unwrap();
    let mut last = History::begin(&store, RunCommand::Keygen, &MEMORY).unwrap();
    last.note_redone(&store, batches(12..40)).unwrap();
    let history = remembered(&store);
    let marked = |marks: &crate::state::Marks| {
        (0..64)
            .map(BatchIndex)
            .filter(|b| marks.contains(*b))
            .collect::<Vec<_>>()
    };
    assert_eq!(marked(&history.redone), batches(8..12).collect::<Vec<_>>());
    assert_eq!(marked(&history.damaged), batches(3..5).collect::<Vec<_>>());
}

#[test]
fn a_history_that_cannot_be_read_begins_anew_and_stops_no_job() {
    for (key, bytes) in [
        (&b"s\0\0\0\0\0\0\0\x01"[..], &b"\x02"[..]),
        (b"x", b""),
        (b"r\0\0\0\0\0\0\0\x01", b""),
    ] {
        let place = in_memory();
        let directory = place.path().join("key");
        let cancel = CancelHandle::default();
        drop(open(&directory, Box::new(Disk::default()), cancel).unwrap());
        let opened = KeyDir::open(&directory).unwrap();
        let (path, binding) = (opened.paths().state(), opened.manifest().binding());
        let store = Store::open_recording(&path, &binding, StoreBuffers::SMALL).unwrap();
        History::begin(&store, RunCommand::Repair, &MEMORY).unwrap();
        store.put_bytes("history", key, bytes).unwrap();
        store.history().unwrap_err();
        drop(store);
        run_quick(&directory, Box::new(Disk::default())).unwrap();
        let history = of_key(&directory);
        assert_eq!(history.runs.len(), 1, "{key:02x?}: {:?}", history.runs);
        assert_eq!(history.samples.last().unwrap().batches_done, BATCHES, "{key:02x?}");
    }
}

#[test]
fn a_history_with_damaged_tables_is_made_anew_and_the_job_seals() {
    let place = in_memory();
    let directory = place.path().join("key");
    drop(open(&directory, Box::new(Disk::default()), CancelHandle::default()).unwrap());
    let opened = KeyDir::open(&directory).unwrap();
    let (path, binding) = (opened.paths().state(), opened.manifest().binding());
    // Each opening makes a table of what is in the log: more than are left alone until they are compacted.
    for _ in 0..6 {
        let store = Store::open_recording(&path, &binding, StoreBuffers::SMALL).unwrap();
        History::begin(&store, RunCommand::Repair, &MEMORY).unwrap();
    }
    flip_in_tables(path.path(), "history");
    run_quick(&directory, Box::new(Disk::default())).unwrap();
    assert_eq!(KeyDir::open(&directory).unwrap().manifest().state(), KeyState::Sealed);
    assert_eq!(of_key(&directory).runs.len(), 1);
}

const PLACE: &str = "KEYMILL_TEST_KILLED_IN_PLACE";
const CHILD: &str = "keygen::tests::remembered::a_job_that_is_killed_at_its_third_group";

/// Not a test by itself: the process that the next test starts. It dies when two groups are committed.
#[test]
#[ignore = "it is the process that another test starts and that kills itself"]
fn a_job_that_is_killed_at_its_third_group() {
    let place = std::path::PathBuf::from(std::env::var_os(PLACE).unwrap());
    let made = Mutex::new(0);
    let _faults = Faults::below(&place, move |call, _| {
        let mut made = made.lock().unwrap();
        *made += usize::from(call == "a synced write");
        // Two are of the creation.
        if *made == 5 {
            kill_process(getpid(), Signal::KILL).unwrap();
        }
        Fate::Pass
    });
    run_quick(&place.join("key"), Box::new(Disk::default())).unwrap();
}

#[test]
fn a_run_that_was_killed_is_told_with_its_last_commit() {
    let place = in_memory();
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args([CHILD, "--exact", "--ignored", "--quiet"])
        .env(PLACE, place.path())
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "{status}");
    let key = place.path().join("key");
    let history = of_key(&key);
    assert_eq!((history.runs.len(), history.runs[0].end), (1, None));
    assert_eq!(
        (history.runs[0].epochs, history.samples.last().unwrap().batches_done),
        (2 * 1024, 2)
    );
    let begun = history.runs[0].begun.unwrap();
    let recorded = super::records(&key).0;
    run_quick(&key, Box::new(Disk::default())).unwrap();
    let after = of_key(&key);
    assert_eq!(
        after.runs.iter().map(|run| run.end).collect::<Vec<_>>(),
        [None, Some(RunEnd::Finished)]
    );
    for batch in (0..BATCHES).map(BatchIndex) {
        let was_in_flight = batch.0 <= begun && recorded.iter().all(|(done, _)| *done != batch);
        assert_eq!(
            after.redone.contains(batch),
            was_in_flight,
            "batch {batch}, begun up to {begun}"
        );
    }
}
