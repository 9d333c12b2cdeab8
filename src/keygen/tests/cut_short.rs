//! Work on small files that a power cut ends at many moments, and what has to hold of what the disk shows then.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::in_memory;
use crate::faults::shadow::Shadow;
use keymill_reference::Numbers;

/// `KEYMILL_TEST_POWER_CUT_SEED=S` replays one seed.
const SEED_VARIABLE: &str = "KEYMILL_TEST_POWER_CUT_SEED";
const THREADS: usize = 2;

/// Does something in a directory. Gives what it has given away before it ended, and how it ended.
pub(crate) type Doing<'a, T> = dyn Fn(&Path) -> (T, Result<(), String>) + Sync + 'a;

/// What is done in a directory, and what it promises.
pub(crate) struct Work<'a, T> {
    /// Makes what is there before, durably, in an empty directory.
    pub(crate) before: &'a (dyn Fn(&Path) + Sync),
    /// Does it.
    pub(crate) done: &'a Doing<'a, T>,
    /// Looks at what the disk shows: the directory, what was given away, whether it ended well, and words for messages.
    pub(crate) holds: &'a (dyn Fn(&Path, &T, bool, &str) + Sync),
}

impl<T> Work<'_, T> {
    /// Cuts the power at so many moments, after the end of the work among them.
    pub(crate) fn is_cut(&self, cuts: u64) {
        let calls = self.calls();
        if let Ok(seed) = std::env::var(SEED_VARIABLE) {
            return self.is_cut_once(calls, seed.parse().unwrap());
        }
        let next = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= cuts {
                            break;
                        }
                        self.is_cut_once(calls, seed);
                    }
                });
            }
        });
    }

    /// The calls of work that nothing ends.
    fn calls(&self) -> u64 {
        let place = in_memory();
        (self.before)(place.path());
        let shadow = Shadow::of(place.path(), usize::MAX, true);
        let (_, ended) = (self.done)(place.path());
        ended.unwrap();
        shadow.calls() as u64
    }

    fn is_cut_once(&self, calls: u64, seed: u64) {
        let mut numbers = Numbers(seed);
        let place = in_memory();
        let (root, shown) = (place.path().join("root"), place.path().join("shown"));
        fs::create_dir(&root).unwrap();
        (self.before)(&root);
        // A quarter of the cuts comes when all is done.
        let at = 1 + numbers.below(calls + calls.div_ceil(3)) as usize;
        let shadow = Shadow::of(&root, at, numbers.below(2) == 0);
        let (given, ended) = (self.done)(&root);
        let case = format!("seed {seed}, {}, which ended with {ended:?}", shadow.last_call());
        if let Err(message) = &ended {
            assert!(message.contains("nput/output error"), "{case}");
        }
        shadow.show(&mut |bound| numbers.below(bound), &shown);
        drop(shadow);
        (self.holds)(&shown, &given, ended.is_ok(), &case);
    }
}
