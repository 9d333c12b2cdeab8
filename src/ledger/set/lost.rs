//! What can be read of the ledger of a set that lets nothing sign any more, for a key of it that begins again.

use super::place::SetPlace;
use crate::error::Result;
use crate::failure::FailureKind;
use crate::keydir::{DirectoryLock, KeyPaths};
use crate::state::{LedgerRecord, SetKeyRecord, Store};
use crate::units::{Epoch, KeyId, SetLedgerId};

/// Entries that are copied in one synced write.
const CHUNK_ENTRIES: usize = 1024;

/// The store of a ledger that is lost, as far as it can be opened. Nobody signs by it meanwhile.
struct Wreck {
    store: Store,
    _lock: DirectoryLock,
}

impl Wreck {
    /// Opens the store of the ledger that a key has moved to, whatever its mark is. None if that cannot be done, or if it is the
    /// store of another ledger.
    fn open(key: &KeyPaths, id: SetLedgerId) -> Result<Option<Self>> {
        let Some(place) = SetPlace::around(key)? else {
            return Ok(None);
        };
        let lock = place.lock()?;
        if !place.state().exists()? {
            return Ok(None);
        }
        let opened = place.open_store_of(id);
        Ok(readable(opened)?.map(|store| Self { store, _lock: lock }))
    }
}

/// What was read; nothing if it is damaged, or of another ledger. A failure of the machine is one.
fn readable<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Err(error) if error.kind() == FailureKind::Directory => Ok(None),
        read => read.map(Some),
    }
}

/// Copies the entries of a key that can be read in the ledger of its set into the key's own store, unless they are there, and gives
/// the record of the key, if that can be read. The head of the key's own ledger has to follow.
pub(in crate::ledger) fn rescue_key(
    key: &KeyPaths,
    id: SetLedgerId,
    key_id: KeyId,
    own: &Store,
) -> Result<Option<SetKeyRecord>> {
    let Some(wreck) = Wreck::open(key, id)? else {
        return Ok(None);
    };
    let record = readable(wreck.store.set_key(key_id))?.flatten();
    let Some(entries) = readable(wreck.store.set_entries(key_id))? else {
        return Ok(record);
    };
    let mut chunk: Vec<(Epoch, LedgerRecord)> = Vec::new();
    for entry in entries {
        // What comes behind one that cannot be read is not found either.
        let Some((epoch, entry)) = readable(entry)? else {
            break;
        };
        if own.ledger_entry(epoch)?.is_some() {
            continue;
        }
        chunk.push((epoch, entry));
        if chunk.len() == CHUNK_ENTRIES {
            own.commit_ledger_entries(chunk.iter().map(|(epoch, entry)| (*epoch, entry)))?;
            chunk.clear();
        }
    }
    own.commit_ledger_entries(chunk.iter().map(|(epoch, entry)| (*epoch, entry)))?;
    Ok(record)
}
