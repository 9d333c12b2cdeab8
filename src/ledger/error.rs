//! Why an epoch cannot be spent, or a ledger not be changed.

use std::path::Path;

use crate::error::{Error, Reason};
use crate::keydir::error::advice_for_mark;
use crate::remedy::Remedy;
use crate::units::EpochRange;

/// It is not known which epochs are unused: `ledger init` has not said.
pub(super) fn no_history(directory: &Path) -> Error {
    let what = format!(
        "keymill does not know which epochs of '{}' have signed: its secret was given, imported, restored or exported, or its \
         ledger was lost",
        directory.display()
    );
    Error::directory(what)
        .because(Reason::NoHistory)
        .at(directory)
        .mend([Remedy::LedgerInit(directory.to_owned())])
}

/// The epoch may have signed before the ledger was begun.
pub(super) fn before_history(epoch: u64, first_epoch: u64, directory: &Path) -> Error {
    let what = format!(
        "epoch {epoch} may have signed. The ledger of '{}' was begun at epoch {first_epoch}, or an import raised it to that: \
         only epochs from {first_epoch} on are known to be unused; choose one that has not signed",
        directory.display()
    );
    Error::directory(what).because(Reason::BeforeHistory).at(directory)
}

/// There is no mark to compare the ledger with.
pub(super) fn mark_missing(mark: &Path) -> Error {
    let what = format!(
        "'{}' is missing, so it cannot be told whether the ledger has lost entries",
        mark.display()
    );
    Error::directory(what)
        .because(Reason::MarkMissing)
        .at(mark)
        .mend(advice_for_mark(mark))
}

/// The ledger says less than it said before.
pub(super) fn backwards(directory: &Path, how: &str) -> Error {
    let what = format!(
        "the ledger in '{}' is older than its mark, or belongs to another copy: {how}. Epochs that it does not list may have \
         signed; only the newest state/ with its ledger.mark may be put back",
        directory.display()
    );
    Error::directory(what)
        .because(Reason::WentBackwards)
        .at(directory)
        .mend([
            Remedy::PutBack(directory.join("state")),
            Remedy::LedgerInit(directory.to_owned()),
        ])
}

/// The first epoch is one that may have signed.
pub(super) fn too_low(asked: u64, least: u64, directory: &Path) -> Error {
    let what = format!(
        "the first epoch {asked} is too low for '{}': epochs below {least} are not known to be unused; use {least} or \
         more",
        directory.display()
    );
    Error::directory(what).because(Reason::TooLow { least }).at(directory)
}

/// No epoch is left.
pub(super) fn used_up(directory: &Path, stored: EpochRange) -> Error {
    let what = format!(
        "the key in '{}' is used up: each of its epochs, {stored}, has signed or is not known to be unused, and none can be said \
         to be; make another key",
        directory.display()
    );
    Error::directory(what).because(Reason::UsedUp).at(directory)
}

/// The first epoch is past the key.
pub(super) fn past_key(asked: u64, stored: EpochRange) -> Error {
    Error::usage(format!(
        "the first epoch {asked} is past this key, which stores the epochs {stored}, so none could sign; if every epoch may have \
         signed, the key is used up"
    ))
    .because(Reason::PastKey)
}

/// A write failed, and it is not known whether it arrived.
pub(crate) fn unknown(directory: &Path) -> Error {
    let what = format!(
        "the ledger in '{}' could not be written; nothing more is signed before it is opened again",
        directory.display()
    );
    Error::machine(what)
        .because(Reason::Unknown)
        .at(directory)
        .mend([Remedy::Again])
}

/// The ledger was opened before this process was forked.
pub(super) fn forked(parent: u32, directory: &Path) -> Error {
    let what = format!(
        "process {parent} opened the key in '{}' before this one was forked from it, and what either signs the other does not \
         know; open the key after the fork",
        directory.display()
    );
    Error::usage(what).at(directory)
}

/// A file cannot be imported.
pub(super) fn unfit(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::usage(format!("'{}' cannot be imported: {why}", path.display())).at(path)
}

/// A file has nothing of this key.
pub(super) fn other_key(path: &Path, directory: &Path) -> Error {
    let what = format!(
        "'{}' is not a ledger of the key in '{}', but of another key or of none: no fingerprint in it is that of this key's \
         one-time keys, and no pubkey and scheme are this key's",
        path.display(),
        directory.display()
    );
    Error::directory(what).because(Reason::OtherKey).at(directory)
}
