//! What a key remembers of how it was made: samples of its runs, the runs themselves, and which batches were computed more
//! than once. For people alone: nothing is recovered from it, and a key without it is whole.

use serde::{Deserialize, Deserializer, Serialize};

use super::records::list;
use crate::units::BatchIndex;

/// Ranges of batches that are remembered apart. Beyond twice as many, those closest to each other become one.
const RANGES_MAX: usize = 1024;

/// A job at one of its commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Number of its run.
    pub run: u64,
    /// When it was taken, in milliseconds since 1970.
    pub unix_ms: u64,
    /// Epochs that the run had committed.
    pub run_epochs: u64,
    /// Batches that all runs together had committed.
    pub batches_done: u64,
    /// Resident anonymous memory of the process, in bytes.
    pub anonymous_bytes: u64,
    /// Resident pages of files, in bytes.
    pub file_bytes: u64,
    /// Most anonymous memory that was planned for the run, in bytes.
    pub planned_bytes: u64,
    /// Memory that the run might hold before it had to end, in bytes; 0 if there was no such budget.
    pub budget_bytes: u64,
    /// Batches that could be in flight.
    pub in_flight_batches: u64,
    /// Bytes that all runs together had given to the checkpoint store.
    pub written_bytes: u64,
}

/// What was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunCommand {
    /// The job that makes the key.
    Keygen,
    /// A repair.
    Repair,
}

/// How a run ended that had the time to say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunEnd {
    /// It did all that there was to do.
    Finished,
    /// It was asked to stop.
    Interrupted,
    /// It reached its memory budget.
    OutOfBudget,
    /// It met an error.
    Failed,
}

/// One run on a key, or the oldest ones together when there were very many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Number of the run, or of the first of those that are told together; the first of all is 0.
    pub number: u64,
    /// How many runs are told together.
    pub runs: u64,
    /// What was run.
    pub command: RunCommand,
    /// When it began, in milliseconds since 1970.
    pub started_unix_ms: u64,
    /// When it was last heard of, in milliseconds since 1970.
    pub seen_unix_ms: u64,
    /// How it ended; none if it is running or was killed.
    pub end: Option<RunEnd>,
    /// The highest batch that workers had begun at its last commit.
    pub begun: Option<u64>,
    /// Epochs that it committed.
    pub epochs: u64,
    /// Most resident memory of its process, in bytes.
    pub peak_bytes: u64,
    /// Least time between two samples that were kept, in milliseconds. It doubles whenever there are too many.
    pub interval_ms: u64,
    /// Bytes that all runs together had given to the checkpoint store.
    pub written_bytes: u64,
}

impl Run {
    /// This run, and the next one, told as one.
    pub(crate) fn followed_by(&self, next: &Self) -> Self {
        Self {
            number: self.number,
            runs: self.runs.saturating_add(next.runs),
            started_unix_ms: self.started_unix_ms,
            epochs: self.epochs.saturating_add(next.epochs),
            peak_bytes: self.peak_bytes.max(next.peak_bytes),
            ..next.clone()
        }
    }
}

/// Neighbouring batches to which the same has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkedRange {
    /// The first one.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// How many of them are meant: fewer than there are if ranges had to be told together.
    pub marked: u64,
}

impl MarkedRange {
    /// Whether only some of its batches are meant, nobody knows which.
    pub fn is_approximate(&self) -> bool {
        self.marked <= self.last - self.first
    }

    fn is_sound(&self) -> bool {
        self.first <= self.last
            && self.last - self.first < u64::MAX
            && (1..=self.last - self.first + 1).contains(&self.marked)
    }

    fn is_before_with_gap(&self, next: &Self) -> bool {
        self.last < next.first && next.first - self.last > 1
    }
}

/// A set of batches, as few ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// In order, with a gap between each and the next.
    #[serde(deserialize_with = "sound_ranges")]
    ranges: Vec<MarkedRange>,
}

impl Marks {
    /// The ranges, in order.
    pub fn ranges(&self) -> &[MarkedRange] {
        &self.ranges
    }

    /// Whether a batch is among them, or in a range that is approximate.
    pub fn contains(&self, batch: BatchIndex) -> bool {
        let next = self.ranges.partition_point(|range| range.last < batch.0);
        self.ranges.get(next).is_some_and(|range| range.first <= batch.0)
    }

    /// Adds a batch. Says whether that changed anything.
    pub fn insert(&mut self, batch: BatchIndex) -> bool {
        let batch = batch.0;
        let next = self.ranges.partition_point(|range| range.last < batch);
        match self.ranges.get_mut(next) {
            Some(range) if range.first <= batch && !range.is_approximate() => return false,
            Some(range) if range.first <= batch => range.marked += 1,
            _ => {
                let range = MarkedRange {
                    first: batch,
                    last: batch,
                    marked: 1,
                };
                self.ranges.insert(next, range);
                self.join_neighbours(next);
            }
        }
        if self.ranges.len() > 2 * RANGES_MAX {
            self.join_nearest();
        }
        true
    }

    /// Joins a range with those that it touches.
    fn join_neighbours(&mut self, at: usize) {
        for left in [at, at.wrapping_sub(1)] {
            if let Some([before, after]) = self.ranges.get(left..).and_then(|ranges| ranges.first_chunk())
                && before.last.checked_add(1) == Some(after.first)
            {
                self.join(left);
            }
        }
    }

    /// Makes one range of one and the next.
    fn join(&mut self, left: usize) {
        let after = self.ranges.remove(left + 1);
        let before = &mut self.ranges[left];
        before.last = after.last;
        before.marked += after.marked;
    }

