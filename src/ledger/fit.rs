//! Compares the ledger with the mark beside it.

use crate::error::Result;
use crate::keydir::{LedgerMark, Stage};
use crate::state::{LedgerHead, LedgerRecord, Store};
use crate::text::counted;
use crate::units::{Epoch, EpochRange, KeyId, LedgerExtent};

/// An entry of a ledger, as it is read.
pub(super) type FoundEntry = Result<(Epoch, LedgerRecord)>;

/// How a ledger fits the mark beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// The mark is of this ledger as it stands.
    Same,
    /// The mark is of an earlier state: a process ended after writing the ledger and before writing the mark.
    Ahead,
    /// The mark is of a later state, of another ledger, or older than the one before the last change.
    Backwards(String),
}

/// Compares a ledger with the mark beside it. A ledger only ever grows, and it is written before the mark is. So the mark
/// is of the ledger as it stands, or of the state that it had when it was last marked; of any other ledger, such as that of
/// a copy of the key that has signed on its own, it is not.
///
/// The store can also lose entries and keep the head, as when an old list of its files meets a newer log. So the entries
/// are counted, whenever it is opened.
pub(crate) fn fit(head: &LedgerHead, entries: u64, mark: &LedgerMark) -> Fit {
    let (now, before) = (&head.extent, &mark.extent);
    if entries != now.spent {
        return Fit::Backwards(format!(
            "{}, and its head counts {}",
            counted(entries, "entry"),
            now.spent
        ));
    }
    if before == now {
        return Fit::Same;
    }
    if *before == head.marked {
        return Fit::Ahead;
    }
    let shown = |highest: Option<u32>| highest.map_or_else(|| "none".to_owned(), |epoch| epoch.to_string());
    Fit::Backwards(if before.spent > now.spent {
        format!("{}, {} expected", counted(now.spent, "entry"), before.spent)
    } else if before.first_epoch > now.first_epoch {
        format!("first epoch {}, {} expected", now.first_epoch, before.first_epoch)
    } else if before.highest > now.highest {
        let (now, before) = (shown(now.highest), shown(before.highest));
        format!("highest epoch {now}, {before} expected")
    } else if before.spent == now.spent {
        format!("{} as expected, but not the same", counted(now.spent, "entry"))
    } else {
        let (now, before) = (counted(now.spent, "entry"), before.spent);
        format!("{now}, but ledger.mark is of another ledger with {before}, or older than the last change")
    })
}

/// Whether ledger and mark both say that a history is known. Of a key whose secret is elsewhere too, only the mark knows.
pub(crate) fn is_begun(head: &LedgerHead, mark: Option<&LedgerMark>) -> bool {
    head.initialised && mark.is_some_and(LedgerMark::vouches)
}

/// What is left of a ledger that has lost something, or may have: its entries. It is not known which of the others have signed, up
/// to whatever the ledger or its mark has known of, and nothing is signed before a new beginning above that.
pub(crate) fn doubted(said: &LedgerHead, counted: &LedgerHead, mark: Option<&LedgerMark>) -> LedgerHead {
    let known = [Some(said.extent), Some(counted.extent), mark.map(|mark| mark.extent)];
    let above = known.iter().flatten().map(LedgerExtent::above_all_known).max();
    LedgerHead {
        initialised: false,
        extent: LedgerExtent {
            first_epoch: above.unwrap_or_default(),
            ..counted.extent
        },
        ..*counted
    }
}

/// Whether no epoch of a key that stores these is known to be unused, nor can be said to be.
pub(crate) fn is_used_up(extent: &LedgerExtent, stored: EpochRange) -> bool {
    extent.first_epoch >= stored.end
}

/// The mark of a key's own ledger, which has moved so often.
pub(crate) fn mark_of(head: &LedgerHead, key_id: KeyId, moves: u64) -> LedgerMark {
    LedgerMark {
        moves,
        key_id,
        stage: Stage::of_key(head.initialised),
        extent: head.extent,
    }
}

/// What the head of a ledger has to say about entries, from the entries themselves.
pub(crate) fn count(store: &Store) -> Result<LedgerHead> {
    count_entries(store.ledger_entries()?)
}

