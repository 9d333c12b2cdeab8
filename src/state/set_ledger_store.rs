//! The ledger of a set in a store of its own: entries under key and epoch, a record of each key, and the head over all.

use std::collections::BTreeMap;

use super::ledger::LedgerRecord;
use super::set_ledger::{SetHead, SetKeyRecord};
use super::store::{
    AGGREGATED_TABLE_PROPERTIES, Direction, IteratorMode, LEDGER, META, NUM_ENTRIES_ACTIVE_MEM_TABLE,
    NUM_ENTRIES_IMM_MEM_TABLES, Store, WriteBatch, attempt,
};
use super::verdict::READING;
use crate::error::Result;
use crate::files::Entry;
use crate::units::{Epoch, KeyId};

const KEYS: &str = "keys";
const SET_KEY: &[u8] = b"set";
const KEY_ID_BYTES: usize = 16;

/// An entry of the ledger of a set.
pub(crate) type SetEntry<'a> = (KeyId, Epoch, &'a LedgerRecord);

fn entry_key(key: KeyId, epoch: Epoch) -> [u8; KEY_ID_BYTES + 4] {
    let mut bytes = [0; KEY_ID_BYTES + 4];
    bytes[..KEY_ID_BYTES].copy_from_slice(&key.0);
    bytes[KEY_ID_BYTES..].copy_from_slice(&epoch.0.to_be_bytes());
    bytes
}

fn parse_entry_key(bytes: &[u8]) -> Option<(KeyId, Epoch)> {
    let (key, epoch) = bytes.split_first_chunk::<KEY_ID_BYTES>()?;
    let epoch = <[u8; 4]>::try_from(epoch).ok()?;
    Some((KeyId(*key), Epoch(u32::from_be_bytes(epoch))))
}

/// The number of entries in RocksDB's text about tables: `# data blocks=2; # entries=7; # deletions=0; ...`.
fn entries_of_tables(text: &str) -> Option<u64> {
    let mut fields = text.split(';').map(str::trim);
    fields.find_map(|field| field.strip_prefix("# entries="))?.parse().ok()
}

impl Store {
    /// Creates an empty store for the ledger of a set. What was there before is removed.
    #[track_caller]
    pub(crate) fn create_for_set(state: &Entry, binding: &[u8; 32]) -> Result<()> {
        Self::create(state, &[META, KEYS, LEDGER], binding)
    }

    /// What the ledger of a set says as a whole; none if nothing was ever written to it.
    pub(crate) fn set_head(&self) -> Result<Option<SetHead>> {
        let value = self.get(META, SET_KEY)?;
        value.map(|value| self.decode(META, &value)).transpose()
    }

    /// What it says of one key.
    pub(crate) fn set_key(&self, key: KeyId) -> Result<Option<SetKeyRecord>> {
        let value = self.get(KEYS, &key.0)?;
        value.map(|value| self.decode(KEYS, &value)).transpose()
    }

    /// What it says of each key.
    pub(crate) fn set_keys(&self) -> Result<BTreeMap<KeyId, SetKeyRecord>> {
        let mut records = BTreeMap::new();
        for record in self.db.iterator_cf(self.family(KEYS)?, IteratorMode::Start) {
            let (key, value) = attempt(READING, &self.place, || record)?;
            let key = <[u8; KEY_ID_BYTES]>::try_from(&key[..]).map_err(|_| self.damaged_record(KEYS))?;
            records.insert(KeyId(key), self.decode(KEYS, &value)?);
        }
        Ok(records)
    }

    /// The entry of an epoch of a key, if the epoch is spent.
    pub(crate) fn set_entry(&self, key: KeyId, epoch: Epoch) -> Result<Option<LedgerRecord>> {
        let value = self.get(LEDGER, &entry_key(key, epoch))?;
        value.map(|value| self.decode(LEDGER, &value)).transpose()
    }

    /// Every entry of a key, in the order of the epochs.
    pub(crate) fn set_entries(&self, key: KeyId) -> Result<impl Iterator<Item = Result<(Epoch, LedgerRecord)>>> {
        let first = entry_key(key, Epoch(0));
        let from = IteratorMode::From(&first, Direction::Forward);
        let entries = self.db.iterator_cf(self.family(LEDGER)?, from);
        let entries = entries.map(move |entry| {
            let (place, value) = attempt(READING, &self.place, || entry)?;
            let (found, epoch) = parse_entry_key(&place).ok_or_else(|| self.damaged_record(LEDGER))?;
            if found != key {
                return Ok(None);
            }
            Ok(Some((epoch, self.decode(LEDGER, &value)?)))
        });
        Ok(entries.map_while(Result::transpose))
    }

    /// How many entries each key has.
    pub(crate) fn count_set_entries(&self) -> Result<BTreeMap<KeyId, u64>> {
        let mut counts = BTreeMap::new();
        for entry in self.db.iterator_cf(self.family(LEDGER)?, IteratorMode::Start) {
            let (place, _) = attempt(READING, &self.place, || entry)?;
            let (key, _) = parse_entry_key(&place).ok_or_else(|| self.damaged_record(LEDGER))?;
            *counts.entry(key).or_default() += 1;
        }
        Ok(counts)
    }

    /// How many entries all keys have together, as RocksDB counts them in the properties of its tables and in its buffers: it
    /// reads none of them. An entry is written once and never removed, so this is their number. None if RocksDB does not say.
    pub(crate) fn set_entries_by_tables(&self) -> Result<Option<u64>> {
        let ledger = self.family(LEDGER)?;
        let number = |name| attempt(READING, &self.place, || self.db.property_int_value_cf(ledger, name));
        let buffers = [NUM_ENTRIES_ACTIVE_MEM_TABLE, NUM_ENTRIES_IMM_MEM_TABLES];
        let of_tables = || self.db.property_value_cf(ledger, AGGREGATED_TABLE_PROPERTIES);
        let of_tables = attempt(READING, &self.place, of_tables)?;
        let mut count = of_tables.as_deref().and_then(entries_of_tables);
        for buffer in buffers {
            count = count.zip(number(buffer)?).map(|(count, more)| count + more);
        }
        Ok(count)
    }

    /// Commits entries of any number of keys, the records that count them, and the head over all, in one synced write.
    pub(crate) fn commit_set<'a>(
        &self,
        entries: impl IntoIterator<Item = SetEntry<'a>>,
        records: &BTreeMap<KeyId, SetKeyRecord>,
        head: &SetHead,
    ) -> Result<()> {
        let mut batch = WriteBatch::default();
        let (ledger, keys) = (self.family(LEDGER)?, self.family(KEYS)?);
        for (key, epoch, record) in entries {
            batch.put_cf(ledger, entry_key(key, epoch), self.encode(record)?);
        }
        for (key, record) in records {
            batch.put_cf(keys, key.0, self.encode(record)?);
        }
        batch.put_cf(self.family(META)?, SET_KEY, self.encode(head)?);
        self.write_synced(batch)
    }
}
