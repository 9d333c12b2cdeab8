//! Whether the ledger of signed epochs is whole: its entries against its head, and its head against the mark.

use std::path::Path;

use super::Damage;
use crate::error::{Reason, Result};
use crate::keydir::KeyDir;
use crate::ledger::{LedgerCondition, look};

/// What is wrong with the ledger. That a key has no known history, or is used up, is not.
pub(super) fn check(key: &KeyDir) -> Result<Option<Damage>> {
    let paths = key.paths();
    let seen = match look(key) {
        Err(error) if error.reason() == Reason::Damaged => {
            return Ok(Some(Damage::of_file(&paths.state(), None, &error)));
        }
        seen => seen?,
    };
    let Some((condition, problem)) = seen.problem else {
        return Ok(None);
    };
    let file = match condition {
        LedgerCondition::Sound | LedgerCondition::NoHistory | LedgerCondition::UsedUp => return Ok(None),
        // No repair of this directory mends it, and the key does not sign before it is mended.
        LedgerCondition::Moved => {
            let damage = Damage::of_file(&paths.ledger_mark(), None, &problem);
            let file = problem.path().map_or(damage.file, Path::to_owned);
            return Ok(Some(Damage { file, ..damage }));
        }
        LedgerCondition::WentBackwards => paths.state(),
        LedgerCondition::MarkMissing | LedgerCondition::MarkDamaged => paths.ledger_mark(),
    };
    Ok(Some(Damage::of_file(&file, None, &problem)))
}
