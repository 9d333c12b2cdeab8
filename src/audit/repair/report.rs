//! What a repair did.

use std::path::PathBuf;

use crate::units::{BatchIndex, Level};

/// Everything that a repair did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairReport {
    /// The checkpoint store, if it had to be replaced.
    pub store_replaced: Option<StoreReplaced>,
    /// Layer files that were missing, or had another length or header.
    pub files_restored: Vec<RestoredFile>,
    /// Batches that were computed again from the secret.
    pub batches_recomputed: BatchSet,
    /// Parts that the key has adopted of which something was written again that is not a node of a batch.
    pub parts_rewritten: Vec<PathBuf>,
    /// Levels of which nodes above the batches were written again.
    pub crown_rewritten: Vec<RewrittenLevel>,
    /// Sound batches that had no usable record and were given one.
    pub batch_records_renewed: u64,
    /// Levels above the batches whose record was missing or wrong.
    pub crown_records_renewed: Vec<Level>,
    /// Records that were removed since the key has no such batch.
    pub records_removed: u64,
    /// Batches of an unfinished key that have no record: keygen computes them.
    pub batches_left: u64,
}

/// A checkpoint store that was rebuilt.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreReplaced {
    /// What was wrong with the old one.
    pub what: String,
    /// Where the old one is now, unless it was missing.
    pub moved_to: Option<PathBuf>,
    /// Whether all of its ledger could be read, and is that of the new one.
    pub ledger_kept: bool,
}

/// A layer file that was given its length and header again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoredFile {
    /// The file.
    pub file: PathBuf,
    /// Its level; none of a part that the key has adopted.
    pub level: Option<Level>,
    /// What was wrong.
    pub what: String,
    /// Where that is now which stood in its place, or in that of the directory, and was not a file.
    pub moved_to: Option<PathBuf>,
}

/// A level above the batches that was wrong in part.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RewrittenLevel {
    /// The file.
    pub file: PathBuf,
    /// The level.
    pub level: Level,
    /// How many of its nodes were wrong.
    pub nodes: u64,
}

impl RepairReport {
    /// Whether there was anything to repair.
    pub fn did_something(&self) -> bool {
        let Self {
            store_replaced,
            files_restored,
            batches_recomputed,
            parts_rewritten,
            crown_rewritten,
            batch_records_renewed,
            crown_records_renewed,
            records_removed,
            batches_left: _,
        } = self;
        store_replaced.is_some()
            || !files_restored.is_empty()
            || !batches_recomputed.is_empty()
            || !parts_rewritten.is_empty()
            || !crown_rewritten.is_empty()
            || batch_records_renewed + records_removed > 0
            || !crown_records_renewed.is_empty()
    }
}

/// Some of the batches of a key: a bit for each from the first one to the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchSet {
    /// The batches of the first word begin with 64 times this.
    first_word: u64,
    words: Vec<u64>,
}

impl BatchSet {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The batches, in order.
    pub fn iter(&self) -> impl Iterator<Item = BatchIndex> + Clone {
        let words = (self.first_word..).zip(&self.words);
        words.flat_map(|(at, word)| {
            (0..64)
                .filter(move |bit| word >> bit & 1 == 1)
                .map(move |bit| BatchIndex(64 * at + bit))
        })
    }

    fn insert(&mut self, BatchIndex(batch): BatchIndex) {
        let at = batch / 64;
        if self.words.is_empty() {
            self.first_word = at;
        }
        if let before @ 1.. = self.first_word.saturating_sub(at) {
            self.words.splice(0..0, (0..before).map(|_| 0));
            self.first_word = at;
        }
        let place = (at - self.first_word) as usize;
        if place >= self.words.len() {
            self.words.resize(place + 1, 0);
        }
        self.words[place] |= 1 << (batch % 64);
    }
}

impl Extend<BatchIndex> for BatchSet {
    fn extend<I: IntoIterator<Item = BatchIndex>>(&mut self, batches: I) {
        batches.into_iter().for_each(|batch| self.insert(batch));
    }
}

impl FromIterator<BatchIndex> for BatchSet {
    fn from_iter<I: IntoIterator<Item = BatchIndex>>(batches: I) -> Self {
        let mut set = Self::default();
        set.extend(batches);
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_batches_is_the_same_in_whatever_order_they_came_and_has_a_bit_for_each() {
        let batches: Vec<_> = [1_000_000, 5, 70, 64, 63, 5].map(BatchIndex).into();
        let set: BatchSet = batches.iter().copied().collect();
        let expected = [5, 63, 64, 70, 1_000_000].map(BatchIndex);
        assert_eq!(set.iter().collect::<Vec<_>>(), expected);
        assert_eq!(expected.into_iter().collect::<BatchSet>(), set);
        assert!(set.words.len() <= 1_000_000 / 64 + 1);
        assert!(BatchSet::default().is_empty() && !set.is_empty());
    }
}
