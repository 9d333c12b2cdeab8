//! Why the ledger of a set cannot be used, or a key not be moved.

use std::path::Path;

use crate::error::{Error, Reason};
use crate::files::parent_of;
use crate::remedy::Remedy;
use crate::units::{KeyId, SetLedgerId};

/// The mark of the ledger is not one.
pub(super) fn bad_mark(path: &Path, what: &str) -> Error {
    Error::damaged("", path, what)
        .because(Reason::MarkDamaged)
        .mend([Remedy::PutBack(path.to_owned())])
}

/// There is no mark to compare the ledger with.
pub(super) fn mark_missing(mark: &Path) -> Error {
    let what = format!(
        "'{}' is missing, so it cannot be told whether the ledger of the set has lost entries",
        mark.display()
    );
    Error::directory(what)
        .because(Reason::MarkMissing)
        .at(mark)
        .mend([Remedy::PutBack(mark.to_owned())])
}

/// The ledger says less than it said before.
pub(super) fn backwards(set: &Path, how: &str) -> Error {
    let what = format!(
        "the ledger of the set in '{}' is older than its mark, or another one: {how}. Epochs that it does not list may have \
         signed; only the newest ledger/ may be put back, as a whole",
        set.display()
    );
    Error::directory(what)
        .because(Reason::WentBackwards)
        .at(set)
        .mend([Remedy::PutBack(set.join(super::LEDGER))])
}

/// There is no ledger, or it is another one.
pub(super) fn no_ledger(set: &Path, expected: Option<SetLedgerId>) -> Error {
    let what = match expected {
        None => format!("the set in '{}' has no ledger", set.display()),
        Some(id) => format!(
            "the ledger of the set {id}, which lets this key sign, is not in '{}': the key stands in that set's directory",
            set.display()
        ),
    };
    Error::directory(what)
        .because(Reason::Lost)
        .at(set)
        .mend([Remedy::PutBack(set.join(super::LEDGER))])
}

/// The ledger of the set does not know that the key moved to it.
pub(super) fn not_known(directory: &Path, set: &Path) -> Error {
    let what = format!(
        "the ledger of the set in '{}' does not list the key in '{}', which moved to it: the ledger is an older one",
        set.display(),
        directory.display()
    );
    Error::directory(what).because(Reason::WentBackwards).at(set).mend([
        Remedy::PutBack(set.join(super::LEDGER)),
        Remedy::LedgerInit(directory.to_owned()),
    ])
}

/// The directory is an older copy of the key than the one that moved.
pub(in crate::ledger) fn old_copy(directory: &Path, set: &Path) -> Error {
    let what = format!(
        "'{}' is an old copy of a key whose ledger has moved since, as the ledger of the set in '{}' says; epochs that it does \
         not list may have signed",
        directory.display(),
        set.display()
    );
    Error::directory(what)
        .because(Reason::WentBackwards)
        .at(directory)
        .mend([
            Remedy::PutBack(directory.to_owned()),
            Remedy::MoveLedgerIn(directory.to_owned()),
        ])
}

/// A move began and did not end.
pub(super) fn unfinished(directory: &Path, remedy: fn(std::path::PathBuf) -> Remedy) -> Error {
    let what = format!(
        "the ledger of the key in '{}' is on its way: the move of it was not finished",
        directory.display()
    );
    Error::directory(what)
        .because(Reason::LedgerMoved)
        .at(directory)
        .mend([remedy(directory.to_owned())])
}

/// The set is not the one to which the key moved.
pub(super) fn other_set(directory: &Path, set: &Path, id: SetLedgerId) -> Error {
    let what = format!(
        "the ledger of the key in '{}' is that of the set {id}, or on its way there, and not that of '{}'",
        directory.display(),
        set.display()
    );
    Error::directory(what)
        .because(Reason::LedgerMoved)
        .at(directory)
        .mend([Remedy::PutBack(set.join(super::LEDGER))])
}

/// The key is not in the directory of the set.
pub(super) fn not_in_set(directory: &Path, set: &Path) -> Error {
    let what = format!(
        "'{}' does not stand in '{}': a key whose ledger is that of a set stands in the directory of the set; move it there \
         first, and make no copy of it",
        directory.display(),
        set.display()
    );
    Error::usage(what).at(directory)
}

/// Something else has the name of the ledger.
pub(super) fn in_the_way(ledger: &Path) -> Error {
    let what = format!("'{}' is in the way of the ledger of the set", ledger.display());
    Error::directory(what)
        .because(Reason::InTheWay)
        .at(ledger)
        .mend([Remedy::MoveAway(ledger.to_owned())])
}

/// Another key of the set has the same one-time keys.
pub(super) fn same_one_time_keys(directory: &Path, other: &str) -> Error {
    let what = format!(
        "the key in '{}' has the same one-time keys as the key {other}, which is in the ledger of the set: one of the two may \
         sign, and it is that one",
        directory.display()
    );
    Error::directory(what).because(Reason::Contradiction).at(directory)
}

/// It is not known which one-time keys the key has.
pub(super) fn fingerprint_unknown(directory: &Path) -> Error {
    let what = format!(
        "the fingerprint of the key in '{}' is not known, so it cannot be told whether another key of the set has the same \
         one-time keys; its secret has to be there once",
        directory.display()
    );
    Error::directory(what).at(directory)
}

/// The key's own ledger and that of the set say different things of one epoch.
pub(super) fn differs(directory: &Path, set: &Path) -> Error {
    let what = format!(
        "the ledger of the key in '{}' has entries that the ledger of the set in '{}' does not have, though it moved there: one \
         of the two is of another copy",
        directory.display(),
        set.display()
    );
    Error::directory(what)
        .because(Reason::WentBackwards)
        .at(directory)
        .mend([Remedy::PutBack(set.join(super::LEDGER))])
}

/// An error of the store, with what mends the ledger of a set: there is no repair of one.
pub(super) fn of_store(error: Error) -> Error {
    if error.reason() != Reason::Damaged {
        return error;
    }
    let ledger = error.path().map(|path| parent_of(path).to_owned());
    error.mended_by(ledger.map(Remedy::PutBack))
}

/// The key does not sign by this ledger in this process.
pub(super) fn not_held(key: KeyId, set: &Path) -> Error {
    let what = format!(
        "the key {key} does not sign by the ledger of the set in '{}'",
        set.display()
    );
    Error::directory(what).because(Reason::LedgerMoved).at(set)
}

/// The key has a ledger of its own.
pub(super) fn has_its_own(directory: &Path, set: &Path) -> Error {
    let what = format!(
        "the key in '{}' has a ledger of its own, which is not that of the set in '{}'",
        directory.display(),
        set.display()
    );
    Error::directory(what)
        .because(Reason::Contradiction)
        .at(directory)
        .mend([Remedy::MoveLedgerIn(directory.to_owned())])
}
