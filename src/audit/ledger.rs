//! Whether the ledger of signed epochs is whole: its entries against its head, and its head against the mark.

use super::Damage;
use crate::keydir::KeyDir;
use crate::ledger::{LedgerCondition, LedgerError, look};
use crate::state::StateError;

/// What is wrong with the ledger. That a key has no known history, or is used up, is not.
pub(super) fn check(key: &KeyDir) -> Result<Option<Damage>, LedgerError> {
    let paths = key.paths();
    let seen = match look(key) {
        Err(LedgerError::State(error @ StateError::Damaged { .. })) => {
            return Ok(Some(Damage::of_file(&paths.state(), None, &error)));
        }
        seen => seen?,
    };
    let Some((condition, problem)) = seen.problem else {
        return Ok(None);
    };
    let file = match condition {
        LedgerCondition::Sound | LedgerCondition::NoHistory | LedgerCondition::UsedUp => return Ok(None),
        LedgerCondition::WentBackwards => paths.state(),
        LedgerCondition::MarkMissing | LedgerCondition::MarkDamaged => paths.ledger_mark(),
    };
    Ok(Some(Damage::of_file(&file, None, &problem)))
}
