//! Why a passphrase, or what is under it, cannot be had.

use std::path::PathBuf;

use crate::error::{Error, Reason};
use crate::remedy::{Argument, Remedy};

/// A file that is as good as the key is open to others.
pub(crate) fn exposed(path: PathBuf, mode: u32) -> Error {
    let what = format!(
        "'{}' can be read by others (its mode is {mode:o}); anyone who has read it can sign with this key",
        path.display()
    );
    Error::directory(what)
        .because(Reason::SecretExposed)
        .at(&path)
        .mend([Remedy::Protect(path)])
}

/// What was given for a passphrase is not one.
pub(super) fn no_passphrase(what: &str) -> Error {
    Error::usage(format!("the passphrase cannot be used: {what}")).mend([Remedy::Change(Argument::Passphrase)])
}

/// The operating system has no randomness to give.
pub(super) fn no_randomness(error: getrandom::Error) -> Error {
    Error::machine(format!(
        "the operating system could not provide randomness for a keystore: {error}"
    ))
}
