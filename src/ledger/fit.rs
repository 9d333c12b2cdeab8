//! The ledger against the mark that was left beside it.

use crate::keydir::LedgerMark;
use crate::state::{LedgerHead, StateError, Store};
use crate::units::KeyId;

/// How a ledger fits the mark beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// The mark is of this ledger as it stands.
    Same,
    /// The mark is of an earlier state: a process ended after writing the ledger and before writing the mark.
    Ahead,
    /// The mark is of a later state, or of another ledger.
    Backwards(String),
}

/// Compares a ledger with the mark beside it. A ledger only ever grows, and it is written before the mark is.
pub(crate) fn fit(head: &LedgerHead, mark: &LedgerMark) -> Fit {
    let shown = |highest: Option<u32>| highest.map_or_else(|| "none".to_owned(), |epoch| epoch.to_string());
    let backwards = if mark.spent > head.spent {
        format!("it has {} entries, and had {}", head.spent, mark.spent)
    } else if mark.first_epoch > head.first_epoch {
        let (now, before) = (head.first_epoch, mark.first_epoch);
        format!("its first epoch is {now}, and was {before}")
    } else if mark.highest > head.highest {
        let (now, before) = (shown(head.highest), shown(mark.highest));
        format!("its highest epoch is {now}, and was {before}")
    } else if mark.spent == head.spent && mark.digest != head.digest {
        format!("it has {} entries as before, but not the same ones", head.spent)
    } else if mark.spent < head.spent || mark.first_epoch < head.first_epoch {
        return Fit::Ahead;
    } else {
        return Fit::Same;
    };
    Fit::Backwards(backwards)
}

/// The mark of a ledger.
pub(crate) fn mark_of(head: &LedgerHead, key_id: KeyId) -> LedgerMark {
    LedgerMark {
        key_id,
        first_epoch: head.first_epoch,
        spent: head.spent,
        highest: head.highest,
        digest: head.digest,
    }
}

/// What the head of a ledger has to say about entries, from the entries themselves.
pub(crate) fn count(store: &Store) -> Result<LedgerHead, StateError> {
    let mut counted = LedgerHead::default();
    for entry in store.ledger_entries()? {
        let (epoch, record) = entry?;
        counted.add(epoch, &record);
    }
    Ok(counted)
}

#[cfg(test)]
mod tests {
    use super::{Fit, fit, mark_of};
    use crate::state::{LedgerHead, LedgerRecord};
    use crate::units::{Epoch, KeyId};

    fn head(first_epoch: u64, epochs: &[u32]) -> LedgerHead {
        let mut head = LedgerHead {
            first_epoch,
            ..LedgerHead::default()
        };
        for &epoch in epochs {
            let record = LedgerRecord {
                message_digest: Some([1; 32]),
                scheme: String::new(),
                signed_unix_ms: 7,
            };
            head.add(Epoch(epoch), &record);
        }
        head
    }

    #[test]
    fn a_ledger_fits_a_mark_of_its_own_past_and_no_other() {
        let mark = mark_of(&head(3, &[4, 9]), KeyId([0; 16]));
        assert_eq!(fit(&head(3, &[4, 9]), &mark), Fit::Same);
        // In whatever order they came.
        assert_eq!(fit(&head(3, &[9, 4]), &mark), Fit::Same);
        for ahead in [head(3, &[4, 9, 10]), head(3, &[4, 9, 5]), head(4, &[4, 9])] {
            assert_eq!(fit(&ahead, &mark), Fit::Ahead);
        }
        for less in [
            head(3, &[]),
            head(3, &[4]),
            head(3, &[4, 8]),
            head(3, &[5, 9]),
            head(2, &[4, 9]),
            head(9, &[4]),
            head(3, &[4, 5, 6]),
        ] {
            assert!(matches!(fit(&less, &mark), Fit::Backwards(_)), "{less:?}");
        }
    }
}
