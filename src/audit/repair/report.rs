//! What a repair did.

use std::ops::Range;
use std::path::PathBuf;

use crate::units::{BatchIndex, Level};

/// Everything that a repair did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairReport {
    /// The checkpoint store, if it had to be replaced.
    pub store_replaced: Option<StoreReplaced>,
    /// Layer files that were missing, or had another length or header.
    pub files_restored: Vec<RestoredFile>,
    /// Runs of batches that were computed again from the secret, in order and without touching each other.
    pub batches_recomputed: Vec<Range<u64>>,
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

/// A checkpoint store that was made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreReplaced {
    /// What was wrong with the old one.
    pub what: String,
    /// Where the old one is now, unless it was missing.
    pub moved_to: Option<PathBuf>,
}

/// A layer file that was given its length and header again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoredFile {
    /// The file.
    pub file: PathBuf,
    /// Its level.
    pub level: Level,
    /// What was wrong.
    pub what: String,
    /// Where that is which stood in its place and was no file, or in the place of the directory.
    pub moved_to: Option<PathBuf>,
}

/// A level above the batches that was wrong in part.
#[derive(Clone, Debug, PartialEq, Eq)]
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
            crown_rewritten,
            batch_records_renewed,
            crown_records_renewed,
            records_removed,
            batches_left: _,
        } = self;
        store_replaced.is_some()
            || !files_restored.is_empty()
            || !batches_recomputed.is_empty()
            || !crown_rewritten.is_empty()
            || batch_records_renewed + records_removed > 0
            || !crown_records_renewed.is_empty()
    }

    /// Adds batches, which are in order, to those that were computed again.
    pub(super) fn add_recomputed(&mut self, batches: impl Iterator<Item = BatchIndex>) {
        let before = std::mem::take(&mut self.batches_recomputed);
        let mut before = before.into_iter().peekable();
        for batch in batches {
            while let Some(run) = before.next_if(|run| run.start <= batch.0) {
                self.add_run(run);
            }
            self.add_run(batch.0..batch.0 + 1);
        }
        before.for_each(|run| self.add_run(run));
    }

    /// Adds a run that begins no earlier than the last one.
    fn add_run(&mut self, run: Range<u64>) {
        match self.batches_recomputed.last_mut() {
            Some(last) if run.start <= last.end => last.end = last.end.max(run.end),
            _ => self.batches_recomputed.push(run),
        }
    }
}
