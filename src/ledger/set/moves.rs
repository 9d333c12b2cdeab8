//! Moving the ledger of a key into that of a set, and out of it (docs/DURABILITY.md, "A ledger that moves").
//!
//! Whatever a kill leaves, at most one side signs, and the same call goes on: first the side that lets go says so, durably and
//! with the next number; then the entries arrive; then the other side says that it has them.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::{differs, fingerprint_unknown, not_in_set, other_set, same_one_time_keys, unfinished};
use super::place::set_of;
use super::{Known, SetLedger, old_copy};
use crate::error::Result;
use crate::files::{parent_of, place_of};
use crate::keydir::{KeyDir, LedgerMark, LockedDir, Manifest, Stage};
use crate::ledger::error::{backwards as ledger_backwards, mark_missing};
use crate::ledger::fit::{Fit, count, fit};
use crate::ledger::{Ledger, known_mark, mark_of};
use crate::remedy::Remedy;
use crate::state::{KeyStanding, LedgerHead, LedgerRecord, SetKeyRecord, Store};
use crate::units::{Epoch, Fingerprint, KeyId, SetLedgerId};

/// Entries that are copied in one synced write.
const CHUNK_ENTRIES: usize = 1024;

/// What a move did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MoveReport {
    /// The key.
    pub key_id: KeyId,
    /// The number of the move.
    pub moves: u64,
    /// Spent epochs that the ledger lists.
    pub spent: u64,
    /// Whether it was there already, so that nothing was written.
    pub was_there: bool,
}

/// Moves the ledger of the sealed key in a directory into that of the set in whose directory it stands; begins that ledger if
/// there is none. From then on the key signs by the ledger of the set alone.
///
/// A move that was interrupted is finished by the same call.
///
/// # Errors
/// [`Error`](crate::Error) if the key does not stand in the set, if a process signs with either, if a key with the same one-time
/// keys is in the set, or if one of the two ledgers does not fit its mark. The key signs by the ledger that it had, or by that
/// of the set, or by none before the same call has finished the move; never by both.
pub fn move_in(directory: &Path, set: &Path) -> Result<MoveReport> {
    let key = KeyDir::open_sealed(directory)?;
    if set_of(key.paths())?.map(|around| place_of(&around)) != Some(place_of(set)) {
        return Err(not_in_set(directory, set));
    }
    SetLedger::begin(set)?.take_in(&key)
}

/// Moves the ledger of a key out of that of its set, back into the directory of the key.
///
/// A move that was interrupted is finished by the same call.
///
/// # Errors
/// As [`move_in`]; also if the key has a ledger of its own.
pub fn move_out(directory: &Path) -> Result<MoveReport> {
    let key = KeyDir::open_sealed(directory)?;
    let set = set_of(key.paths())?.unwrap_or_else(|| parent_of(directory).to_owned());
    SetLedger::open(&set)?.let_out(&key)
}

/// A key that is being moved, under its lock.
struct Moving<'a> {
    locked: LockedDir,
    manifest: &'a Manifest,
    key_id: KeyId,
}

impl SetLedger {
    /// Takes the ledger of a key in.
    pub(crate) fn take_in(&mut self, key: &KeyDir) -> Result<MoveReport> {
        self.check_known()?;
        let locked = key.lock()?;
        let manifest = locked.note_fingerprint(locked.key()?.sealed()?.manifest().clone())?;
        let key_id = manifest.key_id();
        let mark = known_mark(&locked.ledger_mark(), key_id)?;
        let record = self.records.get(&key_id).copied();
        let moving = Moving {
            locked,
            manifest: &manifest,
            key_id,
        };
        let is_here = |record: &SetKeyRecord| record.standing == KeyStanding::Active;
        match (mark, record) {
            // A mark that is lost, or that of an old copy: the ledger is here, and goes on to be.
            (None, Some(record)) if is_here(&record) => self.adopt(&moving, &record),
            (Some(mark), Some(record)) if is_here(&record) && record.moves > mark.moves => self.adopt(&moving, &record),
            (Some(mark), record) => match mark.stage {
                Stage::Moving(id) | Stage::Moved(id) if id != self.id => {
                    Err(other_set(moving.locked.root(), self.set(), id))
                }
                Stage::Moved(_) => {
                    let record = self.known(record.as_ref()).check(moving.locked.root(), &mark)?;
                    Ok(report(key_id, &record, true))
                }
                Stage::Moving(_) => self.go_on(moving, &mark, record),
                Stage::Creating | Stage::Begun | Stage::NotBegun => self.begin_taking(moving, &mark, record),
            },
            (None, _) => Err(mark_missing(moving.locked.ledger_mark().path())),
        }
    }

    /// Takes the ledger of a key in that has never moved; one that has left stays where it is.
    pub(crate) fn take_in_new(&mut self, key: &KeyDir) -> Result<()> {
        let mark = known_mark(&key.paths().ledger_mark(), key.manifest().key_id())?;
        let has_left = mark.is_some_and(|mark| mark.moves > 0 && mark.stage.set().is_none());
        if has_left {
            return Ok(());
        }
        self.take_in(key).map(drop)
    }