/// As [`count`], wherever the entries are.
pub(super) fn count_entries(entries: impl Iterator<Item = FoundEntry>) -> Result<LedgerHead> {
    let mut counted = LedgerHead::default();
    for entry in entries {
        let (epoch, record) = entry?;
        counted.add(epoch, &record);
    }
    Ok(counted)
}

/// How many epochs have no entry, of those from the first on that may have none and be unused.
pub(crate) fn unspent(
    entries: impl Iterator<Item = FoundEntry>,
    extent: &LedgerExtent,
    stored: EpochRange,
) -> Result<u64> {
    let first = extent.first_epoch.clamp(stored.start, stored.end);
    let mut left = stored.end - first;
    for entry in entries {
        let (epoch, _) = entry?;
        left -= u64::from(u64::from(epoch.0) >= first && stored.contains(epoch));
    }
    Ok(left)
}

/// The lowest epoch without an entry, of those from the first on that may have none and be unused.
pub(crate) fn first_unspent(
    entries: impl Iterator<Item = FoundEntry>,
    extent: &LedgerExtent,
    stored: EpochRange,
) -> Result<Option<u64>> {
    let mut first = extent.first_epoch.max(stored.start);
    // They come in the order of their epochs.
    for entry in entries {
        let (epoch, _) = entry?;
        if u64::from(epoch.0) > first {
            break;
        }
        first += u64::from(u64::from(epoch.0) == first);
    }
    Ok((first < stored.end).then_some(first))
}

#[cfg(test)]
mod tests {
    use super::{Fit, fit, mark_of};
    use crate::keydir::LedgerMark;
    use crate::state::{LedgerHead, LedgerRecord};
    use crate::units::{Epoch, KeyId};

    /// Fits a ledger whose entries are all there.
    fn fits(head: &LedgerHead, mark: &LedgerMark) -> Fit {
        fit(head, head.extent.spent, mark)
    }

    fn head(first_epoch: u64, epochs: &[u32]) -> LedgerHead {
        let mut head = LedgerHead::default();
        head.extent.first_epoch = first_epoch;
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

    /// The same ledger after further entries, written while the mark beside it was of `before`.
    fn after(before: &LedgerHead, first_epoch: u64, epochs: &[u32]) -> LedgerHead {
        let marked = before.extent;
        LedgerHead {
            marked,
            ..head(first_epoch, epochs)
        }
    }

    #[test]
    fn a_ledger_fits_its_own_mark_and_the_one_before_and_no_other() {
        let before = head(3, &[4, 9]);
        let mark = mark_of(&before, KeyId([0; 16]), 0);
        assert_eq!(fits(&before, &mark), Fit::Same);
        // In whatever order they came.
        assert_eq!(fits(&head(3, &[9, 4]), &mark), Fit::Same);
        for ahead in [
            after(&before, 3, &[4, 9, 10]),
            after(&before, 3, &[4, 9, 5]),
            after(&before, 4, &[4, 9]),
        ] {
            assert_eq!(fits(&ahead, &mark), Fit::Ahead);
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
            assert!(matches!(fits(&less, &mark), Fit::Backwards(_)), "{less:?}");
        }
    }

    #[test]
    fn a_longer_ledger_of_a_copy_that_signed_on_its_own_does_not_fit() {
        let mark = mark_of(&head(0, &[4, 9]), KeyId([0; 16]), 0);
        let copy_before = head(0, &[4, 8]);
        let copy = after(&copy_before, 0, &[4, 8, 10]);
        assert!(matches!(fits(&copy, &mark), Fit::Backwards(_)));
    }

    #[test]
    fn a_ledger_that_lacks_entries_which_its_head_counts_does_not_fit() {
        let whole = head(0, &[4, 9]);
        let mark = mark_of(&whole, KeyId([0; 16]), 0);
        assert!(matches!(fit(&whole, 1, &mark), Fit::Backwards(_)));
        assert_eq!(fit(&whole, 2, &mark), Fit::Same);
    }
}
