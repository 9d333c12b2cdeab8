//! One ledger for all keys of a set: what is to be spent of any number of keys is spent in one synced write and one mark.
//!
//! A key signs by one ledger at a time. Each move of its ledger has a number, in the mark of the key and in what the set says
//! of the key; that with the higher number is right, and the other one refuses.

mod error;
mod look;
mod lost;
mod mark;
mod moves;
mod place;
#[cfg(feature = "serve")]
mod served;

use std::collections::BTreeMap;
use std::path::Path;

pub(super) use error::old_copy;
use error::{backwards, not_known, other_set, unfinished};
pub(super) use look::{SetView, look, newer_in_set, open};
pub(super) use lost::rescue_key;
pub(crate) use mark::SetMark;
pub use moves::{MoveReport, move_in, move_out};
pub(crate) use place::LEDGER;
use place::SetPlace;

use super::error::{forked, mark_missing, unknown};
use super::{EpochState, Message, Syncs, new_record, standing_of};
use crate::error::Result;
use crate::files::publish::Replacement;
use crate::keydir::{DirectoryLock, KeyDir, LedgerMark, LockedDir, Stage};
use crate::remedy::Remedy;
use crate::state::{KeyStanding, LedgerHead, LedgerRecord, SetEntry, SetExtent, SetHead, SetKeyRecord, Store};
use crate::text::counted;
use crate::units::{Epoch, EpochRange, KeyId, SetLedgerId};

/// The ledger of a set, for the one process that writes to it.
pub(crate) struct SetLedger {
    place: SetPlace,
    store: Store,
    id: SetLedgerId,
    head: SetHead,
    /// How far it was when it was opened, or last marked: what a fitting mark on disk says.
    marked: SetExtent,
    records: BTreeMap<KeyId, SetKeyRecord>,
    /// Keys that sign by it in this process.
    held: BTreeMap<KeyId, HeldKey>,
    /// A write failed: only opening it again shows what is on disk.
    unknown: bool,
    _lock: DirectoryLock,
}

/// A key whose directory is locked as long as it signs.
struct HeldKey {
    locked: LockedDir,
    scheme: &'static str,
    stored: EpochRange,
}

impl SetLedger {
    /// Takes the lock of the ledger in the directory of a set, opens it, and compares it with the mark beside it.
    pub(crate) fn open(set: &Path) -> Result<Self> {
        let place = SetPlace::find(set)?.ok_or_else(|| error::no_ledger(set, None))?;
        let lock = place.lock()?;
        Self::open_locked(place, lock)
    }

    /// As [`open`](Self::open), for the set in which a key stands.
    pub(crate) fn open_of(key: &KeyDir, id: SetLedgerId) -> Result<Self> {
        let place = SetPlace::of_key(key.paths(), id)?;
        let lock = place.lock()?;
        Self::open_locked(place, lock)
    }

    /// As [`open`](Self::open), and begins the ledger if the set has none.
    pub(crate) fn begin(set: &Path) -> Result<Self> {
        let place = SetPlace::make(set)?;
        let lock = place.lock()?;
        place.begin()?;
        Self::open_locked(place, lock)
    }

    /// Whether the set in a directory has a ledger.
    pub(crate) fn is_in(set: &Path) -> Result<bool> {
        Ok(SetPlace::find(set)?.is_some())
    }

    fn open_locked(place: SetPlace, lock: DirectoryLock) -> Result<Self> {
        let mark = place.read_mark()?;
        let store = place.open_store(&mark)?;
        let Found { head, records, counts } = Found::read(&store).map_err(error::of_store)?;
        let mut ledger = Self {
            place,
            store,
            id: mark.id,
            head,
            marked: head.extent,
            records,
            held: BTreeMap::new(),
            unknown: false,
            _lock: lock,
        };
        ledger.check_records(counts.as_ref())?;
        if mark.is_behind(&head, ledger.set())? {
            // The process ended between the two writes.
            ledger.mark()?;
        }
        Ok(ledger)
    }

