//! Power cuts at any call, also while recovering from the one before: the key ends with the bytes of one without any.
//!
//! The layer files live on [`PowerCutMedium`]. The checkpoint store is a real one; as each of its writes is synced, it
//! stands after a cut as of its last commit, or with the commit in flight, either of which a run can meet.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use super::power_cut_medium::PowerCutMedium;
use super::{LEANVM, LEANVM_TRIMMED, POSEIDON, TestedKey, Undisturbed, in_memory, layers, records};
use crate::faults::{Fate, Faults};
use crate::files::directory_tests::copy_directory;
use crate::keygen::{Event, Progress};
use keymill_reference::Numbers;

const CUTS: u64 = 10_000;
const CUTS_OF_LEANVM: u64 = 1_500;
/// `KEYMILL_TEST_POWER_CUTS=N` asks for another number, `KEYMILL_TEST_POWER_CUT_SEED=S` replays one seed.
const CUTS_VARIABLE: &str = "KEYMILL_TEST_POWER_CUTS";
const SEED_VARIABLE: &str = "KEYMILL_TEST_POWER_CUT_SEED";
const EIO: i32 = 5;

/// A batch whose record is committed is on the disk: after a power cut it is not computed again.
struct NoneDamaged;

impl Progress for NoneDamaged {
    fn event(&self, event: Event) {
        let is_damaged = matches!(event, Event::Damaged { .. });
        assert!(!is_damaged, "a committed batch was lost: {event:?}");
    }
}

/// Every call from the n-th on fails, and the n-th itself may have been made. Says whether the power went.
fn run_until_cut(
    key: TestedKey,
    directory: &Path,
    medium: &PowerCutMedium,
    at: u64,
    is_made: bool,
    case: &str,
) -> bool {
    let mut made = 0;
    let faults = Faults::below(directory, move |_, _| {
        made += 1;
        match made {
            before if before < at => Fate::Pass,
            now if now == at && is_made => Fate::FailAfterwards(EIO),
            _ => Fate::Fail(EIO),
        }
    });
    let outcome = key.run_watched(directory, Box::new(medium.clone()), &NoneDamaged);
    drop(faults);
    match outcome {
        Ok(_) => false,
        Err(error) => {
            let message = error.to_string();
            assert!(message.contains("Input/output error"), "{case}: {message}");
            true
        }
    }
}

/// A key of which nothing is computed yet. Most keys begin as its copy: there is more to be tried in a job than in the
/// creation, which costs more time.
struct Created {
    directory: TempDir,
    medium: PowerCutMedium,
    calls: u64,
}

impl Created {
    fn new(key: TestedKey) -> Self {
        let directory = in_memory();
        let medium = PowerCutMedium::new(0);
        let faults = Faults::below(directory.path(), |call, _| match call {
            "write to mapping" => Fate::Fail(EIO),
            _ => Fate::Pass,
        });
        key.run_quick(directory.path(), Box::new(medium.clone())).unwrap_err();
        let calls = faults.seen().len() as u64;
        drop(faults);
        Self {
            directory,
            medium,
            calls,
        }
    }

    fn copy(&self, seed: u64) -> (TempDir, PowerCutMedium) {
        let directory = in_memory();
        copy_directory(self.directory.path(), directory.path());
        (directory, self.medium.copy(seed))
    }
}

/// What lives through power cuts, and how it is in the end.
struct Lives {
    whole: Undisturbed,
    created: Created,
    layers: BTreeMap<OsString, Vec<u8>>,
}

impl Lives {
    fn of(key: TestedKey) -> Self {
        let whole = Undisturbed::new(key);
        Self {
            created: Created::new(key),
            layers: layers(whole.directory.path()),
            whole,
        }
    }

