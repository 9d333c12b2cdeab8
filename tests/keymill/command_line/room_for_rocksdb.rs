//! Commands that open the store where there are too few threads or too little address space for RocksDB, which would abort.

use std::fs;
use std::process::Command;

use super::fixtures::{MESSAGE, TINY, finished_key};
use super::program::{Outcome, Place};
use crate::skip::skip;

const MIB: u64 = 1 << 20;

/// One a way to the store.
fn lines() -> [String; 7] {
    let sign = format!("sign key --epoch 3 --message {MESSAGE}");
    [
        "status key",
        "ledger show key",
        "check key --threads 1",
        &sign,
        "ledger init key --first-epoch 9",
        "trim key --level 1",
        "repair key --threads 1",
    ]
    .map(str::to_owned)
}

/// The line under prlimit and whatever stands before that; none where that is not possible.
fn limited(place: &Place, outer: &[&str], line: &str) -> Option<Outcome> {
    let mut command = Command::new(outer[0]);
    command.args(&outer[1..]);
    let outcome = place.run_under(command, &[], line);
    if outcome.is_none() {
        skip("prlimit or setpriv is missing");
    }
    outcome
}

#[test]
fn too_few_threads_are_an_error_that_says_how_many_are_needed_and_never_an_abort() {
    // Root has no such limit, so that the commands are run by a user of nobody's.
    let user = 50_000 + std::process::id() % 5_000;
    let cores = std::thread::available_parallelism().unwrap().get();
    for line in lines() {
        let place = Place::new().with_own_program();
        finished_key(&place, TINY);
        if !place.is_given_to(user) {
            skip("a limit on the threads of another user takes root");
            return;
        }
        let (user, mut refused) = (user.to_string(), 0);
        loop {
            let limit = format!("--nproc={}", refused + 1);
            let outer = ["setpriv", "--reuid", &user, "--clear-groups", "prlimit", &limit];
            let Some(outcome) = limited(&place, &outer, &line) else {
                return;
            };
            if outcome.code == Some(0) {
                break;
            }
            let outcome = outcome.exits(4).says(&["thread", "ulimit -u"]);
            refused += 1;
            // 'trim' computes on as many threads as there are cores.
            assert!(refused < 12 + cores, "{}", outcome.all());
        }
        if refused == 0 {
            skip("this kernel puts no limit on the threads of a user");
            return;
        }
        assert!(refused >= 3, "{line}: with {refused} threads beside the first one");
        place.run("check key").exits(0);
    }
}

#[test]
fn too_little_address_space_is_an_error_with_both_figures_and_never_an_abort() {
    let place = Place::new();
    for line in lines() {
        let _ = fs::remove_dir_all(place.path("key"));
        finished_key(&place, TINY);
        let limits = [48, 64, 96, 128, 160, 192, 256, 320, 512, 2048];
        let mut refused = Vec::new();
        for limit in limits {
            let limit_bytes = limit * MIB;
            let Some(outcome) = limited(&place, &["prlimit", &format!("--as={limit_bytes}")], &line) else {
                return;
            };
            if outcome.code == Some(0) {
                continue;
            }
            let outcome = outcome.exits(4).says(&["RLIMIT_AS", "ulimit -v"]);
            assert!(outcome.figures().contains(&limit_bytes), "{}", outcome.all());
            refused.push(limit);
        }
        // RocksDB alone takes more than the least of them, and what is enough for one is enough for the next.
        assert!((2..limits.len()).contains(&refused.len()), "{line}: {refused:?}");
        assert_eq!(refused, limits[..refused.len()], "{line}");
        place.run("check key").exits(0);
    }
}

#[test]
fn the_address_space_that_is_asked_for_is_enough() {
    let place = Place::new();
    finished_key(&place, TINY);
    let sign = format!("sign key --epoch 3 --message {MESSAGE}");
    for line in ["status key", &sign] {
        let Some(refused) = limited(&place, &["prlimit", &format!("--as={}", 64 * MIB)], line) else {
            return;
        };
        let refused = refused.exits(4);
        let [_, used, needed] = refused.figures()[..] else {
            panic!("not three figures\n{}", refused.all());
        };
        // Where the kernel puts things decides on some pages.
        let enough = format!("--as={}", used + needed + MIB);
        for _ in 0..5 {
            limited(&place, &["prlimit", &enough], line).unwrap().exits(0);
        }
    }
}