    /// The store can lose records and keep the head, as when an old list of its files meets a newer log. The entries of each key
    /// are given where they had to be counted.
    fn check_records(&self, counts: Option<&BTreeMap<KeyId, u64>>) -> Result<()> {
        let mut extent = SetExtent::default();
        for (&key, record) in &self.records {
            extent.replace(key, None, record);
            let Some(counts) = counts else { continue };
            let found = counts.get(&key).copied().unwrap_or_default();
            if found != record.extent.spent {
                let how = format!(
                    "{} of the key {key}, and its record counts {}",
                    counted(found, "entry"),
                    record.extent.spent
                );
                return Err(backwards(self.set(), &how));
            }
        }
        let has_others = counts.is_some_and(|counts| counts.keys().any(|key| !self.records.contains_key(key)));
        if extent != self.head.extent || has_others {
            let how = "its records are not those that its head counts";
            return Err(backwards(self.set(), how));
        }
        Ok(())
    }

    /// The directory of the set.
    pub(crate) fn set(&self) -> &Path {
        self.place.set()
    }

    /// Takes the lock of a key directory whose ledger this is, so that the key can sign by it.
    ///
    /// # Errors
    /// If ledger and key do not both say that the last move of the key's ledger was to here.
    pub(crate) fn admit(&mut self, key: &KeyDir) -> Result<()> {
        let locked = key.lock()?;
        let key_id = key.manifest().key_id();
        locked.note_fingerprint(locked.key()?.manifest().clone())?;
        let mark = LedgerMark::read(&locked.ledger_mark(), key_id)?;
        let mark = mark.ok_or_else(|| mark_missing(locked.ledger_mark().path()))?;
        let known = Known {
            set: self.set(),
            id: self.id,
            record: self.records.get(&key_id),
        };
        known.check(locked.root(), &mark)?;
        if mark.stage != Stage::Moved(self.id) {
            // The process that moved it ended before it could say so.
            let stage = Stage::Moved(self.id);
            LedgerMark { stage, ..mark }.write(&locked)?;
        }
        let held = HeldKey {
            scheme: key.manifest().scheme().id(),
            stored: key.manifest().plan().stored(),
            locked,
        };
        self.held.insert(key_id, held);
        Ok(())
    }

    fn held_key(&self, key: KeyId) -> Result<(&HeldKey, &SetKeyRecord)> {
        match (self.held.get(&key), self.records.get(&key)) {
            (Some(held), Some(record)) if record.standing == KeyStanding::Active => Ok((held, record)),
            _ => Err(error::not_held(key, self.set())),
        }
    }

    /// Whether this message may be signed with this epoch of a key.
    pub(crate) fn standing(&self, key: KeyId, epoch: Epoch, message: &[u8]) -> Result<EpochState> {
        self.check_known()?;
        let (held, record) = self.held_key(key)?;
        let directory = held.locked.directory();
        if let Some(parent) = directory.opened_before_fork() {
            return Err(forked(parent, directory.path()));
        }
        self.place.directory().check()?;
        directory.check()?;
        let found = self.store.set_entry(key, epoch).map_err(error::of_store)?;
        standing_of(found, &record.head(), held.stored, directory.path(), epoch, message)
    }

    /// Spends epochs of any number of keys, each on its message, in one write: when this returns, the entries and the mark are
    /// on disk. Each is [unused](EpochState::Unused), and none is named twice.
    pub(crate) fn spend(&mut self, spent: &[(KeyId, Epoch, &Message)], syncs: Syncs) -> Result<()> {
        let mut changed = BTreeMap::new();
        let mut entries = Vec::with_capacity(spent.len());
        for &(key, epoch, message) in spent {
            let (held, known) = self.held_key(key)?;
            let entry = new_record(held.scheme, message);
            changed.entry(key).or_insert(*known).add(epoch, &entry);
            entries.push((key, epoch, entry));
        }
        let entries = entries.iter().map(|(key, epoch, entry)| (*key, *epoch, entry));
        self.unknown = true;
        let head = self.next_head(&changed);
        let mark = self.mark_of(&head);
        let store = || self.store.commit_set(entries, &changed, &head);
        let mark = syncs.write(store, || mark.draft(&self.place.mark()))?;
        self.head = head;
        self.records.extend(changed);
        self.put(mark)?;
        self.unknown = false;
        Ok(())
    }

    /// What the store says as a whole when these records are changed.
    fn next_head(&self, changed: &BTreeMap<KeyId, SetKeyRecord>) -> SetHead {
        let mut extent = self.head.extent;
        for (&key, record) in changed {
            extent.replace(key, self.records.get(&key), record);
        }
        SetHead {
            extent,
            marked: self.marked,
        }
    }

    pub(super) fn check_known(&self) -> Result<()> {
        if self.unknown {
            return Err(unknown(self.set()));
        }
        Ok(())
    }

