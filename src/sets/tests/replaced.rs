//! A set that is made in the place of another one.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use zeroize::Zeroizing;

use super::{EIO, SetRequest, copy, dies_while_it_computes, files, make, request, run};
use crate::faults::{Fate, Faults};

/// So many are called before the first key of the new set is begun.
const REMOVING_CALLS: usize = 4;

#[test]
fn a_set_that_takes_the_place_of_an_unfinished_one_is_finished_wherever_the_removal_ended() {
    let place = tempfile::tempdir().unwrap();
    let [truth, other, set] = ["truth", "other", "set"].map(|name| place.path().join(name));
    make(&truth).unwrap();
    let others = SetRequest {
        seed: Some(Zeroizing::new([8; 32])),
        ..request()
    };
    dies_while_it_computes(&other, others);
    let replacing = || SetRequest {
        overwrites: true,
        ..request()
    };
    for number in 0..REMOVING_CALLS {
        copy(&other, &set);
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let faults = Faults::below(&set, move |call, _| {
            let is_counted = ["unlink", "rename", "rmdir"].contains(&call);
            if is_counted && counted.fetch_add(1, Ordering::Relaxed) == number {
                Fate::Fail(EIO)
            } else {
                Fate::Pass
            }
        });
        run(&set, replacing()).unwrap_err();
        drop(faults);
        run(&set, replacing()).unwrap_or_else(|error| panic!("call {number}: {error}"));
        assert!(files(&set) == files(&truth), "call {number}");
        fs::remove_dir_all(&set).unwrap();
    }
}
