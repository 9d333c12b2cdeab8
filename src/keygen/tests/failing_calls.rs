//! Every call of a job fails once: the job ends and names it, and the same request finishes the key.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::{Undisturbed, in_memory, run_quick};
use crate::faults::{Fate, Faults};
use crate::keygen::KeygenError;
use crate::layers::{Disk, LayerError};
use crate::state::StateError;

const EIO: i32 = 5;
const EINTR: i32 = 4;
const ENOSPC: i32 = 28;

/// The calls that a job has made on its directory, in order.
type Calls = Arc<Mutex<Vec<(&'static str, PathBuf)>>>;

fn note(calls: &Calls, call: &'static str, path: &Path) -> usize {
    let mut calls = calls.lock().unwrap();
    calls.push((call, path.to_owned()));
    calls.len()
}

/// Runs a job of which the n-th call fails. Gives its error, and the calls that it made.
fn run_failing(directory: &Path, n: usize, number: i32) -> (Option<KeygenError>, Vec<(&'static str, PathBuf)>) {
    let calls = Calls::default();
    let seen = Arc::clone(&calls);
    let faults = Faults::below(directory, move |call, path| match note(&seen, call, path) == n {
        true => Fate::Fail(number),
        false => Fate::Pass,
    });
    let outcome = run_quick(&directory.join("key"), Box::new(Disk::default()));
    drop(faults);
    let calls = calls.lock().unwrap().clone();
    (outcome.err(), calls)
}

/// What a call is when it fails: the end of the job, with call and file in the message, or harmless.
fn is_harmless(until: &[(&'static str, PathBuf)], number: i32) -> bool {
    let Some(((call, path), before)) = until.split_last() else {
        return false;
    };
    // A file that stays writable is worth a warning. Once nodes have been synced, layer files are opened for that alone.
    let is_layer = path.extension().is_some_and(|extension| extension == "nodes");
    let protects = *call == "open" && is_layer && before.iter().any(|(call, _)| *call == "msync");
    // An interrupted allocation is taken up again, and no job depends on its history's few small files.
    protects || call.ends_with("the history") || *call == "chmod" || (*call == "fallocate" && number == EINTR)
}

fn sweep(number: i32) {
    let whole = Undisturbed::new(run_quick);
    let mut n = 0;
    loop {
        n += 1;
        let directory = in_memory();
        let (error, calls) = run_failing(directory.path(), n, number);
        if calls.len() < n {
            break;
        }
        let (call, path) = calls[n - 1].clone();
        let case = format!("error {number} of call {n}, {call} on {}", path.display());
        match error {
            None => assert!(is_harmless(&calls[..n], number), "{case}: it was not noticed"),
            Some(error) => {
                assert_machine_failed(&error, &case);
                let message = error.to_string();
                assert!(message.contains(call), "{case}: {message}");
                assert!(message.contains(&*path.to_string_lossy()), "{case}: {message}");
                assert_syncs_once(&calls[n..], call, &path, &case);
            }
        }
        let key = directory.path().join("key");
        run_quick(&key, Box::new(Disk::default())).unwrap_or_else(|error| panic!("{case}: going on: {error}"));
        whole.assert_same(&key, &case);
    }
    assert!(n > 300, "only {n} calls were seen");
}

/// The errors for which the program exits with 4, the machine failed: nothing is said to be damaged.
fn assert_machine_failed(error: &KeygenError, case: &str) {
    use crate::keydir::KeyDirError;
    use crate::migrations::MigrationError;
    let is_machine = match error {
        KeygenError::Io(_)
        | KeygenError::KeyDir(KeyDirError::Io(_))
        | KeygenError::Layer(LayerError::Io(_))
        | KeygenError::State(StateError::Io(_) | StateError::Threads { .. } | StateError::Failed { .. }) => true,
        KeygenError::Migration(error) => matches!(
            error,
            MigrationError::Io(_)
                | MigrationError::KeyDir(KeyDirError::Io(_))
                | MigrationError::Layer(LayerError::Io(_))
                | MigrationError::State(StateError::Io(_) | StateError::Threads { .. } | StateError::Failed { .. })
        ),
        _ => false,
    };
    assert!(is_machine, "{case}: {error}");
}

/// After a failed sync nothing is synced and nothing is recorded any more.
fn assert_syncs_once(later: &[(&'static str, PathBuf)], call: &str, path: &Path, case: &str) {
    if !matches!(call, "msync" | "fsync" | "a synced write") {
        return;
    }
    for (later_call, later_path) in later {
        let is_commit = *later_call == "a synced write" || *later_call == "rename";
        assert!(!is_commit, "{case}: {later_call} followed on {}", later_path.display());
        let repeated = *later_call == call && later_path == path;
        assert!(!repeated, "{case}: the sync was repeated");
    }
}

#[test]
fn an_input_output_error_of_any_call_ends_the_job_by_name_and_the_same_request_finishes_it() {
    sweep(EIO);
}

#[test]
fn a_full_disk_at_any_call_ends_the_job_by_name_and_the_same_request_finishes_it() {
    sweep(ENOSPC);
}

#[test]
fn an_interruption_of_any_call_ends_the_job_by_name_or_is_made_again_and_the_same_request_finishes_it() {
    sweep(EINTR);
}

/// A request without a secret: the key draws a fresh one.
fn run_fresh(directory: &Path) -> Result<(), KeygenError> {
    use crate::keygen::{CancelHandle, JobOptions, KeyDefaults, KeyRequest, KeygenJob, NoProgress};
    use crate::plan::MemoryRequest;
    use crate::scheme::Scheme;
    use crate::units::Level;
    let defaults = KeyDefaults {
        scheme: Scheme::by_id("leansig-p1-l8-abort-v4-w8").unwrap(),
        epochs: 256,
        trim: Level(0),
    };
    let options = JobOptions {
        threads: 1,
        group_batches: 1,
        memory: MemoryRequest::NoLimit,
    };
    let request = KeyRequest::default();
    let job = KeygenJob::open(directory, &request, &defaults, options, CancelHandle::default())?;
    job.run(&NoProgress).map(|_| ())
}

#[test]
fn a_fresh_key_that_ends_at_any_call_is_still_one_without_a_past() {
    use crate::keydir::Origin;
    use crate::ledger::{LedgerCondition, show};
    for n in 1.. {
        let directory = in_memory();
        let key = directory.path().join("key");
        let mut made = 0;
        let faults = Faults::below(directory.path(), move |_, _| {
            made += 1;
            if made < n { Fate::Pass } else { Fate::Fail(EIO) }
        });
        let failed = run_fresh(&key).is_err();
        drop(faults);
        run_fresh(&key).unwrap_or_else(|error| panic!("call {n}: going on: {error}"));
        let status = show(&key).unwrap();
        assert_eq!(status.manifest.origin(), Origin::Fresh, "call {n}");
        assert_eq!(
            status.condition,
            LedgerCondition::Sound,
            "call {n}: {:?}",
            status.problem
        );
        if !failed {
            assert!(n > 100, "only {n} calls were seen");
            return;
        }
    }
}