    /// Joins the ranges with the smallest gaps between them until few enough are left.
    fn join_nearest(&mut self) {
        let gap = |pair: &[MarkedRange]| pair[1].first - pair[0].last;
        let mut gaps: Vec<(u64, usize)> = self.ranges.windows(2).map(gap).zip(0..).collect();
        gaps.sort_unstable();
        let mut joined: Vec<usize> = gaps
            .into_iter()
            .map(|(_, left)| left)
            .take(self.ranges.len() - RANGES_MAX)
            .collect();
        joined.sort_unstable();
        joined.into_iter().rev().for_each(|left| self.join(left));
    }
}

fn sound_ranges<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<MarkedRange>, D::Error> {
    let ranges: Vec<MarkedRange> = list(deserializer)?;
    let is_ordered = ranges.is_sorted_by(MarkedRange::is_before_with_gap);
    match is_ordered && ranges.iter().all(MarkedRange::is_sound) {
        true => Ok(ranges),
        false => Err(serde::de::Error::custom("ranges that overlap")),
    }
}

/// Everything that is remembered of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyHistory {
    /// In the order in which they were taken.
    pub samples: Vec<Sample>,
    /// From the first to the last.
    pub runs: Vec<Run>,
    /// Batches that were in flight when a run ended without order, and were begun again.
    pub redone: Marks,
    /// Batches that did not match their checksums or the tree when somebody looked, whether or not they were made anew.
    pub damaged: Marks,
}

/// A change of what is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HistoryChange {
    Sample(u64, Sample),
    RemoveSample(u64),
    Run(Run),
    RemoveRun(u64),
    Redone(Marks),
    Damaged(Marks),
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand_chacha::ChaCha12Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    use super::super::records::{decode, encode};
    use super::*;

    fn sound(marks: &Marks) -> bool {
        let bytes = encode(marks).unwrap();
        decode::<Marks>(bytes.as_ref()).is_ok_and(|again| again == *marks)
    }

    #[test]
    fn few_marks_are_exactly_the_batches_that_were_marked() {
        for seed in 0..200 {
            let mut random = ChaCha12Rng::seed_from_u64(seed);
            let (mut marks, mut expected) = (Marks::default(), BTreeSet::new());
            for _ in 0..60 {
                let batch = random.next_u64() % 100;
                assert_eq!(marks.insert(BatchIndex(batch)), expected.insert(batch), "seed {seed}");
            }
            assert!(
                (0..101).all(|b| marks.contains(BatchIndex(b)) == expected.contains(&b)),
                "seed {seed}: {marks:?}"
            );
            assert!(
                !marks.ranges().iter().any(MarkedRange::is_approximate),
                "seed {seed}: {marks:?}"
            );
            assert!(sound(&marks), "seed {seed}: {marks:?}");
        }
    }

    #[test]
    fn very_many_marks_take_bounded_room_and_lose_no_batch() {
        for seed in 0..4 {
            let mut random = ChaCha12Rng::seed_from_u64(seed);
            let (mut marks, mut expected) = (Marks::default(), BTreeSet::new());
            for _ in 0..20_000 {
                let batch = random.next_u64() % (1 << 22);
                marks.insert(BatchIndex(batch));
                expected.insert(batch);
                assert!(marks.ranges().len() <= 2 * RANGES_MAX, "seed {seed}");
            }
            assert!(
                expected.iter().all(|batch| marks.contains(BatchIndex(*batch))),
                "seed {seed}"
            );
            assert!(sound(&marks), "seed {seed}");
            let told: u64 = marks.ranges().iter().map(|range| range.marked).sum();
            // One that is marked again in an approximate range is counted again.
            assert!((expected.len() as u64..=20_000).contains(&told), "seed {seed}: {told}");
        }
    }

    #[test]
    fn records_are_the_bytes_that_the_format_says() {
        let run = Run {
            number: 3,
            runs: 1,
            command: RunCommand::Repair,
            started_unix_ms: 300,
            seen_unix_ms: 301,
            end: Some(RunEnd::OutOfBudget),
            begun: None,
            epochs: 5,
            peak_bytes: 6,
            interval_ms: 250,
            written_bytes: 7,
        };
        let expected = [1, 3, 1, 1, 251, 44, 1, 251, 45, 1, 1, 2, 0, 5, 6, 250, 7];
        assert_eq!(encode(&run).unwrap().as_ref(), expected);
        assert_eq!(decode::<Run>(&expected).unwrap(), run);
        let sample = Sample {
            run: 1,
            unix_ms: 2,
            run_epochs: 3,
            batches_done: 4,
            anonymous_bytes: 5,
            file_bytes: 6,
            planned_bytes: 7,
            budget_bytes: 8,
            in_flight_batches: 9,
            written_bytes: 10,
        };
        assert_eq!(encode(&sample).unwrap().as_ref(), [1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        let mut marks = Marks::default();
        [7, 8, 3]
            .into_iter()
            .for_each(|batch| assert!(marks.insert(BatchIndex(batch))));
        assert_eq!(encode(&marks).unwrap().as_ref(), [1, 2, 3, 3, 1, 7, 8, 2]);
    }

    #[test]
    fn marks_that_overlap_touch_or_are_empty_are_damage() {
        for ranges in [
            &[5, 4, 1][..],
            &[4, 5, 0],
            &[4, 5, 3],
            &[1, 2, 1, 2, 3, 1],
            &[1, 2, 1, 3, 4, 1],
            &[7, 7, 1, 1, 1, 1],
        ] {
            let bytes = [&[1, (ranges.len() / 3) as u8][..], ranges].concat();
            assert!(decode::<Marks>(bytes.as_ref()).is_err(), "{ranges:?}");
        }
    }
}
