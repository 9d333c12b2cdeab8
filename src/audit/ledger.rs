//! Whether the ledger of signed epochs is whole: its entries against its head, and its head against the mark.

use std::path::PathBuf;

use super::Damage;
use crate::keydir::{KeyDir, KeyDirError, LedgerMark};
use crate::ledger::{Fit, LedgerError, count, fit};
use crate::state::{StateError, Store};

/// Everything that is wrong with the ledger. That a key has no known history is not.
pub(super) fn check(key: &KeyDir) -> Result<Vec<Damage>, StateError> {
    let paths = key.paths();
    let manifest = key.manifest();
    // The mark first: it is written last, so that a signer between the two readings is not taken for a loss.
    let mark = LedgerMark::read(&paths.ledger_mark(), manifest.key_id());
    let read = |store: &Store| Ok((store.ledger_head()?, count(store)?));
    let (head, counted) = Store::read_beside_a_writer(&paths.state(), &manifest.binding(), read)?;
    let Some(head) = head else {
        return Ok(vec![damage(paths.state(), "the ledger has no head".to_owned())]);
    };
    let mut found = Vec::new();
    if !head.has_entries_of(&counted) {
        let what = format!(
            "the ledger counts {} spent epochs, but its {} entries are not those",
            head.extent.spent, counted.extent.spent
        );
        found.push(damage(paths.state(), what));
    }
    match mark {
        Ok(Some(mark)) => {
            if let Fit::Backwards(what) = fit(&head, &mark) {
                let directory = key.path().to_owned();
                let what = LedgerError::Backwards { directory, what }.to_string();
                found.push(damage(paths.state(), what));
            }
        }
        Ok(None) => {
            let what = LedgerError::MarkMissing(paths.ledger_mark()).to_string();
            found.push(damage(paths.ledger_mark(), what));
        }
        Err(KeyDirError::Io(failure)) => return Err(failure.into()),
        Err(error) => found.push(damage(paths.ledger_mark(), error.to_string())),
    }
    Ok(found)
}

fn damage(file: PathBuf, what: String) -> Damage {
    Damage {
        file,
        level: None,
        batch: None,
        nodes: None,
        what,
    }
}
