//! The history that programs of format version 2 kept in the store, in a column family of its own: it is read and dropped.

use std::sync::Arc;

use super::store::{IteratorMode, Store, attempt, existing_families};
use super::verdict::READING;
use crate::error::Result;
use crate::files::Entry;
use crate::history::{KeyHistory, Run, RunCommand, RunEnd};

const HISTORY: &str = "history";
/// First bytes of the keys: what the record is. A number follows, big-endian: that of the sample, of the run, or of the marks.
const MARKS: u8 = b'm';
const RUN: u8 = b'r';
const SAMPLE: u8 = b's';
const REDONE: u64 = 0;
const DAMAGED: u64 = 1;
/// No such history has as many records.
const RECORDS_MAX: usize = 4096;

/// The fields of a run, in their order; those of samples and marks are still the same.
type OldRun = (
    u64,
    u64,
    RunCommand,
    u64,
    u64,
    Option<RunEnd>,
    Option<u64>,
    u64,
    u64,
    u64,
    u64,
);

impl Store {
    /// Opens a store that has such a history; none if it has none. Nothing is compacted: a compaction that meets damage ends all
    /// writing to the store.
    #[track_caller]
    pub(crate) fn open_with_history(state: &Entry, binding: &[u8; 32]) -> Result<Option<Self>> {
        let (place, families) = existing_families(state)?;
        if families.iter().any(|name| name == HISTORY) {
            return Self::open_uncompacted(place, &families, binding).map(Some);
        }
        Ok(None)
    }

    /// What the history says.
    pub(crate) fn old_history(&self) -> Result<KeyHistory> {
        let damaged = || self.damaged_record(HISTORY);
        let mut history = KeyHistory::default();
        let entries = self.db.iterator_cf(self.family(HISTORY)?, IteratorMode::Start);
        for (count, entry) in entries.enumerate() {
            let (key, value) = attempt(READING, &self.place, || entry)?;
            let (&kind, number) = key.split_first().filter(|_| count < RECORDS_MAX).ok_or_else(damaged)?;
            let number = <[u8; 8]>::try_from(number).map_err(|_| damaged())?;
            match (kind, u64::from_be_bytes(number)) {
                (SAMPLE, _) => history.samples.push(self.decode(HISTORY, &value)?),
                (RUN, _) => history.runs.push(run(self.decode(HISTORY, &value)?)),
                (MARKS, REDONE) => history.redone = self.decode(HISTORY, &value)?,
                (MARKS, DAMAGED) => history.damaged = self.decode(HISTORY, &value)?,
                _ => return Err(damaged()),
            }
        }
        Ok(history)
    }

    /// Drops the history, if there is one.
    pub(crate) fn drop_history(&mut self) -> Result<()> {
        // No one but the opener has the store yet.
        match Arc::get_mut(&mut self.db) {
            Some(db) if db.cf_handle(HISTORY).is_some() => {
                self.place.check()?;
                attempt("dropping a column family", &self.place, || db.drop_cf(HISTORY))
            }
            _ => Ok(()),
        }
    }
}

fn run(fields: OldRun) -> Run {
    let (number, runs, command, started_unix_ms, seen_unix_ms, end, begun, epochs, peak_bytes, _, written_bytes) =
        fields;
    Run {
        number,
        runs,
        command,
        started_unix_ms,
        seen_unix_ms,
        end,
        begun,
        epochs,
        peak_bytes,
        written_bytes,
    }
}