    /// What it says of a key as a whole.
    pub(super) fn head_of(&self, key: KeyId) -> Result<LedgerHead> {
        Ok(self.held_key(key)?.1.head())
    }

    pub(super) fn stored(&self, key: KeyId) -> Result<(EpochRange, &'static str)> {
        let (held, _) = self.held_key(key)?;
        Ok((held.stored, held.scheme))
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// As [`commit`](Self::commit), for entries of one key, whose head becomes this one.
    pub(super) fn commit_key<'a>(
        &mut self,
        key: KeyId,
        entries: impl IntoIterator<Item = (Epoch, &'a LedgerRecord)>,
        head: &LedgerHead,
    ) -> Result<()> {
        let record = self.held_key(key)?.1.with_head(head);
        let entries = entries.into_iter().map(|(epoch, entry)| (key, epoch, entry));
        self.commit(entries, BTreeMap::from([(key, record)]))
    }

    /// Writes entries, and the records of the keys that they change. From here until the mark is written, and for good if
    /// anything fails, nothing is signed.
    fn commit<'a>(
        &mut self,
        entries: impl IntoIterator<Item = SetEntry<'a>>,
        changed: BTreeMap<KeyId, SetKeyRecord>,
    ) -> Result<()> {
        self.unknown = true;
        let head = self.next_head(&changed);
        self.store.commit_set(entries, &changed, &head)?;
        self.head = head;
        self.records.extend(changed);
        Ok(())
    }

    pub(super) fn mark(&mut self) -> Result<()> {
        let mark = self.mark_of(&self.head).draft(&self.place.mark())?;
        self.put(mark)
    }

    fn mark_of(&self, head: &SetHead) -> SetMark {
        SetMark {
            id: self.id,
            extent: head.extent,
        }
    }

    /// Puts the mark of the head in its place.
    fn put(&mut self, mark: Replacement) -> Result<()> {
        mark.put()?;
        self.marked = self.head.extent;
        // Once more: the directory in which both have been written is the one that is found by its name.
        Ok(self.place.directory().check()?)
    }

    /// A mark after which it is known again what is on disk.
    fn mark_whole(&mut self) -> Result<()> {
        self.mark()?;
        self.unknown = false;
        Ok(())
    }
}

/// What the store of a ledger says.
struct Found {
    head: SetHead,
    records: BTreeMap<KeyId, SetKeyRecord>,
    /// How many entries each key has; left out if there are as many in all as the head counts. Whatever is lost of a store makes
    /// them fewer, so that only then each of them is looked at.
    counts: Option<BTreeMap<KeyId, u64>>,
}

impl Found {
    fn read(store: &Store) -> Result<Self> {
        let head = store.set_head()?.unwrap_or_default();
        let is_whole = store.set_entries_by_tables()? == Some(head.extent.entries);
        Ok(Self {
            head,
            records: store.set_keys()?,
            counts: (!is_whole).then(|| store.count_set_entries()).transpose()?,
        })
    }
}

/// What the ledger of a set knows of one key.
struct Known<'a> {
    set: &'a Path,
    id: SetLedgerId,
    record: Option<&'a SetKeyRecord>,
}

impl Known<'_> {
    /// The record of a key that signs by this ledger: the mark of the key and the record have to be of one move.
    fn check(&self, directory: &Path, mark: &LedgerMark) -> Result<SetKeyRecord> {
        use std::cmp::Ordering::{Equal, Greater, Less};

        let set = self.set;
        let Some(id) = mark.stage.set() else {
            return Err(match self.record {
                Some(record) if record.moves > mark.moves => old_copy(directory, set),
                _ => error::has_its_own(directory, set),
            });
        };
        if id != self.id {
            return Err(other_set(directory, set, id));
        }
        let behind = || match mark.stage {
            Stage::Moving(_) => unfinished(directory, Remedy::MoveLedgerIn),
            _ => not_known(directory, set),
        };
        let Some(record) = self.record else {
            return Err(behind());
        };
        match (record.moves.cmp(&mark.moves), record.standing) {
            (Equal, KeyStanding::Active) => Ok(*record),
            (Equal | Less, _) => Err(behind()),
            (Greater, KeyStanding::Gone) if record.moves == mark.moves + 1 => {
                Err(unfinished(directory, Remedy::MoveLedgerOut))
            }
            (Greater, _) => Err(old_copy(directory, set)),
        }
    }
}
