//! Why a key is not divided, a part not made, or parts not joined.

use std::path::Path;

use super::division::PartIndex;
use crate::error::{Error, Reason};
use crate::layers::ADOPTED_PARTS_MAX;
use crate::remedy::{Argument, Remedy};

pub(super) fn too_many_parts(parts: u64, most: u64) -> Error {
    let what = format!("this key cannot have {parts} parts: it can have 1 to {most}");
    Error::usage(what).mend([Remedy::Change(Argument::Parts)])
}

pub(super) fn not_divisible(epochs: u64, least: u64) -> Error {
    let what = format!("parts of {epochs} epochs are not possible: their number is a power of two, at least {least}");
    Error::usage(what).mend([Remedy::Change(Argument::PartEpochs)])
}

pub(super) fn no_such_part(index: PartIndex, parts: u64) -> Error {
    let what = format!("there is no part {index}: the key has parts 0 to {}", parts - 1);
    Error::usage(what).mend([Remedy::Change(Argument::Index)])
}

/// Neither a number of parts nor of epochs was named, for a key that is not divided yet.
pub(super) fn no_division(directory: &Path) -> Error {
    let what = format!("the key in '{}' is not divided into parts yet", directory.display());
    Error::usage(what)
        .at(directory)
        .mend([Remedy::Give(Argument::Parts), Remedy::Give(Argument::PartEpochs)])
}

/// The key was divided in another way.
pub(super) fn other_division(ticket: &Path, asked: Argument) -> Error {
    let what = format!("'{}' divides the key in another way", ticket.display());
    Error::directory(what)
        .because(Reason::Contradiction)
        .at(ticket)
        .mend([Remedy::LeaveOut(asked), Remedy::MoveAway(ticket.to_owned())])
}

pub(super) fn is_finished(directory: &Path) -> Error {
    let what = format!(
        "the key in '{}' is finished, so there is nothing to divide",
        directory.display()
    );
    Error::directory(what).because(Reason::InTheWay).at(directory)
}

pub(super) fn no_ticket(ticket: &Path) -> Error {
    let what = format!("there is no ticket '{}'", ticket.display());
    Error::directory(what).because(Reason::Lost).at(ticket)
}

pub(super) fn bad_ticket(ticket: &Path, what: &str) -> Error {
    Error::damaged("", ticket, what).mend([Remedy::PutBack(ticket.to_owned())])
}

/// All names that scratch can have are taken by what is not scratch of this user's.
pub(super) fn taken(scratch: &Path) -> Error {
    let what = format!(
        "'{}' and all names before it are taken by links, by directories that others can write, or by keys",
        scratch.display()
    );
    Error::directory(what)
        .because(Reason::InTheWay)
        .at(scratch)
        .mend([Remedy::OtherDirectory])
}

/// The secret is not that of the ticket's key.
pub(super) fn other_secret(secret: &Path) -> Error {
    let what = format!(
        "'{}' is not the secret of this key: it is not the one that the ticket was made with",
        secret.display()
    );
    Error::directory(what).because(Reason::SecretDamaged).at(secret)
}

/// The file of a part cannot be moved into the key.
pub(super) fn other_file_system(parts: &Path, instead: Option<Remedy>) -> Error {
    let what = format!(
        "'{}' is on another file system than the layers of the key, and only a file of the same one can be moved into the key",
        parts.display()
    );
    let remedies = instead.into_iter().chain([Remedy::OtherDirectory]);
    Error::usage(what).at(parts).mend(remedies)
}

/// The parts are to come from where they are.
pub(super) fn source_is_key(source: &Path) -> Error {
    let what = format!(
        "'{}' is where the key keeps the parts that it has adopted; others have to come from another directory",
        source.display()
    );
    Error::usage(what).at(source).mend([Remedy::OtherDirectory])
}

/// More parts than a key can adopt.
pub(super) fn too_many_to_adopt(parts: u64) -> Error {
    let what = format!("a key can adopt {ADOPTED_PARTS_MAX} parts at most, and here are {parts}");
    Error::usage(what).mend([Remedy::LeaveOut(Argument::Adopt), Remedy::Fewer(Argument::Parts)])
}
