//! The ledger of signed epochs in the store: its entries, and the head that counts them.

use super::ledger::{LedgerHead, LedgerRecord};
use super::store::{IteratorMode, LEDGER, META, Store, WriteBatch, attempt};
use super::verdict::READING;
use crate::error::Result;
use crate::units::Epoch;

const LEDGER_KEY: &[u8] = b"ledger";

impl Store {
    /// What the ledger of signed epochs says as a whole; none if the store has no ledger.
    pub(crate) fn ledger_head(&self) -> Result<Option<LedgerHead>> {
        let value = self.get(META, LEDGER_KEY)?;
        value.map(|value| self.decode(META, &value)).transpose()
    }

    /// The ledger's entry of an epoch, if the epoch is spent.
    pub(crate) fn ledger_entry(&self, epoch: Epoch) -> Result<Option<LedgerRecord>> {
        let value = self.get(LEDGER, &epoch.0.to_be_bytes())?;
        value.map(|value| self.decode(LEDGER, &value)).transpose()
    }

    /// Number of entries of the ledger.
    pub(crate) fn ledger_entry_count(&self) -> Result<u64> {
        let mut entries = self.db.iterator_cf(self.family(LEDGER)?, IteratorMode::Start);
        entries.try_fold(0, |count, entry| {
            attempt(READING, &self.place, || entry).map(|_| count + 1)
        })
    }

    /// Every entry of the ledger, in the order of the epochs.
    pub(crate) fn ledger_entries(&self) -> Result<impl Iterator<Item = Result<(Epoch, LedgerRecord)>>> {
        let entries = self.db.iterator_cf(self.family(LEDGER)?, IteratorMode::Start);
        Ok(entries.map(|entry| {
            let (key, value) = attempt(READING, &self.place, || entry)?;
            let key = <[u8; 4]>::try_from(&key[..]).map_err(|_| self.damaged_record(LEDGER))?;
            let record = self.decode(LEDGER, &value)?;
            Ok((Epoch(u32::from_be_bytes(key)), record))
        }))
    }

    /// Commits entries of a ledger whose head follows, in one synced write.
    pub(crate) fn commit_ledger_entries<'a>(
        &self,
        entries: impl IntoIterator<Item = (Epoch, &'a LedgerRecord)>,
    ) -> Result<()> {
        let mut batch = WriteBatch::default();
        self.add_entries(&mut batch, entries)?;
        self.write_synced(batch)
    }

    fn add_entries<'a>(
        &self,
        batch: &mut WriteBatch,
        entries: impl IntoIterator<Item = (Epoch, &'a LedgerRecord)>,
    ) -> Result<()> {
        let ledger = self.family(LEDGER)?;
        for (epoch, record) in entries {
            batch.put_cf(ledger, epoch.0.to_be_bytes(), self.encode(record)?);
        }
        Ok(())
    }

    /// Commits entries of the ledger together with the head that counts them, in one synced write.
    pub(crate) fn commit_ledger<'a>(
        &self,
        entries: impl IntoIterator<Item = (Epoch, &'a LedgerRecord)>,
        head: &LedgerHead,
    ) -> Result<()> {
        let mut batch = WriteBatch::default();
        self.add_entries(&mut batch, entries)?;
        batch.put_cf(self.family(META)?, LEDGER_KEY, self.encode(head)?);
        self.write_synced(batch)
    }

    /// The bytes of the ledger's entry of an epoch.
    #[cfg(test)]
    pub(crate) fn ledger_bytes(&self, epoch: Epoch) -> Result<Option<Vec<u8>>> {
        self.get(LEDGER, &epoch.0.to_be_bytes())
    }
}
