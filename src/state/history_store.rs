//! The history of a key in its store: a column family that is made when there is something to remember.

use std::sync::Arc;

use super::StateError;
use super::history::{HistoryChange, KeyHistory};
use super::options::options;
use super::store::{BATCHES, HISTORY, IteratorMode, Store, WriteBatch, attempt};
use super::verdict::READING;
use crate::plan::StoreBuffers;

/// First bytes of the keys: what the record is. A number follows, big-endian, so that samples and runs stand in their
/// order.
const MARKS: u8 = b'm';
const RUN: u8 = b'r';
const SAMPLE: u8 = b's';
/// Numbers behind [`MARKS`].
const REDONE: u64 = 0;
const DAMAGED: u64 = 1;
const KEY_BYTES: usize = 9;
/// No history has as many records.
const RECORDS_MAX: usize = 4096;

fn key(kind: u8, number: u64) -> [u8; KEY_BYTES] {
    let mut key = [kind; KEY_BYTES];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

impl Store {
    /// What is remembered of the key, and under which number each sample stands; none if nothing ever was.
    ///
    /// # Errors
    /// [`StateError::Damaged`] also for a history that another version of this program wrote.
    pub(crate) fn history(&self) -> Result<Option<(KeyHistory, Vec<u64>)>, StateError> {
        if !self.has_history() {
            return Ok(None);
        }
        let (mut history, mut numbers) = (KeyHistory::default(), Vec::new());
        let entries = self.db.iterator_cf(self.family(HISTORY)?, IteratorMode::Start);
        for (count, entry) in entries.enumerate() {
            let (key, value) = attempt(READING, &self.place, || entry)?;
            let Some((&kind, number)) = key.split_first() else {
                return Err(self.damaged_record(HISTORY));
            };
            let number = <[u8; 8]>::try_from(number).map_err(|_| self.damaged_record(HISTORY))?;
            match (kind, u64::from_be_bytes(number)) {
                _ if count == RECORDS_MAX => return Err(self.damaged_record(HISTORY)),
                (SAMPLE, number) => {
                    numbers.push(number);
                    history.samples.push(self.decode(HISTORY, &value)?);
                }
                (RUN, _) => history.runs.push(self.decode(HISTORY, &value)?),
                (MARKS, REDONE) => history.redone = self.decode(HISTORY, &value)?,
                (MARKS, DAMAGED) => history.damaged = self.decode(HISTORY, &value)?,
                _ => return Err(self.damaged_record(HISTORY)),
            }
        }
        Ok(Some((history, numbers)))
    }

    /// Makes the history anew if it cannot be read, tables and all: a tombstone would leave the damaged table where the next
    /// compaction meets it.
    pub(super) fn renew_damaged_history(&mut self, buffers: StoreBuffers) -> Result<(), StateError> {
        match self.history() {
            Ok(_) => {
                let family = self.family(HISTORY)?;
                let compacted = [("disable_auto_compactions", "false")];
                attempt("setting options", &self.place, || {
                    self.db.set_options_cf(family, &compacted)
                })
            }
            Err(StateError::Damaged { path, message }) => {
                // Nobody has it yet but this store.
                let Some(db) = Arc::get_mut(&mut self.db) else {
                    return Err(StateError::Damaged { path, message });
                };
                tracing::warn!(
                    "the history of this key begins anew, because the one that is there is not readable: {message}"
                );
                self.place.check()?;
                attempt("dropping a column family", &self.place, || db.drop_cf(HISTORY))?;
                // Whoever is ended here leaves a store without a history, which is whole.
                attempt("creating a column family", &self.place, || {
                    db.create_cf(HISTORY, &options(buffers))
                })
            }
            Err(error) => Err(error),
        }
    }

    /// The batches that have a record, in order, without a look into the records.
    pub(crate) fn recorded_batches(&self) -> Result<impl Iterator<Item = Result<u64, StateError>>, StateError> {
        let entries = self.db.iterator_cf(self.family(BATCHES)?, IteratorMode::Start);
        Ok(entries.map(|entry| {
            let (key, _) = attempt(READING, &self.place, || entry)?;
            let key = <[u8; 8]>::try_from(&key[..]).map_err(|_| self.damaged_record(BATCHES))?;
            Ok(u64::from_be_bytes(key))
        }))
    }

    /// Writes to the history alone. Nothing waits for it to be on disk: the next commit takes it along.
    pub(crate) fn write_history(&self, changes: &[HistoryChange]) -> Result<(), StateError> {
        let mut batch = WriteBatch::default();
        self.add_history(&mut batch, changes)?;
        self.write_unsynced(batch)
    }

    /// Adds changes of the history to a write.
    pub(super) fn add_history(&self, batch: &mut WriteBatch, changes: &[HistoryChange]) -> Result<(), StateError> {
        if changes.is_empty() {
            return Ok(());
        }
        let family = self.family(HISTORY)?;
        for change in changes {
            let (key, value) = match change {
                HistoryChange::Sample(number, sample) => (key(SAMPLE, *number), Some(self.encode(sample)?)),
                HistoryChange::RemoveSample(number) => (key(SAMPLE, *number), None),
                HistoryChange::Run(run) => (key(RUN, run.number), Some(self.encode(run)?)),
                HistoryChange::RemoveRun(number) => (key(RUN, *number), None),
                HistoryChange::Redone(marks) => (key(MARKS, REDONE), Some(self.encode(marks)?)),
                HistoryChange::Damaged(marks) => (key(MARKS, DAMAGED), Some(self.encode(marks)?)),
            };
            match value {
                Some(value) => batch.put_cf(family, key, value),
                None => batch.delete_cf(family, key),
            }
        }
        Ok(())
    }
}
