//! Why a path or a signature cannot be given.

use std::path::Path;

use crate::error::{Error, Reason};
use crate::remedy::Remedy;
use crate::time::utc;
use crate::units::{Epoch, EpochRange, Level, NodeIndex};

/// The key has no such epoch.
pub(crate) fn outside_key(epoch: u64, stored: EpochRange) -> Error {
    let what = format!("epoch {epoch} is outside this key, which stores the epochs {stored}");
    Error::usage(what).because(Reason::OutsideKey)
}

/// The epoch has signed another message.
pub(crate) fn spent(epoch: Epoch, signed_unix_ms: u64, directory: &Path) -> Error {
    let when = if signed_unix_ms == 0 {
        "at a time that is not known".to_owned()
    } else {
        format!("at {}", utc(signed_unix_ms))
    };
    let what = format!("epoch {epoch} already signed another message {when}; each epoch signs only one");
    Error::no(what)
        .because(Reason::Spent)
        .mend([Remedy::OtherEpoch(directory.to_owned())])
}

/// What is stored does not lead to the root.
pub(super) fn damaged(epoch: Epoch, directory: &Path) -> Error {
    let what = format!(
        "the path of epoch {epoch} in '{}' does not lead to the root: a layer file is damaged, and a check of the key finds \
         where",
        directory.display()
    );
    Error::directory(what)
        .because(Reason::Damaged)
        .at(directory)
        .mend([Remedy::Repair(directory.to_owned())])
}

/// What the secret gives is not what is stored above it.
pub(super) fn damaged_block(level: Level, node: NodeIndex, epochs: EpochRange, file: &Path, directory: &Path) -> Error {
    let what = format!(
        "node {node} of level {level} in '{}' is not what the secret gives for the epochs {epochs} below it: it is damaged",
        file.display()
    );
    Error::directory(what)
        .because(Reason::Damaged)
        .at(file)
        .mend([Remedy::Repair(directory.to_owned())])
}

/// The key is trimmed, and its secret cannot be read.
pub(super) fn secret_needed(why: impl Into<Error>, trim: Level, directory: &Path) -> Error {
    let needed = format!(
        "the key in '{}' is trimmed: its levels below {trim} are not stored, and each path is computed from the secret in part",
        directory.display()
    );
    why.into().within(needed)
}

/// The manifest's public key is not one.
pub(super) fn bad_public_key(directory: &Path, why: &keymill_xmss::SszError) -> Error {
    let what = format!(
        "the public key in the manifest of '{}' is not one: {why}",
        directory.display()
    );
    Error::directory(what).at(directory)
}

/// No attempt gave an accepted codeword.
pub(super) fn no_codeword(epoch: Epoch, attempts: u64) -> Error {
    Error::usage(format!(
        "no codeword was accepted for epoch {epoch} in {attempts} attempts; sign another message"
    ))
}

/// The signature that was made does not verify, and was withheld.
pub(super) fn withheld(epoch: Epoch, why: &keymill_xmss::Rejection) -> Error {
    Error::machine(format!(
        "the signature that was made for epoch {epoch} does not verify and was withheld: {why}"
    ))
}
