//! What a key remembers of its runs: true after any end if it can be, and never in the way of a job.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Signal, getpid, kill_process};

use super::{BATCHES, POSEIDON, in_memory};
use crate::faults::{Fate, Faults};
use crate::files::Entry;
use crate::history::{KeyHistory, Marks, RunCommand, RunEnd, of_key};
use crate::keydir::{KeyDir, KeyState};
use crate::keygen::history::History;
use crate::keygen::{CancelHandle, Event, NoProgress, Phase, Progress};
use crate::layers::Disk;
use crate::plan::{MemoryPlan, StoreBuffers};
use crate::units::BatchIndex;

const MEMORY: MemoryPlan = MemoryPlan {
    threads: 2,
    group_batches: 8,
    group_batches_first: 8,
    arena_bytes: 0,
    store: StoreBuffers::SMALL,
    anonymous_bytes: 14 << 20,
    file_bytes: 0,
    budget: None,
};

fn file(directory: &Path) -> Entry {
    Entry::of(&directory.join("history.jsonl")).unwrap()
}

/// The history of a key directory, of which everything has to be readable.
fn remembered(directory: &Path) -> KeyHistory {
    let (history, damage) = of_key(&file(directory));
    assert_eq!(damage, None);
    history
}

/// However a key was finished: the last run says how it ended, and the last sample that nothing was left. What a call that
/// failed has kept from the file is missing.
#[track_caller]
pub(super) fn assert_readable(directory: &Path, case: &str) {
    let history = remembered(directory);
    // A run whose manifest is there, but was not made durable, has failed, and its key is sealed.
    let end = history.runs.last().and_then(|run| run.end);
    assert!(
        !matches!(end, Some(RunEnd::Interrupted | RunEnd::OutOfBudget)),
        "{case}: {end:?}"
    );
    assert!(
        history.runs.is_sorted_by(|before, after| before.number < after.number),
        "{case}"
    );
}

fn is_history(path: &Path) -> bool {
    path.ends_with("history.jsonl")
}

#[test]
fn a_history_costs_no_sync_and_no_write_to_the_store() {
    let place = in_memory();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&calls);
    let faults = Faults::below(place.path(), move |call, path| {
        noted.lock().unwrap().push((call, is_history(path)));
        Fate::Pass
    });
    let key = place.path().join("key");
    POSEIDON.run_quick(&key, Box::new(Disk::default())).unwrap();
    drop(faults);
    let calls = calls.lock().unwrap();
    let count = |call: &str| calls.iter().filter(|seen| seen.0 == call).count() as u64;
    // Two of the creation, one a group, and one of the crown.
    assert_eq!((count("a synced write"), count("a write")), (2 + BATCHES + 1, 0));
    let of_history: Vec<_> = calls.iter().filter(|seen| seen.1).map(|seen| seen.0).collect();
    let is_quick = |call: &&str| ["open", "fstat", "read", "write"].contains(call);
    assert!(
        of_history.len() as u64 > BATCHES && of_history.iter().all(is_quick),
        "{of_history:?}"
    );
    let history = remembered(&key);
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
        run.peak_bytes >= last.anonymous_bytes && run.written_bytes == last.written_bytes && last.written_bytes > 100,
        "{run:?}"
    );
}

#[test]
fn a_run_says_how_it_ended_where_it_can() {
    let place = in_memory();
    let key = place.path().join("key");
    let cancel = CancelHandle::default();
    let job = POSEIDON.open(&key, Box::new(Disk::default()), cancel.clone()).unwrap();
    cancel.cancel();
    job.run(&NoProgress).unwrap_err();
    let faults = Faults::below(place.path(), |call, path| match call {
        "msync" if path.ends_with("10.nodes") => Fate::Fail(5),
        _ => Fate::Pass,
    });
    POSEIDON.run_quick(&key, Box::new(Disk::default())).unwrap_err();
    drop(faults);
    POSEIDON.run_quick(&key, Box::new(Disk::default())).unwrap();
    let ends: Vec<_> = remembered(&key).runs.iter().map(|run| run.end).collect();
    assert_eq!(ends, [RunEnd::Interrupted, RunEnd::Failed, RunEnd::Finished].map(Some));
}

fn begin(directory: &Path, command: RunCommand) -> History<'static> {
    History::begin(file(directory), command, &MEMORY, &NoProgress)
}

fn begin_batches(history: &History<'_>, batches: std::ops::Range<u64>) {
    batches
        .map(BatchIndex)
        .for_each(|batch| history.event(Event::Begun { batch }));
}

