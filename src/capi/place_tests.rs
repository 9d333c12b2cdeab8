//! What a host may do while it has a key open: change its directory, move or replace the key's, fork.

#![expect(
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    reason = "processes are forked as a program in C forks them; a child does nothing but call the library, and ends"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write, pipe};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, WaitOptions, waitpid};

use super::exports::*;
use super::outcome::Status;
use super::tests::{MESSAGE, OTHER_MESSAGE, last_error, make_key, open, public_key, refused, sign, verified};
use crate::alone::is_alone;
use crate::ledger::show;
use crate::skip::skip;

const NEW_PID_NAMESPACE: i32 = 0x2000_0000;
/// Set in the process that is the first one of its PID namespace.
const NUMBER_ONE: &str = "KEYMILL_TEST_NUMBER_ONE";

unsafe extern "C" {
    fn fork() -> i32;
    fn unshare(flags: i32) -> i32;
    fn _exit(code: i32) -> !;
}

/// Every file below a directory.
fn content(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(content(&path));
        } else {
            drop(found.insert(path.clone(), fs::read(&path).unwrap()));
        }
    }
    found
}

/// Two keys of the same name, in directories of their own.
fn two_keys() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let [own, other] = [("a", 3), ("b", 4)].map(|(parent, seed)| {
        let key = place.path().join(parent).join("k");
        fs::create_dir(place.path().join(parent)).unwrap();
        make_key(&key, seed);
        key
    });
    (place, own, other)
}

/// The signature that was made is this key's.
#[track_caller]
fn signs(key: Key, public_key: &[u8], epoch: u64) {
    let (status, signature) = sign(key, epoch, &MESSAGE);
    assert_eq!(status, Status::Done, "{}", last_error());
    assert_eq!(verified(public_key, epoch, &MESSAGE, &signature), Status::Done);
}

#[test]
fn a_key_opened_by_a_relative_path_signs_with_its_own_ledger_wherever_the_process_goes() {
    if !is_alone(
        "capi::place_tests::a_key_opened_by_a_relative_path_signs_with_its_own_ledger_wherever_the_process_goes",
    ) {
        return;
    }
    let (place, own, other) = two_keys();
    let untouched = content(&other);
    std::env::set_current_dir(own.parent().unwrap()).unwrap();
    for opened in [Path::new("k"), Path::new("./k"), Path::new("../a/k")] {
        let key = open(keymill_open_to_sign, opened);
        let public_key = public_key(key);
        let first = show(&own).unwrap().spent;
        for (round, elsewhere) in [other.parent().unwrap(), Path::new("/"), place.path()]
            .into_iter()
            .enumerate()
        {
            std::env::set_current_dir(elsewhere).unwrap();
            signs(key, &public_key, first + round as u64);
        }
        assert_eq!(keymill_close(key), Status::Done);
        assert_eq!(show(&own).unwrap().spent, first + 3);
        std::env::set_current_dir(own.parent().unwrap()).unwrap();
    }
    assert!(content(&other) == untouched, "the other key was touched");
}

#[test]
fn a_key_whose_directory_was_moved_or_replaced_signs_nothing_until_it_is_back() {
    let (place, own, other) = two_keys();
    let away = place.path().join("away");
    for is_replaced in [false, true] {
        let untouched = content(&other);
        let key = open(keymill_open_to_sign, &own);
        let public_key = public_key(key);
        let spent = show(&own).unwrap().spent;
        signs(key, &public_key, spent);
        fs::rename(&own, &away).unwrap();
        if is_replaced {
            fs::rename(&other, &own).unwrap();
        }
        for epoch in [spent, spent + 1] {
            let (status, signature) = sign(key, epoch, &MESSAGE);
            refused(status, Status::Machine, "was moved or replaced");
            assert!(last_error().contains(&*own.to_string_lossy()), "{}", last_error());
            assert!(signature.iter().all(|&byte| byte == 0));
        }
        assert_eq!(show(&away).unwrap().spent, spent + 1, "an epoch was spent");
        if is_replaced {
            fs::rename(&own, &other).unwrap();
        }
        assert!(content(&other) == untouched, "the other key was touched");
        fs::rename(&away, &own).unwrap();
        signs(key, &public_key, spent + 1);
        // Nor does it harm anybody to close a key whose directory is elsewhere.
        fs::rename(&own, &away).unwrap();
        fs::rename(&other, &own).unwrap();
        assert_eq!(keymill_close(key), Status::Done);
        let key = open(keymill_open_to_sign, &own);
        assert_eq!(keymill_close(key), Status::Done);
        fs::rename(&own, &other).unwrap();
        fs::rename(&away, &own).unwrap();
        assert_eq!(show(&own).unwrap().spent, spent + 2);
    }
}

