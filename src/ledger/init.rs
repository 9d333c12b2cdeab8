//! Beginning a ledger.

use std::path::Path;

use super::error::{past_key, too_low};
use super::fit::first_unspent;
use super::{Ledger, count, doubted, is_used_up, known_mark};
use crate::error::{Reason, Result};
use crate::keydir::KeyDir;
use crate::state::LedgerHead;

/// Says from which epoch on the sealed key in a directory is unused, but for the epochs that its ledger lists.
///
/// It never lowers anything: the epoch must not be below one that was said when this ledger was begun, nor one that
/// was imported. A ledger that does not fit the mark beside it is begun above everything that both know, and fits afterwards.
///
/// Gives the first epoch that may sign now; none where the ledger lists all of them.
///
/// # Errors
/// [`Reason::TooLow`] names the least epoch that is possible; [`Reason::UsedUp`] if none is.
pub fn init(directory: &Path, first_epoch: u64) -> Result<Option<u64>> {
    let key = KeyDir::open_sealed(directory)?;
    let stored = key.manifest().plan().stored();
    let mut ledger = Ledger::open_unchecked(&key)?;
    ledger.settle_or_doubt()?;
    let asked = first_epoch;
    if is_used_up(&ledger.head.extent, stored) {
        return Err(ledger.used_up());
    }
    if asked >= stored.end {
        return Err(past_key(asked, stored));
    }
    let least = ledger.head.extent.first_epoch;
    if asked < least {
        return Err(too_low(asked, least, directory));
    }
    let mut head = LedgerHead {
        initialised: true,
        ..ledger.head.clone()
    };
    head.extent.first_epoch = first_epoch;
    ledger.commit([], head)?;
    ledger.mark()?;
    first_unspent(&ledger.store, &ledger.head.extent, stored)
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
        Ok(false)
    }
}
