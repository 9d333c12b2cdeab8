//! Kills and failing calls: the same command finishes, with the same bytes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::super::{Division, JoinRequest, Joining, PartJob, Ticket};
use super::{LEANVM, LEANVM_TRIMMED, OPTIONS, Place, files_of};
use crate::error::Reason;
use crate::failure::FailureKind;
use crate::faults::{Fate, Faults};
use crate::keygen::{CancelHandle, Event, NoProgress, Progress};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
/// Of so many calls one is tried; primes, so that in the end each of several that take turns is.
const ONE_IN: usize = 5;
const ONE_IN_JOIN: usize = 11;

#[test]
fn a_part_of_which_any_call_fails_is_finished_by_the_same_request_with_the_same_bytes() {
    let undisturbed = Place::new(LEANVM_TRIMMED, Division::Parts(3));
    let right = fs::read(undisturbed.part(1).unwrap().file).unwrap();
    for n in (1..).step_by(ONE_IN) {
        let place = Place::new(LEANVM_TRIMMED, Division::Parts(3));
        let number = if n % 2 == 0 { EIO } else { ENOSPC };
        let mut made = 0;
        let faults = Faults::below(&place.root, move |_, _| {
            made += 1;
            // As if the process had ended: nothing that comes after it is done either.
            if made < n { Fate::Pass } else { Fate::Fail(number) }
        });
        let outcome = place.part(1);
        let seen = faults.seen();
        drop(faults);
        if seen.len() < n {
            assert!(n > 150, "only {n} calls were seen");
            return;
        }
        let case = format!("call {n}, {:?}", seen[n - 1]);
        if let Err(error) = outcome {
            assert_eq!(error.kind(), FailureKind::Machine, "{case}: {error}");
        }
        let report = place
            .part(1)
            .unwrap_or_else(|error| panic!("{case}: going on: {error}"));
        assert!(fs::read(&report.file).unwrap() == right, "{case}");
        assert_eq!(place.published(), [report.file], "{case}");
        let left = fs::read_dir(place.root.join("work")).unwrap().count();
        assert!(
            left == 0 || report.was_there,
            "{case}: {left} scratch directories are left"
        );
    }
}

#[test]
fn a_join_of_which_any_call_fails_is_finished_by_the_same_request_with_the_same_key() {
    let whole = LEANVM_TRIMMED.whole();
    let made = Place::new(LEANVM_TRIMMED, Division::Parts(3));
    for index in 0..3 {
        made.part(index).unwrap();
    }
    for n in (1..).step_by(ONE_IN_JOIN) {
        let place = Place::new(LEANVM_TRIMMED, Division::Parts(3));
        fs::create_dir(&place.out).unwrap();
        for file in made.published() {
            fs::copy(&file, place.out.join(file.file_name().unwrap())).unwrap();
        }
        let mut made = 0;
        let faults = Faults::below(&place.root, move |_, _| {
            made += 1;
            if made < n { Fate::Pass } else { Fate::Fail(EIO) }
        });
        let outcome = place.join();
        let seen = faults.seen();
        drop(faults);
        if seen.len() < n {
            assert!(outcome.is_ok() && n > 200, "only {n} calls were seen");
            return;
        }
        let case = format!("call {n}, {:?}", seen[n - 1]);
        if let Err(error) = outcome {
            assert_eq!(error.kind(), FailureKind::Machine, "{case}: {error}");
        }
        let report = place.join().unwrap_or_else(|error| panic!("{case}: going on: {error}"));
        assert!(report.summary.is_some(), "{case}: {report:?}");
        assert!(files_of(&place.key) == whole, "{case}");
    }
}

/// Stops a job when it has committed something.
struct StopAtCommit<'a>(&'a CancelHandle);

impl Progress for StopAtCommit<'_> {
    fn event(&self, event: Event) {
        if matches!(event, Event::Committed { .. }) {
            self.0.cancel();
        }
    }
}

#[test]
fn a_part_that_is_stopped_goes_on_where_it_was() {
    let place = Place::new(LEANVM, Division::Parts(1));
    let cancel = CancelHandle::default();
    let options = OPTIONS.group_batches(2);
    let part = PartJob::open(place.part_request(0), options, cancel.clone()).unwrap();
    let error = part.run(&StopAtCommit(&cancel)).unwrap_err();
    assert_eq!(error.kind(), FailureKind::Interrupted);
    let report = place.part(0).unwrap();
    assert!((1..LEANVM.epochs).contains(&report.epochs_computed), "{report:?}");
    assert!(!place.root.join("work").read_dir().unwrap().any(|_| true));
    // Once more: it is there.
    assert!(place.part(0).unwrap().was_there);
    fs::write(&report.file, b"cut").unwrap();
    assert!(!place.part(0).unwrap().was_there);
}

