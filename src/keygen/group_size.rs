//! How many batches are committed as one: enough that a commit is a small part of the time in which they are computed.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A commit is hidden behind the computing of the next group. What it takes of the processor (a dozen calls, one synced
/// write) is not, and stays small in a group that takes so many times as long.
const COMMITS: u32 = 20;
/// How many times longer than that a group has to take before it becomes smaller, so that it does not swing.
const SLACK: u32 = 4;
/// A kill costs at most two groups, and a signal waits for their commits. No group grows beyond this time, and one that takes
/// longer becomes smaller: on a disk that is slow by the byte, a larger group has a longer commit.
const GROUP_TIME_MAX: Duration = Duration::from_secs(1);

/// The size of the groups of a job, which follows the time that they take.
#[derive(Clone, Debug)]
pub(super) struct GroupSize {
    batches: usize,
    bounds: RangeInclusive<usize>,
}

impl GroupSize {
    /// As few batches as these bounds allow.
    pub(super) fn new(bounds: RangeInclusive<usize>) -> Self {
        let batches = *bounds.start();
        Self { batches, bounds }
    }

    /// Batches of a group now.
    pub(super) fn batches(&self) -> usize {
        self.batches
    }

    /// Batches of the largest group.
    pub(super) fn most(&self) -> usize {
        *self.bounds.end()
    }

    /// Learns from a group of so many batches, how long its commit took, and how long it was since the commit before.
    /// Groups that were smaller for another reason (little memory, the end of a stream) say nothing.
    pub(super) fn learn(&mut self, batches: usize, commit: Duration, period: Duration) {
        if batches < self.batches {
            return;
        }
        if period > GROUP_TIME_MAX || SLACK * COMMITS * commit < period {
            self.batches /= 2;
        } else if COMMITS * commit > period && 2 * period <= GROUP_TIME_MAX {
            self.batches *= 2;
        }
        self.batches = self.batches.clamp(*self.bounds.start(), *self.bounds.end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// The sizes of the first groups, where a batch takes so long, and a commit always as long.
    fn sizes(bounds: RangeInclusive<usize>, batch_us: u64, commit_ms: u64) -> Vec<usize> {
        let mut size = GroupSize::new(bounds);
        let step = |_| {
            let batches = size.batches();
            let period = Duration::from_micros(batch_us) * batches as u32;
            // While it is computed, the group before is committed.
            size.learn(batches, ms(commit_ms), period.max(ms(commit_ms)));
            size.batches()
        };
        (0..8).map(step).collect()
    }

    #[test]
    fn a_group_grows_until_it_takes_twenty_times_its_commit_or_a_second() {
        // Poseidon on a quick disk: groups stay as they are.
        assert_eq!(sizes(8..=32, 46_000, 10), [8; 8]);
        // A family that takes two milliseconds a batch.
        assert_eq!(sizes(8..=256, 2_000, 10), [16, 32, 64, 128, 128, 128, 128, 128]);
        assert_eq!(sizes(8..=64, 2_000, 10)[3..], [64; 5]);
        // A slow disk.
        assert_eq!(sizes(8..=32, 46_000, 300)[1..], [16; 7]);
        assert_eq!(sizes(8..=4096, 46_000, 300)[1..], [16; 7]);
    }

    #[test]
    fn no_group_takes_longer_than_a_second_for_long_where_fewer_batches_take_less() {
        // A disk that takes so long for each batch, as one that is slow by the byte.
        for batch_ms in [20, 60, 120, 500] {
            let mut size = GroupSize::new(8..=4096);
            for _ in 0..20 {
                let commit = ms(batch_ms) * size.batches() as u32;
                size.learn(size.batches(), commit, commit);
            }
            let group = ms(batch_ms) * size.batches() as u32;
            assert!(group <= GROUP_TIME_MAX || size.batches() == 8, "{batch_ms}: {group:?}");
        }
        // A quick disk that becomes slow.
        let mut size = GroupSize::new(8..=64);
        (0..9).for_each(|_| size.learn(64, ms(20), ms(100)));
        assert_eq!(size.batches(), 64);
        (0..9).for_each(|_| size.learn(64, ms(3000), ms(3000)));
        assert_eq!(size.batches(), 8);
    }

    #[test]
    fn a_group_becomes_smaller_when_commits_become_quick_and_never_leaves_its_bounds() {
        let mut size = GroupSize::new(8..=64);
        (0..9).for_each(|_| size.learn(64, ms(100), ms(100)));
        assert_eq!(size.batches(), 64);
        size.learn(64, ms(3), ms(200));
        assert_eq!(size.batches(), 64);
        (0..9).for_each(|_| size.learn(64, ms(1), ms(200)));
        assert_eq!(size.batches(), 8);
        let mut fixed = GroupSize::new(3..=3);
        fixed.learn(3, ms(100), ms(100));
        assert_eq!((fixed.batches(), fixed.most()), (3, 3));
    }

    #[test]
    fn a_group_that_was_smaller_for_another_reason_says_nothing() {
        let mut size = GroupSize::new(8..=64);
        size.learn(7, ms(100), ms(100));
        assert_eq!(size.batches(), 8);
    }
}
