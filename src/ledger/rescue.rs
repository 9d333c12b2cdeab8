//! What can be read of the ledger in a damaged store, for the store that takes its place.

use super::doubted;
use crate::error::{Reason, Result};
use crate::state::{LedgerHead, Store};

/// Entries that are copied in one synced write.
const CHUNK_ENTRIES: usize = 1024;

/// Copies the ledger of a store that is damaged elsewhere into a new one, and says whether it was all of it; `None`, and
/// nothing is copied, if nothing of it can be read.
///
/// A ledger that is all there is the same one afterwards, and fits the same mark. Of one that is not, the entries that can be
/// read stay spent, and the bounds that are known; no other epoch signs before a new beginning.
pub(crate) fn rescue(damaged: &Store, new: &Store) -> Result<Option<bool>> {
    let said = match damaged.ledger_head() {
        Err(error) if error.reason() == Reason::Damaged => None,
        head => head?,
    };
    let (found, is_whole) = match copy_entries(damaged, new) {
        Err(error) if error.reason() == Reason::Damaged && error.path() == Some(damaged.path()) => {
            (LedgerHead::default(), false)
        }
        copied => copied?,
    };
    let head = match said {
        Some(said) if is_whole => said,
        None if found.knows_nothing() => return Ok(None),
        said => doubted(&said.unwrap_or_default(), &found, None),
    };
    new.commit_ledger([], &head)?;
    Ok(Some(is_whole && head.initialised))
}

/// The entries that come before the first that cannot be read.
fn copy_entries(damaged: &Store, new: &Store) -> Result<(LedgerHead, bool)> {
    let mut found = LedgerHead::default();
    let mut entries = damaged.ledger_entries()?;
    loop {
        let mut chunk = Vec::new();
        let mut is_whole = true;
        for entry in entries.by_ref().take(CHUNK_ENTRIES) {
            match entry {
                Ok(entry) => chunk.push(entry),
                Err(error) if error.reason() == Reason::Damaged => {
                    is_whole = false;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        chunk.iter().for_each(|(epoch, record)| found.add(*epoch, record));
        let is_last = chunk.len() < CHUNK_ENTRIES;
        new.commit_ledger_entries(chunk.iter().map(|(epoch, record)| (*epoch, record)))?;
        if is_last {
            return Ok((found, is_whole));
        }
    }
}