    fn known<'a>(&'a self, record: Option<&'a SetKeyRecord>) -> Known<'a> {
        Known {
            set: self.set(),
            id: self.id,
            record,
        }
    }

    /// The first step: the mark of the key says that its ledger is on its way.
    fn begin_taking(
        &mut self,
        moving: Moving<'_>,
        mark: &LedgerMark,
        record: Option<SetKeyRecord>,
    ) -> Result<MoveReport> {
        let directory = moving.locked.root();
        match record {
            Some(record) if record.moves > mark.moves => return Err(old_copy(directory, self.set())),
            // The key has left since, and this ledger does not know it.
            Some(record) if record.standing != KeyStanding::Gone => {
                let how = format!("it lets the key {} sign, which has left it", moving.key_id);
                return Err(super::backwards(self.set(), &how));
            }
            _ => {}
        }
        let fingerprint = moving.fingerprint()?;
        let is_same = |(key, record): &(&KeyId, &SetKeyRecord)| {
            **key != moving.key_id && record.standing != KeyStanding::Gone && record.fingerprint == fingerprint.0
        };
        if let Some((other, _)) = self.records.iter().find(is_same) {
            return Err(same_one_time_keys(directory, &other.to_string()));
        }
        let Moving {
            locked,
            manifest,
            key_id,
        } = moving;
        let mut own = Ledger::of(locked, manifest, mark.moves)?;
        let said = own.head.initialised;
        own.settle()?;
        if own.head.initialised != said {
            // The mark alone knew that no history is known, and is about to say something else.
            let head = own.head.clone();
            own.commit([], head)?;
        }
        let on_its_way = LedgerMark {
            stage: Stage::Moving(self.id),
            moves: mark.moves + 1,
            ..mark_of(&own.head, key_id, mark.moves)
        };
        on_its_way.write(&own.locked)?;
        self.copy_in(&own, &on_its_way, record, fingerprint)
    }

    /// The mark of the key says that its ledger is on its way to here.
    fn go_on(&mut self, moving: Moving<'_>, mark: &LedgerMark, record: Option<SetKeyRecord>) -> Result<MoveReport> {
        let directory = moving.locked.root();
        match record {
            Some(record) if record.moves > mark.moves => return Err(unfinished(directory, Remedy::MoveLedgerOut)),
            Some(record) if record.moves == mark.moves && record.standing == KeyStanding::Active => {
                arrived(&moving.locked, mark, self.id)?;
                return Ok(report(moving.key_id, &record, false));
            }
            _ => {}
        }
        let fingerprint = moving.fingerprint()?;
        let own = Ledger::of(moving.locked, moving.manifest, mark.moves)?;
        // Whether a history is known is said by the head alone: before the mark said that the ledger moves, it went in there.
        match fit(&own.head, own.store.ledger_entry_count()?, mark) {
            Fit::Same => {}
            Fit::Ahead => {
                return Err(ledger_backwards(
                    own.directory(),
                    "it was written while it was on its way",
                ));
            }
            Fit::Backwards(how) => return Err(ledger_backwards(own.directory(), &how)),
        }
        self.copy_in(&own, mark, record, fingerprint)
    }

    /// The second and the third step: the entries arrive, and the mark of the key says so.
    fn copy_in(
        &mut self,
        own: &Ledger,
        mark: &LedgerMark,
        record: Option<SetKeyRecord>,
        fingerprint: Fingerprint,
    ) -> Result<MoveReport> {
        let key_id = own.key_id;
        let mut record = SetKeyRecord {
            standing: KeyStanding::Arriving,
            moves: mark.moves,
            initialised: false,
            ..record.unwrap_or_else(|| SetKeyRecord::of_arrival(fingerprint, mark.moves))
        };
        let mut chunk: Vec<(Epoch, LedgerRecord)> = Vec::new();
        for entry in own.store.ledger_entries()? {
            let (epoch, entry) = entry?;
            // A copy that was interrupted, or one of an earlier stay.
            if self.store.set_entry(key_id, epoch)?.is_some() {
                continue;
            }
            if chunk.len() == CHUNK_ENTRIES {
                self.commit_chunk(key_id, &mut chunk, record)?;
            }
            record.add(epoch, &entry);
            chunk.push((epoch, entry));
        }
        if !own.head.has_entries_of(&record.head()) {
            return Err(differs(own.locked.root(), self.set()));
        }
        record = SetKeyRecord {
            standing: KeyStanding::Active,
            ..record.with_head(&own.head)
        };
        self.commit_chunk(key_id, &mut chunk, record)?;
        self.mark_whole()?;
        arrived(&own.locked, mark, self.id)?;
        Ok(report(key_id, &record, false))
    }

