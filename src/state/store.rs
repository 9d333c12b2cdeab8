//! RocksDB: column families, reads and the synced write.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) use rocksdb::properties::{
    AGGREGATED_TABLE_PROPERTIES, NUM_ENTRIES_ACTIVE_MEM_TABLE, NUM_ENTRIES_IMM_MEM_TABLES,
};
use rocksdb::{ColumnFamily, DB, Options, WriteOptions};
pub(super) use rocksdb::{Direction, IteratorMode, WaitForCompactOptions, WriteBatch};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{damaged, other_key};
use super::options::{descriptors, options};
use super::place::Place;
use super::preflight::{look_at_files, look_at_machine, note_opened};
use super::records::{self, ArenaRecord, CrownRecord, Encoded, ProgressRecord};
use super::verdict::{CREATION, OPENING, READING, REMOVAL, verdict};
use crate::error::{Error, Reason, Result};
use crate::files::Entry;
use crate::plan::StoreBuffers;
use crate::resources::{Registration, ResourceKind, register};
use crate::time::pause;
use crate::units::Level;

pub(super) const META: &str = "meta";
pub(super) const BATCHES: &str = "batches";
const CROWN: &str = "crown";
pub(super) const LEDGER: &str = "ledger";
const BINDING_KEY: &[u8] = b"binding";
pub(super) const PROGRESS_KEY: &[u8] = b"progress";
pub(super) const ARENA_KEY: &[u8] = b"arena";

/// A reader beside a writer can lose a file to a compaction between listing it and reading it.
const READ_ATTEMPTS: u64 = 5;
const READ_ATTEMPT_INTERVAL_MS: u64 = 10;

/// The open store.
pub(crate) struct Store {
    pub(super) db: Arc<DB>,
    pub(super) path: PathBuf,
    pub(super) place: Place,
    written_bytes: AtomicU64,
    registrations: Arc<[Registration; 2]>,
}

impl Store {
    /// Creates an empty store with these column families, bound to a key. What was there before is removed.
    #[track_caller]
    pub(crate) fn create(state: &Entry, column_families: &[&str], binding: &[u8; 32]) -> Result<()> {
        let path = state.path();
        look_at_machine(path)?;
        let mut options = options(StoreBuffers::FULL);
        // First: RocksDB would remove its files behind a link as well.
        state.make_directory()?;
        let found = Place::new(state.open_directory()?);
        found.check()?;
        attempt(REMOVAL, &found, || DB::destroy(&options, found.path()))?;
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        // By its name, the directory was removed as well.
        state.make_directory()?;
        let place = Place::new(state.open_directory()?);
        place.check()?;
        let families = descriptors(column_families, &options);
        let open = || DB::open_cf_descriptors(&options, place.path(), families);
        let db = attempt(CREATION, &place, open)?;
        let store = Self::of(db, place, StoreBuffers::FULL);
        let mut batch = WriteBatch::default();
        batch.put_cf(store.family(META)?, BINDING_KEY, binding);
        store.write_synced(batch)
    }

    /// Opens the store for the one process that writes, and checks that it is this key's.
    #[track_caller]
    pub(crate) fn open(state: &Entry, binding: &[u8; 32]) -> Result<Self> {
        let (place, families) = existing_families(state)?;
        let buffers = StoreBuffers::FULL;
        Self::open_families(place, &families, binding, &options(buffers), buffers)
    }

    /// As [`open`](Self::open), with buffers of other sizes, and drops what an earlier version has left in the store.
    #[track_caller]
    pub(crate) fn open_with(state: &Entry, binding: &[u8; 32], buffers: StoreBuffers) -> Result<Self> {
        let (place, families) = existing_families(state)?;
        let mut store = Self::open_families(place, &families, binding, &options(buffers), buffers)?;
        store.drop_history()?;
        Ok(store)
    }

    /// Opens a store as it is, and compacts nothing.
    #[track_caller]
    pub(super) fn open_uncompacted(place: Place, families: &[String], binding: &[u8; 32]) -> Result<Self> {
        let buffers = StoreBuffers::FULL;
        let mut options = options(buffers);
        options.set_disable_auto_compactions(true);
        Self::open_families(place, families, binding, &options, buffers)
    }

