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
    /// Most anonymous memory that the run was to take, in bytes.
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
    /// Nothing that was remembered before counts.
    Forget,
    Sample(u64, Sample),
    RemoveSample(u64),
    Run(Run),
    RemoveRun(u64),
    Redone(Marks),
    Damaged(Marks),
}
