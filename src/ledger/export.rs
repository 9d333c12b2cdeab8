//! A ledger as JSON, for another copy of its key, or for another key with the same one-time keys.

use std::path::Path;

use super::LedgerCondition;
use super::show::{FoundMark, LedgerFigures, condition_of};
use crate::error::Result;
use crate::interop::ledger_json::{HistoryOwner, SignedEpoch, TAIL_TEXT, entry_text, head_text};
use crate::keydir::{KeyDir, ReadLock};
use crate::state::Store;

/// A ledger that is written out. As long as it is there, nothing is signed. It writes nothing to the directory.
pub struct Export {
    store: Store,
    owner: HistoryOwner,
    _lock: Option<ReadLock>,
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
        let mark = FoundMark::read(&key)?;
        let store = Store::open_read_only(&paths.state(), &manifest.binding())?;
        let seen = condition_of(&key, LedgerFigures::of(&store, manifest)?, mark);
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
            _lock: lock,
        })
    }

    /// The lines of the JSON object, one after the other as they are asked for.
    ///
    /// # Errors
    /// [`Error`](crate::Error) if an entry cannot be read.
    pub fn lines(&self) -> Result<impl Iterator<Item = Result<String>>> {
        let entries = self.store.ledger_entries()?.enumerate().map(|(index, entry)| {
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