    #[track_caller]
    fn open_families(
        place: Place,
        families: &[String],
        binding: &[u8; 32],
        options: &Options,
        buffers: StoreBuffers,
    ) -> Result<Self> {
        let families = descriptors(families, options);
        place.check()?;
        let open = || DB::open_cf_descriptors(options, place.path(), families);
        let db = attempt(OPENING, &place, open)?;
        Self::bound(db, place, binding, buffers)
    }

    /// Opens the store for reading; sees the state of this moment. Beside a process that writes it may take files that are
    /// being exchanged for damage.
    #[track_caller]
    pub(crate) fn open_read_only(state: &Entry, binding: &[u8; 32]) -> Result<Self> {
        let (place, families) = existing_families(state)?;
        let options = options(StoreBuffers::FULL);
        let families = descriptors(&families, &options);
        let open = || DB::open_cf_descriptors_read_only(&options, place.path(), families, false);
        let db = attempt(OPENING, &place, open)?;
        Self::bound(db, place, binding, StoreBuffers::FULL)
    }

    /// Opens the store for reading and reads from it; again if a process that writes to it was in the way.
    pub(crate) fn read_beside_a_writer<T>(
        state: &Entry,
        binding: &[u8; 32],
        read: impl Fn(Self) -> Result<T>,
    ) -> Result<T> {
        let mut attempt = 1;
        loop {
            match Self::open_read_only(state, binding).and_then(&read) {
                Err(error) if attempt < READ_ATTEMPTS && may_pass(&error) => {}
                outcome => return outcome,
            }
            // Longer each time: the writer may have a rhythm of its own.
            pause(attempt * attempt * READ_ATTEMPT_INTERVAL_MS);
            attempt += 1;
        }
    }

    #[track_caller]
    fn of(db: DB, place: Place, buffers: StoreBuffers) -> Self {
        note_opened();
        let write_buffers = register(ResourceKind::Database, buffers.write_bytes as u64);
        let cache = register(ResourceKind::Cache, buffers.cache_bytes as u64);
        Self {
            db: Arc::new(db),
            path: place.name().to_owned(),
            place,
            written_bytes: AtomicU64::new(0),
            registrations: Arc::new([write_buffers, cache]),
        }
    }

    #[track_caller]
    fn bound(db: DB, place: Place, binding: &[u8; 32], buffers: StoreBuffers) -> Result<Self> {
        let store = Self::of(db, place, buffers);
        let Some(found) = store.get(META, BINDING_KEY)? else {
            let what = "it does not say to which key it belongs; what was written to it last is lost";
            return Err(damaged(&store.path, what));
        };
        if found != binding {
            return Err(other_key(&store.path, binding, &found));
        }
        Ok(store)
    }

    /// Commits the checksums of the levels above the batches, in one synced write.
    pub(crate) fn commit_crown(&self, levels: &[(Level, CrownRecord)]) -> Result<()> {
        let mut batch = WriteBatch::default();
        let crown = self.family(CROWN)?;
        for (level, record) in levels {
            batch.put_cf(crown, [level.0], self.encode(record)?);
        }
        self.write_synced(batch)
    }

    /// Reads everything in the store once, so that damage in any part of it is found.
    pub(crate) fn read_through(&self) -> Result<()> {
        for family in self.families()? {
            for entry in self.db.iterator_cf(family, IteratorMode::Start) {
                attempt(READING, &self.place, || entry)?;
            }
        }
        Ok(())
    }

    /// The checksums of a level above the batches.
    pub(crate) fn crown(&self, level: Level) -> Result<Option<CrownRecord>> {
        let value = self.get(CROWN, &[level.0])?;
        value.map(|value| self.decode(CROWN, &value)).transpose()
    }

    /// Puts bytes in the place of a record.
    #[cfg(test)]
    pub(crate) fn put_bytes(&self, family: &'static str, key: &[u8], bytes: &[u8]) -> Result<()> {
        let mut batch = WriteBatch::default();
        batch.put_cf(self.family(family)?, key, bytes);
        self.write_synced(batch)
    }

