//! The process is killed at every call of a job, one after the other: a real process, that no destructor tidies up after.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Signal, getpid, kill_process};

use super::{LEANVM, LEANVM_TRIMMED, POSEIDON, TestedKey, Undisturbed, in_memory};
use crate::faults::{Fate, Faults};
use crate::layers::Disk;

const DIRECTORY: &str = "KEYMILL_TEST_ABORT_DIRECTORY";
const CALL: &str = "KEYMILL_TEST_ABORT_CALL";
const KEY: &str = "KEYMILL_TEST_ABORT_KEY";
/// The keys of which a job kills itself, by the number that the process is told.
const KEYS: [TestedKey; 3] = [POSEIDON, LEANVM, LEANVM_TRIMMED];
const CHILD: &str = "keygen::tests::abort_points::a_job_that_kills_itself";

/// Not a test by itself: the process that [`any_kill_ends_in_the_same_bytes`] starts.
#[test]
#[ignore = "it is the process that another test starts and that kills itself"]
fn a_job_that_kills_itself() {
    let directory = PathBuf::from(std::env::var_os(DIRECTORY).unwrap());
    let [at, key] = [CALL, KEY].map(|name| std::env::var(name).unwrap().parse::<usize>().unwrap());
    let mut made = 0;
    let _faults = Faults::below(&directory, move |_, _| {
        made += 1;
        if made == at {
            // SIGKILL and not abort(): nothing may run after it.
            kill_process(getpid(), Signal::KILL).unwrap();
        }
        Fate::Pass
    });
    let key = KEYS[key];
    key.run_quick(&directory.join("key"), Box::new(Disk::default()))
        .unwrap();
}

/// Whether the process was killed, rather than done before it made so many calls.
fn is_killed(directory: &Path, key: usize, at: usize) -> bool {
    let status = Command::new(std::env::current_exe().unwrap())
        .args([CHILD, "--exact", "--ignored", "--quiet"])
        .env(DIRECTORY, directory)
        .env(CALL, at.to_string())
        .env(KEY, key.to_string())
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    let is_killed = status.signal() == Some(Signal::KILL.as_raw());
    assert!(status.success() || is_killed, "call {at}: {status}");
    is_killed
}

/// The first run is killed at its n-th call, the second, which recovers, at a call of its own; the third finishes.
fn killed_twice(key: usize, whole: &Undisturbed, first: usize, second: usize) -> bool {
    let directory = in_memory();
    let case = format!("{:?} killed at call {first}, then at call {second}", whole.key);
    if !is_killed(directory.path(), key, first) {
        return false;
    }
    is_killed(directory.path(), key, second);
    let place = directory.path().join("key");
    let outcome = whole.key.run_quick(&place, Box::new(Disk::default()));
    outcome.unwrap_or_else(|error| panic!("{case}: {error}"));
    whole.assert_same(&place, &case);
    true
}

/// Kills at every call, or at one of so many, in two threads.
fn sweep(key: usize, one_in: usize) {
    let whole = Undisturbed::new(KEYS[key]);
    let sweep = |first: usize| {
        let mut at = first;
        while killed_twice(key, &whole, at, 1 + at * 7 % 229) {
            at += 2 * one_in;
        }
        at
    };
    let last = std::thread::scope(|scope| {
        let odd = scope.spawn(|| sweep(1));
        sweep(1 + one_in).max(odd.join().unwrap())
    });
    assert!(last > 300, "only {last} calls were seen");
}

#[test]
fn any_kill_ends_in_the_same_bytes() {
    sweep(0, 1);
}

#[test]
fn any_kill_of_a_job_of_leanvm_ends_in_the_same_bytes() {
    sweep(1, 7);
    sweep(2, 7);
}