fn commit(history: &History<'_>, batches_done: u64) {
    history.event(Event::Committed {
        epochs: 1024,
        batches_done,
        batches_in_flight_max: 16,
        store_bytes: 100,
    });
}

#[test]
fn what_was_in_flight_at_a_crash_is_marked_when_it_is_begun_again_and_what_was_damaged_is_not() {
    let place = in_memory();
    let crashed = begin(place.path(), RunCommand::Keygen);
    begin_batches(&crashed, 0..12);
    commit(&crashed, 8);
    drop(crashed);
    // A repair between the two changes nothing.
    begin(place.path(), RunCommand::Repair).end(RunEnd::Finished);
    let next = begin(place.path(), RunCommand::Keygen);
    for batch in [3, 4].map(BatchIndex) {
        next.event(Event::Damaged { batch });
    }
    next.event(Event::Phase(Phase::Generating));
    begin_batches(&next, 3..5);
    begin_batches(&next, 8..40);
    // A second round of the same run.
    begin_batches(&next, 3..5);
    next.end(RunEnd::Interrupted);
    let last = begin(place.path(), RunCommand::Keygen);
    begin_batches(&last, 12..40);
    commit(&last, 40);
    let history = remembered(place.path());
    let marked = |marks: &Marks| {
        (0..64)
            .filter(|batch| marks.contains(BatchIndex(*batch)))
            .collect::<Vec<_>>()
    };
    assert_eq!(marked(&history.redone), [8, 9, 10, 11]);
    assert_eq!(marked(&history.damaged), [3, 4]);
    let written: Vec<_> = history.runs.iter().map(|run| run.written_bytes).collect();
    assert_eq!(written, [100, 100, 100, 200]);
}

/// What may stand in the place of the file, and whether the run is in it afterwards.
type Hostile = (fn(&Path), bool);

#[test]
fn whatever_stands_in_the_place_of_a_history_stops_no_job() {
    let hostile: [Hostile; 6] = [
        (
            |path| fs::write(path, b"\xff\n\0\0{\"run\":{\"number\":18446744073709551615}}\nno line").unwrap(),
            true,
        ),
        (|path| fs::File::create(path).unwrap().set_len(1 << 36).unwrap(), true),
        (|path| mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap(), false),
        (|path| fs::create_dir(path).unwrap(), false),
        (|path| std::os::unix::fs::symlink("manifest.toml", path).unwrap(), false),
        (|path| std::os::unix::fs::symlink("nowhere", path).unwrap(), false),
    ];
    for (case, (make, is_told)) in hostile.into_iter().enumerate() {
        let place = in_memory();
        let key = place.path().join("key");
        fs::create_dir(&key).unwrap();
        make(&key.join("history.jsonl"));
        POSEIDON.run_quick(&key, Box::new(Disk::default())).unwrap();
        assert_eq!(KeyDir::open(&key).unwrap().manifest().state(), KeyState::Sealed);
        let (history, damage) = of_key(&file(&key));
        assert_eq!(
            (history.runs.len(), damage.is_none()),
            (usize::from(is_told), is_told),
            "case {case}"
        );
        assert!(!key.join("nowhere").exists());
    }
}

#[test]
fn a_history_of_which_every_call_fails_changes_nothing_about_the_key() {
    for call in ["open", "fstat", "read", "write"] {
        let place = in_memory();
        let key = place.path().join("key");
        let faults = Faults::below(place.path(), move |made, path| {
            if is_history(path) && made == call {
                Fate::Fail(28)
            } else {
                Fate::Pass
            }
        });
        POSEIDON.run_quick(&key, Box::new(Disk::default())).unwrap();
        drop(faults);
        assert_eq!(remembered(&key), KeyHistory::default(), "{call}");
        assert_eq!(KeyDir::open(&key).unwrap().manifest().state(), KeyState::Sealed);
    }
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
    POSEIDON
        .run_quick(&place.join("key"), Box::new(Disk::default()))
        .unwrap();
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
    let history = remembered(&key);
    assert_eq!((history.runs.len(), history.runs[0].end), (1, None));
    assert_eq!(
        (history.runs[0].epochs, history.samples.last().unwrap().batches_done),
        (2 * 1024, 2)
    );
    let begun = history.runs[0].begun.unwrap();
    let recorded = super::records(&key).0;
    POSEIDON.run_quick(&key, Box::new(Disk::default())).unwrap();
    let after = remembered(&key);
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