    /// The bytes of a record.
    #[cfg(test)]
    pub(crate) fn bytes(&self, family: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.get(family, key)
    }

    /// Takes a record away.
    #[cfg(test)]
    pub(crate) fn remove_bytes(&self, family: &'static str, key: &[u8]) -> Result<()> {
        let mut batch = WriteBatch::default();
        batch.delete_cf(self.family(family)?, key);
        self.write_synced(batch)
    }

    /// How the job stood at its last commit.
    pub(crate) fn progress(&self) -> Result<ProgressRecord> {
        match self.get(META, PROGRESS_KEY)? {
            Some(value) => self.decode(META, &value),
            None => Ok(ProgressRecord::default()),
        }
    }

    /// The arenas of the run that committed last; none if that was of a version without them.
    pub(crate) fn arena(&self) -> Result<Option<ArenaRecord>> {
        let value = self.get(META, ARENA_KEY)?;
        value.map(|value| self.decode(META, &value)).transpose()
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that this process has given to the store.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.written_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn write_synced(&self, batch: WriteBatch) -> Result<()> {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        let bytes = batch.size_in_bytes() as u64;
        self.place.check()?;
        attempt("a synced write", &self.place, || self.db.write_opt(batch, &options))?;
        self.written_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn get(&self, family: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let family = self.family(family)?;
        attempt(READING, &self.place, || self.db.get_cf(family, key))
    }

    pub(super) fn family(&self, name: &'static str) -> Result<&ColumnFamily> {
        let missing = || damaged(&self.path, &format!("the column family '{name}' is missing"));
        self.db.cf_handle(name).ok_or_else(missing)
    }

    /// All column families.
    pub(super) fn families(&self) -> Result<Vec<&ColumnFamily>> {
        let handle = |name: &String| self.db.cf_handle(name).ok_or_else(|| self.damaged_record(name));
        let names = listed_families(&self.place)?;
        names.iter().map(handle).collect()
    }

    pub(super) fn encode(&self, record: &impl serde::Serialize) -> Result<Encoded> {
        records::encode(record).map_err(|_| self.damaged_record("new"))
    }

    pub(super) fn decode<T: Serialize + DeserializeOwned>(&self, family: &'static str, value: &[u8]) -> Result<T> {
        records::decode(value).map_err(|_| self.damaged_record(family))
    }

    pub(super) fn damaged_record(&self, family: &str) -> Error {
        let what = format!("a record of the column family '{family}' is not readable");
        damaged(&self.path, &what)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if !self.place.may_be_closed() {
            std::mem::forget((Arc::clone(&self.db), Arc::clone(&self.registrations)));
        }
    }
}

/// Whether it may be that a process that writes to the store was in the way.
fn may_pass(error: &Error) -> bool {
    matches!(error.reason(), Reason::StoreFailed | Reason::Damaged)
}

/// The place of a store that is about to be opened, and its column families, if it can be.
pub(super) fn existing_families(state: &Entry) -> Result<(Place, Vec<String>)> {
    let place = Place::new(look_at_files(state)?);
    look_at_machine(state.path())?;
    let families = listed_families(&place)?;
    Ok((place, families))
}

fn listed_families(place: &Place) -> Result<Vec<String>> {
    let list = || DB::list_cf(&options(StoreBuffers::FULL), place.path());
    attempt(OPENING, place, list)
}

/// Makes a call to RocksDB. All come through here, so that tests can let any one of them fail, or end the process there.
pub(super) fn attempt<T>(
    call: &'static str,
    place: &Place,
    operation: impl FnOnce() -> Result<T, rocksdb::Error>,
) -> Result<T> {
    let operation = || operation().map_err(|error| verdict(call, place, &error));
    #[cfg(test)]
    let operation = || {
        crate::faults::through(call, place.name(), operation, |error| {
            super::error::failed(call, place.name(), &error.to_string())
        })
    };
    operation()
}
