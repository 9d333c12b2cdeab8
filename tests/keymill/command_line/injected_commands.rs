//! Calls that fail in commands on a finished key: none of them is taken for damage, and the key is afterwards what it was.

use std::collections::BTreeMap;
use std::fs;

use super::fixtures::{MESSAGE, TINY, finished_key, flip_byte};
use super::injected::{CALLS, begun_call, traced};
use super::program::{Outcome, Place};
use crate::skip::skip;

/// What a machine answers when it fails; the next case takes the next one.
const ERRORS: [&str; 6] = ["EIO", "ENOSPC", "EMFILE", "ENOMEM", "EDQUOT", "EROFS"];
/// Cases of each call of a command.
const CASES_A_CALL: usize = 3;

/// A command on a copy of a key.
struct Case {
    place: Place,
    line: String,
    /// Whether the copy is damaged before, so that a repair has something to move aside.
    is_damaged: bool,
}

impl Case {
    fn new(line: &str, is_damaged: bool) -> Self {
        let place = Place::in_memory();
        finished_key(&place, TINY);
        place.run(&sign("key")).exits(0);
        if is_damaged {
            fs::write(place.path("key/state/CURRENT"), "nothing\n").unwrap();
            flip_byte(&place.path("key/layers/03.nodes"), 5000);
        }
        fs::rename(place.path("key"), place.path("begun")).unwrap();
        // By its whole name, so that it can be found in what strace writes.
        let line = line.replace("KEY", &place.path("key").display().to_string());
        Self {
            place,
            line,
            is_damaged,
        }
    }

    fn traced(&self, flags: &[&str]) -> Option<(Outcome, String)> {
        let begun = self.place.path("begun");
        traced(&self.place, Some(&begun), &[], &self.line, flags)
    }

    /// Which calls of each name, counted in their thread, are on files of the key; none where strace does not work.
    fn points(&self) -> Option<BTreeMap<&'static str, Vec<usize>>> {
        let recorded = self.traced(&[]).filter(|(outcome, _)| outcome.code == Some(0));
        let Some((_, log)) = recorded else {
            skip("strace is not installed, or may not trace here (Debian: strace)");
            return None;
        };
        let root = self.place.path("key").display().to_string();
        let mut numbers = BTreeMap::<(&str, usize), usize>::new();
        let mut points = BTreeMap::<&'static str, Vec<usize>>::new();
        for line in log.lines() {
            let Some((thread, call)) = begun_call(line) else {
                continue;
            };
            let number = numbers.entry((thread, call)).or_default();
            *number += 1;
            if line.contains(&root) {
                points.entry(CALLS[call].0).or_default().push(*number);
            }
        }
        Some(points)
    }

    fn sweep(&self) {
        let Some(points) = self.points() else {
            return;
        };
        let mut tried = 0;
        for (name, numbers) in points {
            for case in 0..CASES_A_CALL.min(numbers.len()) {
                let number = numbers[case * numbers.len() / CASES_A_CALL.min(numbers.len())];
                let error = ERRORS[tried % ERRORS.len()];
                let inject = format!("inject={name}:error={error}:when={number}");
                let (outcome, _) = self.traced(&["-e", &inject]).unwrap();
                self.holds(&outcome, &format!("{inject}\n{}", outcome.all()));
                tried += 1;
            }
        }
        assert!(tried > 10, "{tried}");
    }

    fn holds(&self, outcome: &Outcome, all: &str) {
        let is_check = self.line.starts_with("check");
        // A page that the disk does not give is one that is not what it should be.
        let is_unread = is_check && outcome.code == Some(1) && outcome.text().contains("cannot be read");
        assert!(matches!(outcome.code, Some(0 | 4)) || is_unread, "{all}");
        assert!(!outcome.stderr.contains("panicked"), "{all}");
        if outcome.code == Some(4) {
            assert!(outcome.stderr.contains("/key"), "{all}");
        }
        let moved = self.place.path("key/state.damaged").exists();
        assert!(!moved || self.is_damaged, "{all}");
        if self.is_damaged {
            self.place.run("repair key").exits(0);
            // What its ledger knew is lost with the store.
            self.place.run("ledger init key --first-epoch 100").exits(0);
        }
        let check = self.place.run("check key");
        assert_eq!(check.code, Some(0), "{all}\n-- and afterwards\n{}", check.all());
        if !self.is_damaged {
            let again = self.place.run(&sign("key"));
            assert_eq!(again.code, Some(0), "{all}\n-- and afterwards\n{}", again.all());
        }
    }
}

fn sign(key: &str) -> String {
    format!("sign {key} --epoch 3 --message {MESSAGE}")
}

#[test]
fn a_call_that_fails_in_a_repair_is_named_and_damages_nothing() {
    Case::new("repair KEY --threads 1", false).sweep();
}

#[test]
fn a_call_that_fails_in_a_repair_that_has_something_to_do_is_named_and_the_next_finishes_it() {
    Case::new("repair KEY --threads 1", true).sweep();
}

#[test]
fn a_call_that_fails_in_a_check_or_a_status_is_named_and_damages_nothing() {
    Case::new("check KEY --threads 1", false).sweep();
    Case::new("status KEY", false).sweep();
}

#[test]
fn a_call_that_fails_in_a_signature_is_named_and_damages_nothing() {
    Case::new(&sign("KEY"), false).sweep();
}
