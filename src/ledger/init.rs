//! Beginning a ledger.

use std::path::Path;

use super::error::{past_key, too_low};
use super::{Ledger, SigningLedger, count, doubted, known_mark};
use crate::error::{Reason, Result};
use crate::keydir::KeyDir;

/// Says from which epoch on the sealed key in a directory is unused, but for the epochs that its ledger lists.
///
/// It never lowers anything: the epoch must not be below one that was said when this ledger was begun, nor one that
/// was imported. A ledger that does not fit the mark beside it is begun above everything that both know, and fits afterwards.
///
/// A key whose ledger is that of a set is begun there; where that has lost it, the key has a ledger of its own again.
///
/// Gives the first epoch that may sign now; none where the ledger lists all of them.
///
/// # Errors
/// [`Reason::TooLow`] names the least epoch that is possible; [`Reason::UsedUp`] if none is.
pub fn init(directory: &Path, first_epoch: u64) -> Result<Option<u64>> {
    let key = KeyDir::open_sealed(directory)?;
    let stored = key.manifest().plan().stored();
    let key_id = key.manifest().key_id();
    let mut ledger = SigningLedger::open_to_begin(&key)?;
    let asked = first_epoch;
    ledger.check_not_used_up(&key)?;
    if asked >= stored.end {
        return Err(past_key(asked, stored));
    }
    let mut head = ledger.head(key_id)?;
    let least = head.extent.first_epoch;
    if asked < least {
        return Err(too_low(asked, least, directory));
    }
    head.initialised = true;
    head.extent.first_epoch = first_epoch;
    ledger.commit(key_id, [], head)?;
    ledger.mark()?;
    ledger.first_unspent(key_id)
}

impl Ledger {
    /// Compares the ledger with its entries and with the mark beside it. One that does not fit is taken for what is found of
    /// it from here on: nothing is written yet. Gives whether it fits.
    pub(super) fn settle_or_doubt(&mut self) -> Result<bool> {
        let counted = count(&self.store)?;
        match self.settle() {
            Ok(()) if self.head.has_entries_of(&counted) => return Ok(true),
            Ok(()) => {}
            Err(error)
                if matches!(
                    error.reason(),
                    Reason::WentBackwards | Reason::MarkMissing | Reason::MarkDamaged
                ) => {}
            Err(error) => return Err(error),
        }
        let mark = known_mark(&self.locked.ledger_mark(), self.key_id)?;
        self.head = doubted(&self.head, &counted, mark.as_ref());
        if let Some(newer) = self.newer.take() {
            let extent = &mut self.head.extent;
            extent.first_epoch = extent.first_epoch.max(newer.extent.above_all_known());
            self.moves = newer.moves;
        }
        Ok(false)
    }
}
