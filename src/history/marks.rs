//! Sets of batches to which something has happened, in bounded room.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::units::BatchIndex;

/// Ranges of batches that are remembered apart. Beyond twice as many, those closest to each other become one.
const RANGES_MAX: usize = 1024;

/// Neighbouring batches to which the same has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MarkedRange {
    /// The first one.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// How many of them are meant: fewer than there are if ranges had to be told together.
    pub marked: u64,
}

impl MarkedRange {
    /// Whether only some of its batches are meant; it is not known which.
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
#[serde(transparent)]
pub struct Marks {
    /// In order, with a gap between each and the next.
    #[serde(deserialize_with = "sound_ranges")]
    ranges: Vec<MarkedRange>,
}

impl Marks {
    /// The set of these ranges, unless they are such as no set has.
    fn checked(ranges: Vec<MarkedRange>) -> Option<Self> {
        let is_ordered = ranges.is_sorted_by(MarkedRange::is_before_with_gap);
        let is_sound = is_ordered && ranges.iter().all(MarkedRange::is_sound) && ranges.len() <= 2 * RANGES_MAX;
        is_sound.then_some(Self { ranges })
    }

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
    let ranges = Vec::deserialize(deserializer)?;
    Marks::checked(ranges)
        .map(|marks| marks.ranges)
        .ok_or_else(|| Error::custom("ranges that overlap, or too many"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand_chacha::ChaCha12Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    use super::*;

    fn sound(marks: &Marks) -> bool {
        let text = serde_json::to_string(marks).unwrap();
        serde_json::from_str::<Marks>(&text).is_ok_and(|again| again == *marks)
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
    fn marks_that_overlap_touch_or_are_empty_are_damage() {
        for ranges in [
            &[[5, 4, 1]][..],
            &[[4, 5, 0]],
            &[[4, 5, 3]],
            &[[1, 2, 1], [2, 3, 1]],
            &[[1, 2, 1], [3, 4, 1]],
            &[[7, 7, 1], [1, 1, 1]],
        ] {
            let range = |[first, last, marked]: &[u64; 3]| MarkedRange {
                first: *first,
                last: *last,
                marked: *marked,
            };
            let ranges: Vec<_> = ranges.iter().map(range).collect();
            let text = serde_json::to_string(&ranges).unwrap();
            assert!(serde_json::from_str::<Marks>(&text).is_err(), "{text}");
        }
        let many = (0..=2 * RANGES_MAX as u64).map(|at| 2 * at);
        let range = |batch| MarkedRange {
            first: batch,
            last: batch,
            marked: 1,
        };
        assert!(Marks::checked(many.map(range).collect()).is_none());
    }
}
