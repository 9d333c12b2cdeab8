//! What a service asks of the ledger of a set.

use std::path::PathBuf;

use super::SetLedger;
use crate::error::Result;
use crate::files::Directory;
use crate::keydir::{KeyDir, LedgerMark, MANIFEST};
use crate::state::{KeyStanding, SetKeyRecord};
use crate::units::KeyId;

/// Directories of keys in that of a set.
#[derive(Debug, Default)]
pub(crate) struct SetDirectories {
    /// Of those that sign by the ledger of a set, or of which that of this set says so.
    pub(crate) of_set: Vec<PathBuf>,
    /// Of those that have ledgers of their own.
    pub(crate) of_their_own: Vec<PathBuf>,
}

impl SetLedger {
    /// The directories of keys in that of the set.
    pub(crate) fn directories(&self) -> Result<SetDirectories> {
        let set = Directory::open(self.set())?;
        let mut found = SetDirectories::default();
        let mut names = set.names()?;
        names.sort_unstable();
        for name in names {
            let entry = set.entry(&name);
            if !entry.is_directory()? || !entry.join(MANIFEST).exists()? {
                continue;
            }
            let directory = self.set().join(&name);
            let key = KeyDir::open(&directory)?;
            let mark = LedgerMark::read(&key.paths().ledger_mark(), key.manifest().key_id())?;
            let has_moved = mark.is_some_and(|mark| mark.stage.set().is_some());
            let record = self.records.get(&key.manifest().key_id());
            if has_moved || record.is_some_and(|record| record.standing == KeyStanding::Active) {
                found.of_set.push(directory);
            } else {
                found.of_their_own.push(directory);
            }
        }
        Ok(found)
    }

    /// Keys that sign by this ledger and are not held by it in this process.
    pub(crate) fn absent(&self) -> impl Iterator<Item = KeyId> {
        let is_absent = |(key, record): &(&KeyId, &SetKeyRecord)| {
            record.standing == KeyStanding::Active && !self.held.contains_key(*key)
        };
        self.records.iter().filter(is_absent).map(|(&key, _)| key)
    }

    /// Whether it is known what is on disk: no write has failed since it was opened.
    pub(crate) fn is_known(&self) -> bool {
        !self.unknown
    }
}