#[test]
fn attempts_at_one_part_side_by_side_publish_the_same_file() {
    let place = Place::new(LEANVM, Division::Parts(2));
    let finished = Arc::new(AtomicBool::new(true));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let job = PartJob::open(place.part_request(0), OPTIONS, CancelHandle::default()).unwrap();
                if job.run(&NoProgress).is_err() {
                    finished.store(false, Ordering::Relaxed);
                }
            });
        }
    });
    assert!(finished.load(Ordering::Relaxed));
    place.part(1).unwrap();
    assert_eq!(place.published().len(), 2);
    place.join().unwrap();
    assert!(files_of(&place.key) == LEANVM.whole());
}

#[test]
fn what_no_part_has_given_is_made_by_keygen() {
    let place = Place::new(LEANVM, Division::Parts(4));
    place.part(2).unwrap();
    let report = place.join().unwrap();
    assert_eq!(
        report
            .missing
            .iter()
            .map(|part| part.index.unwrap().0)
            .collect::<Vec<_>>(),
        [0, 1, 3]
    );
    let summary = LEANVM.asked(&place.key).open().unwrap().run(&NoProgress).unwrap();
    assert!(summary.epochs_computed < LEANVM.epochs);
    assert!(files_of(&place.key) == LEANVM.whole());
    // Of a finished key nothing is asked.
    let report = place.join().unwrap();
    assert!(report.summary.is_some_and(|summary| summary.was_sealed) && report.taken.is_empty());
}

#[test]
fn scratch_is_neither_a_link_nor_a_key_nor_a_directory_that_others_can_write() {
    let place = Place::new(LEANVM_TRIMMED, Division::Parts(2));
    let key = place.root.join("precious");
    LEANVM.asked(&key).open().unwrap().run(&NoProgress).unwrap();
    let before = files_of(&key);
    let work = place.root.join("work");
    fs::create_dir(&work).unwrap();
    let key_id = Ticket::of_key(&place.key).unwrap().key().key_id();
    let (start, end) = (LEANVM.first, (LEANVM.first / 1024 + 10) * 1024);
    let stem = format!("{key_id}-{start}-{end}-t4");
    std::os::unix::fs::symlink(&key, work.join(&stem)).unwrap();
    fs::rename(&key, work.join(format!("{stem}.2"))).unwrap();
    let theirs = work.join(format!("{stem}.3"));
    fs::create_dir(&theirs).unwrap();
    fs::set_permissions(&theirs, fs::Permissions::from_mode(0o777)).unwrap();
    let report = place.part(0).unwrap();
    assert_eq!((report.epochs.start, report.epochs.end), (start, end));
    assert!(files_of(&work.join(format!("{stem}.2"))) == before);
    assert_eq!(fs::read_dir(&theirs).unwrap().count(), 0);
    assert_eq!(fs::read_dir(&work).unwrap().count(), 3);
}

#[test]
fn a_divided_key_that_lost_its_manifest_does_not_become_another_one() {
    let place = Place::new(LEANVM, Division::Parts(2));
    fs::remove_file(place.key.join("manifest.toml")).unwrap();
    let error = LEANVM.asked(&place.key).open().err().unwrap();
    assert_eq!(error.reason(), Reason::NoManifest, "{error}");
    assert!(!place.key.join("manifest.toml").exists());
}

#[test]
fn parts_that_overlap_count_once() {
    let place = Place::new(LEANVM, Division::Parts(2));
    let file = place.part(0).unwrap().file;
    let name = file.file_name().unwrap().to_string_lossy().replace("-t0", "-t0-again");
    fs::copy(&file, place.out.join(name)).unwrap();
    let counted = AtomicU64::new(0);
    let watch = Counting(&counted);
    let joining = Joining::open(
        JoinRequest::new(&place.key, &place.out),
        OPTIONS,
        CancelHandle::default(),
    )
    .unwrap();
    let report = joining.run(&watch).unwrap();
    let was_there: Vec<bool> = report.taken.iter().map(|part| part.was_there).collect();
    assert_eq!(was_there, [false, true]);
    assert_eq!(counted.into_inner(), report.taken[0].epochs.count());
}

/// Counts epochs that are committed.
struct Counting<'a>(&'a AtomicU64);

impl Progress for Counting<'_> {
    fn event(&self, event: Event) {
        if let Event::Committed { epochs, .. } = event {
            self.0.fetch_add(epochs, Ordering::Relaxed);
        }
    }
}
