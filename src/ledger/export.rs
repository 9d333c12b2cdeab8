//! A ledger as JSON, for another copy of its key, or for another key with the same one-time keys.

use std::path::Path;

use super::LedgerCondition;
use super::set;
use super::show::{FoundMark, LedgerFigures, condition_in_set, condition_of};
use super::signing::set_of_mark;
use crate::error::Result;
use crate::interop::ledger_json::{HistoryOwner, SignedEpoch, TAIL_TEXT, entry_text, head_text};
use crate::keydir::{KeyDir, ReadLock};
use crate::ledger::fit::FoundEntry;
use crate::state::Store;
use crate::units::KeyId;

/// A ledger that is written out. As long as it is there, nothing is signed. It writes nothing to the directory.
pub struct Export {
    store: Store,
    owner: HistoryOwner,
    /// The key, if it is one of many in the ledger of a set.
    in_set: Option<KeyId>,
    _locks: [Option<ReadLock>; 2],
}

impl Export {
    /// Opens the ledger of the sealed key in a directory, which may be read-only.
    ///
    /// # Errors
    /// [`Error`](crate::Error) if it is not a sealed key, is locked, or if the ledger does not fit the mark beside it: what has
    /// lost entries must not be handed on as if it were whole.
    pub fn open(directory: &Path) -> Result<Self> {
        let key = KeyDir::open_sealed(directory)?;
        let (paths, manifest) = (key.paths(), key.manifest());
        let lock = ReadLock::take(&paths.lock_file())?;
        let mut in_set = None;
        let (store, seen, set_lock) = match set_of_mark(&key)? {
            Some((mark, id)) => {
                let (store, view, set_lock) = set::open(&key, &mark, id)?;
                in_set = Some(manifest.key_id());
                (store, condition_in_set(&key, mark, Ok(view)), set_lock)
            }
            None => {
                let mark = FoundMark::read(&key)?;
                let store = Store::open_read_only(&paths.state(), &manifest.binding())?;
                let figures = LedgerFigures::of(&store, manifest)?;
                (store, condition_of(&key, figures, mark)?, None)
            }
        };
        match seen.problem {
            // That is what it says, and what the other copy has to know.
            None | Some((LedgerCondition::NoHistory | LedgerCondition::UsedUp, _)) => {}
            Some((_, error)) => return Err(error),
        }
        let head = seen.head;
        // One that came with an import is handed on, also if this ledger was not begun.
        let first_epoch = Some(head.extent.first_epoch).filter(|&epoch| head.initialised || epoch > 0);
        let owner = HistoryOwner {
            public_key: manifest.public_key().unwrap_or_default(),
            scheme: manifest.scheme().id().to_owned(),
            key_id: manifest.key_id(),
            fingerprint: key.fingerprint()?,
            first_epoch,
        };
        Ok(Self {
            store,
            owner,
            in_set,
            _locks: [lock, set_lock],
        })
    }

    /// The lines of the JSON object, one after the other as they are asked for.
    ///
    /// # Errors
    /// [`Error`](crate::Error) if an entry cannot be read.
    pub fn lines(&self) -> Result<impl Iterator<Item = Result<String>>> {
        let entries: Box<dyn Iterator<Item = FoundEntry> + '_> = match self.in_set {
            Some(key) => Box::new(self.store.set_entries(key)?),
            None => Box::new(self.store.ledger_entries()?),
        };
        let entries = entries.enumerate().map(|(index, entry)| {
            let (epoch, record) = entry?;
            let text = entry_text(&SignedEpoch {
                epoch,
                message_digest: record.message_digest,
                signed_unix_ms: record.signed_unix_ms,
            });
            Ok(if index == 0 { text } else { format!(",{text}") })
        });
        let head = std::iter::once(Ok(head_text(&self.owner)));
        Ok(head.chain(entries).chain([Ok(TAIL_TEXT.to_owned())]))
    }
}
