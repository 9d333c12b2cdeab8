//! What the ledger of a set says of one key, for those who write nothing.

use super::Known;
use super::error::{backwards, of_store};
use super::mark::SetMark;
use super::place::SetPlace;
use crate::error::Result;
use crate::failure::FailureKind;
use crate::keydir::{KeyDir, KeyPaths, LedgerMark, ReadLock};
use crate::ledger::fit::{count_entries, unspent};
use crate::state::{LedgerHead, SetKeyRecord, Store};
use crate::units::{KeyId, SetLedgerId};

/// The ledger of a set, as it was found, and what it says of one key.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct SetView {
    /// What its record says.
    pub(in crate::ledger) head: LedgerHead,
    /// Epochs without an entry, from the first on that may sign.
    pub(in crate::ledger) unspent: u64,
    /// Where the set is.
    pub(in crate::ledger) set: std::path::PathBuf,
}

/// Looks at the ledger of the set to which the ledger of a key has moved, beside a process that writes to it.
///
/// # Errors
/// If it is not there, is damaged or older than its mark, or does not say that the key signs by it.
pub(in crate::ledger) fn look(key: &KeyDir, mark: &LedgerMark, id: SetLedgerId) -> Result<SetView> {
    let place = SetPlace::of_key(key.paths(), id)?;
    // A signer writes it last.
    let set_mark = place.read_mark()?;
    place.read(&set_mark, |store| view(&place, &store, &set_mark, key, mark))
}

/// As [`look`], and keeps whoever signs away from the ledger as long as what it gives lives.
pub(in crate::ledger) fn open(
    key: &KeyDir,
    mark: &LedgerMark,
    id: SetLedgerId,
) -> Result<(Store, SetView, Option<ReadLock>)> {
    let place = SetPlace::of_key(key.paths(), id)?;
    let lock = ReadLock::take(&place.lock_file())?;
    let set_mark = place.read_mark()?;
    let store = place.open_store_read_only(&set_mark)?;
    let view = view(&place, &store, &set_mark, key, mark).map_err(of_store)?;
    Ok((store, view, lock))
}

fn view(place: &SetPlace, store: &Store, set_mark: &SetMark, key: &KeyDir, mark: &LedgerMark) -> Result<SetView> {
    let key_id = key.manifest().key_id();
    set_mark.is_behind(&store.set_head()?.unwrap_or_default(), place.set())?;
    let record = store.set_key(key_id)?;
    let known = Known {
        set: place.set(),
        id: set_mark.id,
        record: record.as_ref(),
    };
    let head = known.check(key.path(), mark)?.head();
    if !head.has_entries_of(&count_entries(store.set_entries(key_id)?)?) {
        let how = format!("its entries of the key {key_id} are not those that its record counts");
        return Err(backwards(place.set(), &how));
    }
    Ok(SetView {
        unspent: unspent(store.set_entries(key_id)?, &head.extent, key.manifest().plan().stored())?,
        head,
        set: place.set().to_owned(),
    })
}

/// What the ledger of the set around a key says of it, if it knows of a later move than the key itself: then the directory of
/// the key is an old copy. A ledger that cannot be read says nothing.
pub(in crate::ledger) fn newer_in_set(key: &KeyPaths, key_id: KeyId, moves: u64) -> Result<Option<SetKeyRecord>> {
    let Some(place) = SetPlace::around(key)? else {
        return Ok(None);
    };
    let read = || {
        let mark = place.read_mark()?;
        place.read(&mark, |store| store.set_key(key_id))
    };
    match read() {
        Err(error) if error.kind() == FailureKind::Directory => Ok(None),
        record => Ok(record?.filter(|record| record.moves > moves)),
    }
}