/// Runs `child` in a process that is forked from this one, to its end.
fn in_fork(child: impl FnOnce()) {
    let number = unsafe { fork() };
    assert!(number >= 0, "{}", std::io::Error::last_os_error());
    if number == 0 {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
        unsafe { _exit(i32::from(outcome.is_err())) }
    }
    let (_, status) = waitpid(Pid::from_raw(number), WaitOptions::empty()).unwrap().unwrap();
    assert_eq!(status.exit_status(), Some(0), "the child failed");
}

/// A child signs nothing with its parent's key, and closes it, before its parent does or after. The parent's signatures stay.
/// `enter` is called in the thread that forks.
fn forks_with_a_key_open(enter: fn()) {
    for parent_closes_first in [false, true] {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("key");
        make_key(&directory, 3);
        let key = open(keymill_open_to_sign, &directory);
        let public_key = public_key(key);
        signs(key, &public_key, 0);
        let (mut is_turn, mut give_turn) = pipe().unwrap();
        let (mut is_there, mut begin) = pipe().unwrap();
        let (mut is_over, mut end) = pipe().unwrap();
        let child = move || {
            begin.write_all(&[0]).unwrap();
            is_turn.read_exact(&mut [0]).unwrap();
            for (epoch, message) in [(0, &MESSAGE), (1, &OTHER_MESSAGE), (9, &OTHER_MESSAGE)] {
                let (status, signature) = sign(key, epoch, message);
                refused(status, Status::Usage, "open the key after the fork");
                assert!(signature.iter().all(|&byte| byte == 0));
            }
            assert_eq!(keymill_close(key), Status::Done);
            end.write_all(&[0]).unwrap();
        };
        std::thread::scope(|scope| {
            let forking = scope.spawn(move || {
                enter();
                in_fork(child);
            });
            is_there.read_exact(&mut [0]).unwrap();
            signs(key, &public_key, 1);
            if parent_closes_first {
                assert_eq!(keymill_close(key), Status::Done);
            }
            give_turn.write_all(&[0]).unwrap();
            is_over.read_exact(&mut [0]).unwrap();
            forking.join().unwrap();
        });
        let key = if parent_closes_first {
            open(keymill_open_to_sign, &directory)
        } else {
            key
        };
        signs(key, &public_key, 2);
        assert_eq!(keymill_close(key), Status::Done);
        let key = open(keymill_open_to_sign, &directory);
        for epoch in 0..3 {
            signs(key, &public_key, epoch);
            refused(sign(key, epoch, &OTHER_MESSAGE).0, Status::No, "already signed");
        }
        assert_eq!(keymill_close(key), Status::Done);
    }
}

#[test]
fn a_forked_child_signs_nothing_and_harms_nothing_whoever_closes_first() {
    if is_alone("capi::place_tests::a_forked_child_signs_nothing_and_harms_nothing_whoever_closes_first") {
        forks_with_a_key_open(|| {});
    }
}

/// The first process of a PID namespace forks the first one of another: both have the number 1.
#[test]
fn a_forked_child_with_the_number_of_its_parent_is_told_from_it() {
    let name = "capi::place_tests::a_forked_child_with_the_number_of_its_parent_is_told_from_it";
    if std::env::var_os(NUMBER_ONE).is_some() {
        assert_eq!(std::process::id(), 1);
        return forks_with_a_key_open(|| assert_eq!(unsafe { unshare(NEW_PID_NAMESPACE) }, 0));
    }
    let unshared = |program: &Path, arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork"]).arg(program).args(arguments);
        command.env(NUMBER_ONE, "yes").output()
    };
    if !unshared(Path::new("true"), &[]).is_ok_and(|output| output.status.success()) {
        return skip("PID namespaces may not be made here");
    }
    let output = unshared(&std::env::current_exe().unwrap(), &["--exact", name, "--nocapture"]).unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(
        output.status.success() && said[0].contains("1 passed"),
        "{}",
        said.concat()
    );
}
