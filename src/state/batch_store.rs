//! The records of batches in the store.

use super::records::{ArenaRecord, BatchRecord, ProgressRecord};
use super::store::{ARENA_KEY, BATCHES, Direction, IteratorMode, META, PROGRESS_KEY, Store, WriteBatch, attempt};
use super::verdict::READING;
use crate::error::Result;
use crate::units::BatchIndex;

const REMOVED_IN_ONE_WRITE: usize = 4096;

impl Store {
    /// Commits a group in one synced write. Its slices must be durable already.
    pub(crate) fn commit_batches(&self, group: &[(BatchIndex, BatchRecord)], progress: &ProgressRecord) -> Result<()> {
        self.commit_computed(group, progress, None)
    }

    /// As [`commit_batches`](Self::commit_batches), with what is known of the run that computed them. Nothing is allocated
    /// here but by RocksDB.
    pub(crate) fn commit_computed(
        &self,
        group: &[(BatchIndex, BatchRecord)],
        progress: &ProgressRecord,
        arena: Option<&ArenaRecord>,
    ) -> Result<()> {
        let mut batch = WriteBatch::default();
        let batches = self.family(BATCHES)?;
        for (index, record) in group {
            batch.put_cf(batches, Self::batch_key(*index), self.encode(record)?);
        }
        batch.put_cf(self.family(META)?, PROGRESS_KEY, self.encode(progress)?);
        if let Some(arena) = arena {
            batch.put_cf(self.family(META)?, ARENA_KEY, self.encode(arena)?);
        }
        self.write_synced(batch)
    }

    /// Every batch record, in the order of the batches.
    pub(crate) fn batches(&self) -> Result<impl Iterator<Item = Result<(BatchIndex, BatchRecord)>>> {
        let entries = self.db.iterator_cf(self.family(BATCHES)?, IteratorMode::Start);
        Ok(entries.map(|entry| {
            let (key, value) = attempt(READING, &self.place, || entry)?;
            let key = <[u8; 8]>::try_from(&key[..]).map_err(|_| self.damaged_record(BATCHES))?;
            let record = self.decode(BATCHES, &value)?;
            Ok((BatchIndex(u64::from_be_bytes(key)), record))
        }))
    }

    /// The batches that have a record, in order, without a look into the records.
    pub(crate) fn recorded_batches(&self) -> Result<impl Iterator<Item = Result<u64>>> {
        let entries = self.db.iterator_cf(self.family(BATCHES)?, IteratorMode::Start);
        Ok(entries.map(|entry| {
            let (key, _) = attempt(READING, &self.place, || entry)?;
            let key = <[u8; 8]>::try_from(&key[..]).map_err(|_| self.damaged_record(BATCHES))?;
            Ok(u64::from_be_bytes(key))
        }))
    }

    /// The record of a batch.
    pub(crate) fn batch(&self, batch: BatchIndex) -> Result<Option<BatchRecord>> {
        let value = self.get(BATCHES, &Self::batch_key(batch))?;
        value.map(|value| self.decode(BATCHES, &value)).transpose()
    }

    /// The keys of all batch records that are not between these two batches, as they are asked for.
    pub(crate) fn batches_outside(
        &self,
        first: BatchIndex,
        last: BatchIndex,
    ) -> Result<impl Iterator<Item = Result<Box<[u8]>>>> {
        let (first, last) = (Self::batch_key(first), Self::batch_key(last));
        let family = self.family(BATCHES)?;
        let keys = |mode| {
            let entries = self.db.iterator_cf(family, mode);
            entries.map(|entry| Ok(attempt(READING, &self.place, || entry)?.0))
        };
        // An error is passed on, whatever its place.
        let is_before = move |key: &Result<Box<[u8]>>| !key.as_ref().is_ok_and(|key| key[..] >= first[..]);
        let is_after = move |key: &Result<Box<[u8]>>| !key.as_ref().is_ok_and(|key| key[..] == last[..]);
        let before = keys(IteratorMode::Start).take_while(is_before);
        let after = keys(IteratorMode::From(&last, Direction::Forward)).filter(is_after);
        Ok(before.chain(after))
    }

    /// The key of a batch's record.
    pub(crate) fn batch_key(batch: BatchIndex) -> [u8; 8] {
        batch.0.to_be_bytes()
    }

    /// Removes batch records by their keys, as these come, in synced writes that take little memory. Gives their number.
    pub(crate) fn remove_batches<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = Result<K>>) -> Result<u64> {
        let family = self.family(BATCHES)?;
        let (mut keys, mut removed) = (keys.into_iter(), 0);
        loop {
            let mut batch = WriteBatch::default();
            for key in keys.by_ref().take(REMOVED_IN_ONE_WRITE) {
                batch.delete_cf(family, key?);
            }
            if batch.is_empty() {
                return Ok(removed);
            }
            removed += batch.len() as u64;
            self.write_synced(batch)?;
        }
    }
}
