//! The process is killed at every call of a job, one after the other: a real process, that no destructor tidies up after.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Signal, getpid, kill_process};

use super::{Undisturbed, in_memory, run_quick};
use crate::faults::{Fate, Faults};
use crate::layers::Disk;

const DIRECTORY: &str = "KEYMILL_TEST_ABORT_DIRECTORY";
const CALL: &str = "KEYMILL_TEST_ABORT_CALL";
const CHILD: &str = "keygen::tests::abort_points::a_job_that_kills_itself";

/// Not a test by itself: the process that [`any_kill_ends_in_the_same_bytes`] starts.
#[test]
#[ignore = "it is the process that another test starts and that kills itself"]
fn a_job_that_kills_itself() {
    let directory = PathBuf::from(std::env::var_os(DIRECTORY).unwrap());
    let at: usize = std::env::var(CALL).unwrap().parse().unwrap();
    let mut made = 0;
    let _faults = Faults::below(&directory, move |_, _| {
        made += 1;
        if made == at {
            // SIGKILL and not abort(): nothing may run after it.
            kill_process(getpid(), Signal::KILL).unwrap();
        }
        Fate::Pass
    });
    run_quick(&directory.join("key"), Box::new(Disk::default())).unwrap();
}

/// Whether the process was killed, rather than done before it made so many calls.
fn is_killed(directory: &Path, at: usize) -> bool {
    let status = Command::new(std::env::current_exe().unwrap())
        .args([CHILD, "--exact", "--ignored", "--quiet"])
        .env(DIRECTORY, directory)
        .env(CALL, at.to_string())
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    let is_killed = status.signal() == Some(Signal::KILL.as_raw());
    assert!(status.success() || is_killed, "call {at}: {status}");
    is_killed
}

/// The first run is killed at its n-th call, the second, which recovers, at a call of its own; the third finishes.
fn killed_twice(whole: &Undisturbed, first: usize, second: usize) -> bool {
    let directory = in_memory();
    let case = format!("killed at call {first}, then at call {second}");
    if !is_killed(directory.path(), first) {
        return false;
    }
    is_killed(directory.path(), second);
    let key = directory.path().join("key");
    run_quick(&key, Box::new(Disk::default())).unwrap_or_else(|error| panic!("{case}: {error}"));
    whole.assert_same(&key, &case);
    true
}

#[test]
fn any_kill_ends_in_the_same_bytes() {
    let whole = Undisturbed::new(run_quick);
    let sweep = |first: usize| {
        let mut at = first;
        while killed_twice(&whole, at, 1 + at * 7 % 229) {
            at += 2;
        }
        at
    };
    let last = std::thread::scope(|scope| {
        let odd = scope.spawn(|| sweep(1));
        sweep(2).max(odd.join().unwrap())
    });
    assert!(last > 300, "only {last} calls were seen");
}
