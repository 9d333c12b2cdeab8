//! The store of a repaired key: replaced only when it is damaged, and never at the cost of a ledger that can be read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::tests::{is_whole, mend};
use crate::audit::fixture_tests::{TINY, TestKey};
use crate::error::{Error, Reason};
use crate::faults::{Fate, Faults};
use crate::ledger::init;
use crate::signing::Signer;
use crate::state::damage_tests::flip_in_tables;
use crate::units::Epoch;

const SPENT: Epoch = Epoch(7);

/// A finished key that has signed, and of whose store this column family cannot be read.
fn damaged(family: &str) -> TestKey {
    let key = TestKey::new(TINY, 256, 32);
    init(&key.path(), 0).unwrap();
    Signer::open(&key.path()).unwrap().sign(SPENT, &[1; 32]).unwrap();
    // Opened once more, so that a table holds what the log did.
    init(&key.path(), 8).unwrap();
    drop(Signer::open(&key.path()).unwrap());
    flip_in_tables(&key.path().join("state"), family);
    key
}

fn refusal(key: &TestKey, epoch: Epoch) -> Option<Error> {
    Signer::open(&key.path())
        .and_then(|mut signer| signer.sign(epoch, &[2; 32]))
        .err()
}

#[test]
fn a_store_that_is_replaced_keeps_the_ledger_that_can_be_read_whichever_call_fails() {
    let broken = damaged("batches");
    let truth = broken.layers();
    for for_good in [false, true] {
        // Every second one: which it is changes from one to the other.
        for number in (usize::from(for_good)..).step_by(2) {
            let key = broken.copy_in_memory();
            let calls = Arc::new(AtomicUsize::new(0));
            let counter = Arc::clone(&calls);
            let faults = Faults::below(&key.path(), move |_, _| {
                let now = counter.fetch_add(1, Ordering::Relaxed);
                if now == number || for_good && now > number {
                    Fate::Fail(5)
                } else {
                    Fate::Pass
                }
            });
            let outcome = mend(&key);
            drop(faults);
            let context = format!("call {number}, for good: {for_good}");
            let is_undisturbed = calls.load(Ordering::Relaxed) <= number;
            if is_undisturbed {
                assert!(outcome.unwrap().store_replaced.unwrap().ledger_kept);
                is_whole(&key, &truth, &context);
            } else {
                mend(&key).unwrap_or_else(|error| panic!("{context}: {error}"));
            }
            let refused = refusal(&key, SPENT);
            assert_eq!(refused.map(|error| error.reason()), Some(Reason::Spent), "{context}");
            assert!(refusal(&key, Epoch(8)).is_none(), "{context}");
            if is_undisturbed {
                assert!(number > 80, "{number}");
                break;
            }
        }
    }
}

#[test]
fn of_a_ledger_that_cannot_be_read_the_bounds_are_kept_and_nothing_signs_before_a_beginning_above_them() {
    let key = damaged("ledger");
    let report = mend(&key).unwrap();
    assert!(!report.store_replaced.unwrap().ledger_kept);
    for epoch in [SPENT, Epoch(200)] {
        assert!(refusal(&key, epoch).is_some());
    }
    let too_low = init(&key.path(), 7).unwrap_err();
    assert_eq!(too_low.reason(), Reason::TooLow { least: 8 }, "{too_low}");
    init(&key.path(), 8).unwrap();
    assert!(refusal(&key, SPENT).is_some());
    assert!(refusal(&key, Epoch(200)).is_none());
}