    fn commit_chunk(
        &mut self,
        key_id: KeyId,
        chunk: &mut Vec<(Epoch, LedgerRecord)>,
        record: SetKeyRecord,
    ) -> Result<()> {
        let entries = std::mem::take(chunk);
        let entries = entries.iter().map(|(epoch, entry)| (key_id, *epoch, entry));
        self.commit(entries, BTreeMap::from([(key_id, record)]))
    }

    /// Gives a key its mark back that is lost, or that of an old copy. The directory must not list what this ledger does not:
    /// then it has signed by itself.
    fn adopt(&self, moving: &Moving<'_>, record: &SetKeyRecord) -> Result<MoveReport> {
        let Moving {
            locked,
            manifest,
            key_id,
        } = moving;
        let store = Store::open(&locked.state(), &manifest.binding())?;
        for entry in store.ledger_entries()? {
            let (epoch, entry) = entry?;
            if self.store.set_entry(*key_id, epoch)? != Some(entry) {
                return Err(differs(locked.root(), self.set()));
            }
        }
        let head = store.ledger_head()?.unwrap_or_default();
        let mark = LedgerMark {
            stage: Stage::Moved(self.id),
            ..mark_of(&head, *key_id, record.moves)
        };
        mark.write(locked)?;
        Ok(report(*key_id, record, false))
    }

    /// Lets the ledger of a key go.
    pub(crate) fn let_out(&mut self, key: &KeyDir) -> Result<MoveReport> {
        self.check_known()?;
        let locked = key.lock()?;
        let manifest = locked.key()?.sealed()?.manifest().clone();
        let key_id = manifest.key_id();
        let mark = LedgerMark::read(&locked.ledger_mark(), key_id)?;
        let mark = mark.ok_or_else(|| mark_missing(locked.ledger_mark().path()))?;
        let record = self.records.get(&key_id).copied();
        let is_gone = |record: &SetKeyRecord| record.standing == KeyStanding::Gone;
        let gone = match record {
            Some(record) if mark.stage.set().is_none() && is_gone(&record) && record.moves == mark.moves => {
                return Ok(report(key_id, &record, true));
            }
            Some(record) if mark.stage.set() == Some(self.id) && is_gone(&record) && record.moves == mark.moves + 1 => {
                record
            }
            record => {
                let record = self.known(record.as_ref()).check(locked.root(), &mark)?;
                let gone = SetKeyRecord {
                    standing: KeyStanding::Gone,
                    moves: mark.moves + 1,
                    ..record
                };
                self.commit([], BTreeMap::from([(key_id, gone)]))?;
                self.mark_whole()?;
                gone
            }
        };
        self.copy_out(&locked, &manifest, &mark, &gone)?;
        Ok(report(key_id, &gone, false))
    }

    /// The entries go back into the store of the key, and then its mark says that it has its own ledger.
    fn copy_out(&self, locked: &LockedDir, manifest: &Manifest, mark: &LedgerMark, gone: &SetKeyRecord) -> Result<()> {
        let key_id = manifest.key_id();
        let store = Store::open(&locked.state(), &manifest.binding())?;
        let mut head = LedgerHead {
            // Until the last write it lets nothing sign, whatever mark is put beside it.
            initialised: false,
            marked: mark.extent,
            ..count(&store)?
        };
        head.extent.first_epoch = gone.extent.first_epoch;
        let mut chunk: Vec<(Epoch, LedgerRecord)> = Vec::new();
        for entry in self.store.set_entries(key_id)? {
            let (epoch, entry) = entry?;
            match store.ledger_entry(epoch)? {
                Some(known) if known == entry => continue,
                Some(_) => return Err(differs(locked.root(), self.set())),
                None => {}
            }
            if chunk.len() == CHUNK_ENTRIES {
                store.commit_ledger(chunk.iter().map(|(epoch, entry)| (*epoch, entry)), &head)?;
                chunk.clear();
            }
            head.add(epoch, &entry);
            chunk.push((epoch, entry));
        }
        if !head.has_entries_of(&gone.head()) {
            return Err(differs(locked.root(), self.set()));
        }
        let head = LedgerHead {
            marked: mark.extent,
            ..gone.head()
        };
        store.commit_ledger(chunk.iter().map(|(epoch, entry)| (*epoch, entry)), &head)?;
        mark_of(&head, key_id, gone.moves).write(locked)
    }
}

impl Moving<'_> {
    fn fingerprint(&self) -> Result<Fingerprint> {
        let known = self.manifest.fingerprint();
        known.ok_or_else(|| fingerprint_unknown(self.locked.root()))
    }
}

/// The last step of a move to a set: from here on the key is lost where the ledger of the set does not know it.
fn arrived(locked: &LockedDir, mark: &LedgerMark, id: SetLedgerId) -> Result<()> {
    let stage = Stage::Moved(id);
    LedgerMark { stage, ..mark.clone() }.write(locked)
}

fn report(key_id: KeyId, record: &SetKeyRecord, was_there: bool) -> MoveReport {
    MoveReport {
        key_id,
        moves: record.moves,
        spent: record.extent.spent,
        was_there,
    }
}
