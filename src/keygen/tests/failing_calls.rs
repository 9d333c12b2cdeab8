//! Every call of a job fails once: the job ends and names it, and the same request finishes the key.

use std::path::Path;

use super::{LEANVM, LEANVM_TRIMMED, POSEIDON, TestedKey, Undisturbed, in_memory, to_be_told};
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::faults::{Fate, Faults, Seen};
use crate::layers::Disk;

const EIO: i32 = 5;
const EINTR: i32 = 4;
const ENOSPC: i32 = 28;

/// Runs a job of which the n-th call fails. Gives its error, and the calls that it made.
fn run_failing(key: TestedKey, directory: &Path, n: usize, number: i32) -> (Option<Error>, Vec<Seen>) {
    let mut made = 0;
    let faults = Faults::below(directory, move |_, _| {
        made += 1;
        if made == n { Fate::Fail(number) } else { Fate::Pass }
    });
    let outcome = key.run_quick(&directory.join("key"), Box::new(Disk::default()));
    (outcome.err(), faults.seen())
}

/// Lets every call fail, or one of so many.
fn sweep(key: TestedKey, number: i32, one_in: usize) {
    let whole = Undisturbed::new(key);
    for n in (1..).step_by(one_in) {
        let directory = in_memory();
        let (error, seen) = run_failing(key, directory.path(), n, number);
        if seen.len() < n {
            assert!(n > 300, "only {n} calls were seen");
            return;
        }
        let Seen { call, path, .. } = &seen[n - 1];
        let case = format!("error {number} of call {n}, {call} on {}", path.display());
        match error {
            None => assert_eq!(to_be_told(&seen, number), [] as [&Seen; 0], "{case}"),
            Some(error) => {
                assert_machine_failed(&error, &case);
                let message = error.to_string();
                assert!(message.contains(call), "{case}: {message}");
                assert!(message.contains(&*path.to_string_lossy()), "{case}: {message}");
                assert_syncs_once(&seen[n..], call, path, &case);
            }
        }
        let place = directory.path().join("key");
        let outcome = key.run_quick(&place, Box::new(Disk::default()));
        outcome.unwrap_or_else(|error| panic!("{case}: going on: {error}"));
        whole.assert_same(&place, &case);
    }
}

/// The errors for which the program exits with 4, the machine failed: nothing is said to be damaged.
fn assert_machine_failed(error: &Error, case: &str) {
    assert_eq!(error.kind(), FailureKind::Machine, "{case}: {error}");
}

/// After a failed sync nothing is synced and nothing is recorded any more.
fn assert_syncs_once(later: &[Seen], call: &str, path: &Path, case: &str) {
    if !matches!(call, "msync" | "fsync" | "a synced write") {
        return;
    }
    for later in later {
        let is_commit = later.call == "a synced write" || later.call == "rename";
        assert!(!is_commit, "{case}: {later:?} followed");
        let repeated = later.call == call && later.path == path;
        assert!(!repeated, "{case}: the sync was repeated");
    }
}

#[test]
fn an_input_output_error_of_any_call_ends_the_job_by_name_and_the_same_request_finishes_it() {
    sweep(POSEIDON, EIO, 1);
}

#[test]
fn a_full_disk_at_any_call_ends_the_job_by_name_and_the_same_request_finishes_it() {
    sweep(POSEIDON, ENOSPC, 1);
}

#[test]
fn an_interruption_of_any_call_ends_the_job_by_name_or_is_made_again_and_the_same_request_finishes_it() {
    sweep(POSEIDON, EINTR, 1);
}

#[test]
fn calls_that_fail_end_the_job_of_a_key_of_leanvm_by_name_and_the_same_request_finishes_it() {
    sweep(LEANVM, EIO, 3);
    sweep(LEANVM_TRIMMED, ENOSPC, 3);
}

/// A request without a secret: the key draws a fresh one.
fn run_fresh(directory: &Path) -> Result<()> {
    use crate::keygen::{JobOptions, KeyDefaults, KeyRequest, KeygenJob, NoProgress};
    use crate::plan::MemoryRequest;
    use crate::units::Level;
    use keymill_xmss::scheme::Scheme;
    let defaults = KeyDefaults {
        scheme: Scheme::by_id("leansig-p1-l8-abort-v4-w8").unwrap(),
        epochs: 256,
        trim: Level(0),
    };
    let options = JobOptions::DEFAULT
        .threads(1)
        .group_batches(1)
        .memory(MemoryRequest::NoLimit);
    let request = KeyRequest::default();
    let job = KeygenJob::builder(directory)
        .request(request)
        .defaults(defaults)
        .options(options)
        .open()?;
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
        let seen = faults.seen();
        drop(faults);
        assert!(failed || to_be_told(&seen, EIO).is_empty(), "call {n} of {seen:?}");
        run_fresh(&key).unwrap_or_else(|error| panic!("call {n}: going on: {error}"));
        let status = show(&key).unwrap();
        assert_eq!(status.manifest.origin(), Origin::Fresh, "call {n}");
        assert_eq!(
            status.condition,
            LedgerCondition::Sound,
            "call {n}: {:?}",
            status.problem
        );
        if seen.len() < n {
            assert!(n > 100, "only {n} calls were seen");
            return;
        }
    }
}