    /// One key through several power cuts. Gives how many there were.
    fn one(&self, seed: u64) -> u64 {
        let key = self.whole.key;
        let mut numbers = Numbers(seed);
        let from_nothing = seed.is_multiple_of(8);
        let (directory, medium) = if from_nothing {
            (in_memory(), PowerCutMedium::new(numbers.next()))
        } else {
            self.created.copy(numbers.next())
        };
        let mut cuts = 0;
        for run in 0..2 + numbers.below(8) {
            // Without the creation, a run makes the calls behind it, and some to find out how the key stands.
            let calls = self.whole.calls
                - if run == 0 && from_nothing {
                    0
                } else {
                    self.created.calls / 2
                };
            let at = 1 + numbers.below(calls);
            let is_made = numbers.below(2) == 0;
            let case = format!("{key:?}, seed {seed}, cut {run} at call {at}");
            if !run_until_cut(key, directory.path(), &medium, at, is_made, &case) {
                break;
            }
            medium.cut();
            cuts += 1;
        }
        let outcome = key.run_watched(directory.path(), Box::new(medium.clone()), &NoneDamaged);
        outcome.unwrap_or_else(|error| panic!("{key:?}, seed {seed}: {error}"));
        self.whole
            .assert_same_but_layers(directory.path(), &format!("seed {seed}"));
        for (name, expected) in &self.layers {
            let path = directory.path().join("layers").join(name);
            assert!(
                medium.bytes(&path) == *expected,
                "{key:?}, seed {seed}: {name:?} differs"
            );
            assert!(
                medium.durable_bytes(&path) == *expected,
                "{key:?}, seed {seed}: {name:?} is not durable although the key is sealed"
            );
        }
        cuts
    }

    /// As many keys as it takes to cut the power so often.
    fn cut(&self, cuts_at_least: u64) {
        if let Some(seed) = number_from(SEED_VARIABLE) {
            self.one(seed);
            return;
        }
        let wanted = number_from(CUTS_VARIABLE).unwrap_or(cuts_at_least);
        let (next, cuts) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while cuts.load(Ordering::Relaxed) < wanted {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        cuts.fetch_add(self.one(seed), Ordering::Relaxed);
                    }
                });
            }
        });
        assert!(cuts.into_inner() >= wanted);
    }
}

#[test]
fn bytes_that_are_right_in_the_cache_alone_are_written_again_after_a_failed_sync() {
    let expected = layers(Undisturbed::new(POSEIDON).directory.path());
    // A group of one batch syncs its 11 levels.
    for fail_at in 0..11 {
        let directory = in_memory();
        let medium = PowerCutMedium::new(fail_at);
        let run = || POSEIDON.run_quick(directory.path(), Box::new(medium.clone()));
        let layer = |level| directory.path().join(format!("layers/{level:02}.nodes"));
        medium.fail_sync(2 * 11);
        run().unwrap_err();
        // Whichever were complete first.
        let recorded: Vec<u64> = records(directory.path()).0.iter().map(|(batch, _)| batch.0).collect();
        assert_eq!(recorded.len(), 2);
        let first_node = |level: u8| (recorded[0] << (10 - level)) as usize;
        (0..11).for_each(|level| medium.damage(&layer(level), 4096 + first_node(level) * 28 + 5));
        medium.fail_sync(fail_at as usize);
        run().unwrap_err();
        let kept: Vec<u64> = records(directory.path()).0.iter().map(|(batch, _)| batch.0).collect();
        assert_eq!(
            kept,
            recorded[1..],
            "sync {fail_at}: a record vouches for a batch that is not durable"
        );
        run().unwrap();
        medium.cut();
        for (name, expected) in &expected {
            let found = medium.durable_bytes(&directory.path().join("layers").join(name));
            assert!(found == *expected, "sync {fail_at}: {name:?} is not durable");
        }
    }
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[test]
fn ten_thousand_power_cuts_change_no_byte() {
    Lives::of(POSEIDON).cut(CUTS);
}

#[test]
fn power_cuts_change_no_byte_of_a_key_of_leanvm() {
    Lives::of(LEANVM).cut(CUTS_OF_LEANVM);
}

#[test]
fn power_cuts_change_no_byte_of_a_trimmed_key_of_leanvm() {
    Lives::of(LEANVM_TRIMMED).cut(CUTS_OF_LEANVM);
}
