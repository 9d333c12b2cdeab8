//! The two writes of a commit, and any call of them that fails.

use std::collections::BTreeMap;
use std::path::Path;

use super::engine_tests::{A, B, engine, of_each_key, request, set, sign};
use super::keys::KeyIndex;
use crate::error::{Reason, Result};
use crate::faults::{Fate, Faults};
use crate::signing::tests::key;
use keymill_xmss::Signature;

/// Numbers the calls of a commit. Some of them are made side by side, so each is known by its name, and by how many of that name
/// there were. Those before differ from run to run: workers look at the ledger side by side.
#[derive(Default)]
struct CallsOfCommit {
    is_put: bool,
    counts: BTreeMap<&'static str, usize>,
}

impl CallsOfCommit {
    fn number(&mut self, call: &'static str) -> Option<(&'static str, usize)> {
        let is_own = ["a synced write", "open", "write", "fsync", "linkat", "rename"].contains(&call);
        let is_behind = self.is_put;
        self.is_put |= call == "rename";
        (is_own || is_behind).then(|| {
            let count = self.counts.entry(call).or_default();
            *count += 1;
            (call, *count)
        })
    }

    /// Those of a commit that was seen.
    fn of(faults: &Faults) -> Vec<(&'static str, usize)> {
        let mut calls = Self::default();
        let seen = faults.seen();
        let calls: Vec<_> = seen.iter().filter_map(|seen| calls.number(seen.call)).collect();
        for part in [
            ("a synced write", 1),
            ("fsync", 1),
            ("rename", 1),
            ("fsync", 2),
            ("stat", 1),
        ] {
            assert!(calls.contains(&part), "{calls:?}");
        }
        calls
    }

    /// Lets one call of a commit fail.
    fn failing(failing: (&'static str, usize), fate: Fate) -> impl FnMut(&'static str, &Path) -> Fate {
        let mut calls = Self::default();
        move |call, _| match calls.number(call) {
            Some(number) if number == failing => fate,
            _ => Fate::Pass,
        }
    }
}

#[test]
fn whichever_call_of_a_commit_fails_no_signature_leaves_and_nothing_signs_before_the_ledger_is_opened_again() {
    let calls = {
        let directory = key();
        let engine = engine(directory.path());
        let faults = Faults::below(directory.path(), |_, _| Fate::Pass);
        sign(&engine, vec![request(1, A), request(2, A), request(3, A)]);
        CallsOfCommit::of(&faults)
    };
    for call in calls {
        for fate in [Fate::Fail(5), Fate::FailAfterwards(28)] {
            let case = format!("{call:?} of a commit, {fate:?}");
            let directory = key();
            let engine = engine(directory.path());
            let faults = Faults::below(directory.path(), CallsOfCommit::failing(call, fate));
            let outcomes = sign(&engine, vec![request(1, A), request(2, A), request(3, A)]);
            if !faults.seen().iter().any(|seen| seen.is_injected) {
                continue;
            }
            drop(faults);
            let is_unknown =
                |outcome: &Result<Signature>| outcome.as_ref().is_err_and(|error| error.reason() == Reason::Unknown);
            assert!(outcomes.iter().all(is_unknown), "{case}");
            let refused = sign(&engine, vec![request(1, A), request(9, B)]);
            assert!(
                refused
                    .iter()
                    .all(|outcome| outcome.as_ref().is_err_and(|error| error.reason() == Reason::Unknown)),
                "{case}"
            );
            assert!(engine.keys().get(KeyIndex(0)).standing().is_none(), "{case}");
            assert!(engine.keys().get(KeyIndex(0)).ledger.reopen(), "{case}");
            // What was written is spent on its message; either way the same request is answered now.
            let is_on_disk = call != ("a synced write", 1) || fate != Fate::Fail(5);
            let other = sign(&engine, vec![request(1, B)]).pop().unwrap();
            assert_eq!(other.is_err(), is_on_disk, "{case}");
            let again = sign(&engine, vec![request(2, A), request(3, A)]);
            assert!(again.iter().all(Result::is_ok), "{case}");
        }
    }
}

#[test]
fn a_mark_takes_its_place_only_when_the_ledger_is_written_although_its_draft_is_made_meanwhile() {
    let directory = key();
    let engine = engine(directory.path());
    let faults = Faults::below(directory.path(), |_, _| Fate::Pass);
    assert!(sign(&engine, vec![request(1, A)])[0].is_ok());
    let seen = faults.seen();
    let place = |call: &str| seen.iter().position(|seen| seen.call == call);
    assert!(place("a synced write") < place("rename"));
    drop(faults);
    // A ledger that could not be written has the mark that it had.
    let mark = std::fs::read(directory.path().join("ledger.mark")).unwrap();
    let faults = Faults::below(
        directory.path(),
        CallsOfCommit::failing(("a synced write", 1), Fate::Fail(5)),
    );
    assert!(sign(&engine, vec![request(2, A)])[0].is_err());
    assert!(faults.seen().iter().all(|seen| seen.call != "rename"));
    assert_eq!(std::fs::read(directory.path().join("ledger.mark")).unwrap(), mark);
}

#[test]
fn whichever_call_of_a_commit_over_several_keys_fails_no_signature_leaves() {
    let calls = {
        let set = set();
        let engine = engine(set.path());
        let faults = Faults::below(set.path(), |_, _| Fate::Pass);
        sign(&engine, of_each_key(1, A));
        CallsOfCommit::of(&faults)
    };
    for call in calls {
        for fate in [Fate::Fail(5), Fate::FailAfterwards(28)] {
            let case = format!("{call:?} of a commit, {fate:?}");
            let set = set();
            let engine = engine(set.path());
            let faults = Faults::below(set.path(), CallsOfCommit::failing(call, fate));
            let outcomes = sign(&engine, of_each_key(1, A));
            if !faults.seen().iter().any(|seen| seen.is_injected) {
                continue;
            }
            drop(faults);
            let is_unknown =
                |outcome: &Result<Signature>| outcome.as_ref().is_err_and(|error| error.reason() == Reason::Unknown);
            assert!(outcomes.iter().all(is_unknown), "{case}");
            assert!(sign(&engine, of_each_key(9, B)).iter().all(is_unknown), "{case}");
            assert!(engine.keys().iter().all(|key| key.standing().is_none()), "{case}");
            assert!(engine.keys().get(KeyIndex(0)).ledger.reopen(), "{case}");
            // All of it is on disk, or nothing.
            let is_on_disk = call != ("a synced write", 1) || fate != Fate::Fail(5);
            let others = sign(&engine, of_each_key(1, B));
            assert!(others.iter().all(|outcome| outcome.is_err() == is_on_disk), "{case}");
            assert!(sign(&engine, of_each_key(2, A)).iter().all(Result::is_ok), "{case}");
        }
    }
}
