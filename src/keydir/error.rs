//! What can be wrong with a key directory.

use std::path::Path;

use super::FORMAT_VERSION;
use super::names::{MANIFEST, TICKET};
use crate::error::{Error, Reason, Result};
use crate::failure::IoFailure;
use crate::files::{not_regular, parent_of};
use crate::remedy::{Argument, Remedy};
use crate::text::Foreign;
use crate::units::SetLedgerId;

/// There is no such directory.
pub(super) fn no_directory(path: &Path) -> Error {
    Error::directory(format!("there is no key directory at '{}'", path.display()))
        .because(Reason::NoManifest)
        .at(path)
        .mend([Remedy::Keygen(path.to_owned())])
}

/// The directory that a new key directory would stand in does not exist.
pub(crate) fn no_parent(path: &Path) -> Error {
    let what = format!(
        "'{}' does not exist, so no key directory can be made in it; make it first",
        path.display()
    );
    Error::usage(what).at(path)
}

/// Of a directory that is not there: whether a link that leads nowhere has its name.
pub(crate) fn refuse_dangling_link(path: &Path) -> Result<()> {
    let Ok(target) = std::fs::read_link(path) else {
        return Ok(());
    };
    let what = format!(
        "'{}' is a symbolic link to '{}', where nothing is: what it leads to may have to be mounted",
        path.display(),
        target.display()
    );
    Err(Error::directory(what)
        .at(path)
        .mend([Remedy::MoveAway(path.to_owned())]))
}

/// The path is that of a file.
pub(crate) fn not_a_directory(path: &Path) -> Error {
    Error::directory(format!("'{}' is not a directory", path.display())).at(path)
}

/// The directory is something else.
pub(super) fn no_manifest(directory: &Path) -> Error {
    let what = format!(
        "'{}' is not a key directory: it has no manifest.toml",
        directory.display()
    );
    Error::directory(what)
        .because(Reason::NoManifest)
        .at(directory)
        .mend([Remedy::Restore, Remedy::Keygen].map(|remedy| remedy(directory.to_owned())))
}

/// Something that keymill did not put there.
pub(crate) fn foreign(path: &Path) -> Error {
    let what = format!(
        "'{}' is in the way: a new key needs an empty or absent directory",
        path.display()
    );
    Error::directory(what)
        .because(Reason::InTheWay)
        .at(path)
        .mend([Remedy::OtherDirectory, Remedy::MoveAway(path.to_owned())])
}

/// There are layer files, checkpoints or a ledger, but no manifest.
pub(crate) fn manifest_lost(part: &Path) -> Error {
    let what = format!("'{}' exists but manifest.toml beside it does not", part.display());
    let manifest = parent_of(part).join(MANIFEST);
    Error::directory(what)
        .because(Reason::NoManifest)
        .at(part)
        .mend(for_manifest(&manifest))
}

/// Another process is writing what `of` says.
pub(crate) fn locked(lock: &Path, holder: &str, of: &str) -> Error {
    let what = format!(
        "'{}' is held by {}; only one process may write {of}",
        lock.display(),
        Foreign(holder)
    );
    Error::directory(what).because(Reason::Locked).at(lock)
}

/// The manifest cannot be understood.
pub(crate) fn bad_manifest(path: &Path, what: &str) -> Error {
    Error::damaged("", path, what).mend(for_manifest(path))
}

/// The directory was made by a later program.
pub(super) fn newer_format(manifest: &Path, found: u32) -> Error {
    let what = format!(
        "'{}' has format version {found}, newer than {FORMAT_VERSION}, the newest that this program knows; use a newer keymill",
        manifest.display()
    );
    Error::directory(what).at(manifest)
}

/// The directory must be brought to the present format first.
pub(super) fn older_format(manifest: &Path, found: u32) -> Error {
    let what = format!(
        "'{}' has format version {found}, older than {FORMAT_VERSION}",
        manifest.display()
    );
    Error::directory(what)
        .at(manifest)
        .mend([Remedy::Migrate(parent_of(manifest).to_owned())])
}

/// The key is made in parts.
fn not_joined(directory: &Path) -> Error {
    let what = format!(
        "the key in '{}' was divided into parts, and not all of them are put together yet",
        directory.display()
    );
    let remedies = [Remedy::Join, Remedy::Keygen].map(|remedy| remedy(directory.to_owned()));
    Error::directory(what)
        .because(Reason::NotFinished)
        .at(directory)
        .mend(remedies)
}

/// The directory was still being created when the process ended.
pub(super) fn being_created(directory: &Path) -> Error {
    if directory.join(TICKET).exists() {
        return not_joined(directory);
    }
    let what = format!(
        "'{}' was not created completely, or was begun by an earlier version",
        directory.display()
    );
    Error::directory(what)
        .at(directory)
        .mend([Remedy::Keygen(directory.to_owned())])
}

/// The key is not finished.
pub(super) fn not_sealed(directory: &Path) -> Error {
    if directory.join(TICKET).exists() {
        return not_joined(directory);
    }
    let what = format!(
        "the key in '{}' is not finished (a process may be making it)",
        directory.display()
    );
    Error::directory(what)
        .because(Reason::NotFinished)
        .at(directory)
        .mend([Remedy::Keygen(directory.to_owned())])
}

/// The high-water mark of the ledger is not one.
pub(super) fn bad_mark(path: &Path, what: &str) -> Error {
    Error::damaged("", path, what)
        .because(Reason::MarkDamaged)
        .mend(advice_for_mark(path))
}

/// The high-water mark of the ledger is lost.
pub(super) fn mark_missing(path: &Path) -> Error {
    let what = format!(
        "'{}' is missing, so it cannot be noted there that the secret is elsewhere too",
        path.display()
    );
    Error::directory(what).at(path).mend(advice_for_mark(path))
}

/// Something else stands in the place of a file.
pub(crate) fn not_a_file(path: &Path, what: &str) -> Error {
    Error::damaged("", path, what)
        .because(Reason::NotAFile)
        .mend([Remedy::MoveAway(path.to_owned())])
}

/// Why a file was not opened.
pub(super) fn unopened(failure: IoFailure) -> Error {
    match not_regular(&failure) {
        Some(found) => not_a_file(&failure.path, found.words()),
        None => failure.into(),
    }
}

/// There is no such file, from which a secret was to be read.
pub(super) fn no_secret_file(path: &Path) -> Error {
    let what = format!("there is no secret in '{}': there is no such file", path.display());
    Error::directory(what).because(Reason::SecretMissing).at(path)
}

/// There is no secret file.
pub(crate) fn secret_missing(path: &Path) -> Error {
    let what = format!(
        "'{}' is missing (where an import or a restore was interrupted, repeat that)",
        path.display()
    );
    let remedies = [
        Remedy::PutBack(path.to_owned()),
        Remedy::Restore(parent_of(path).to_owned()),
    ];
    Error::directory(what)
        .because(Reason::SecretMissing)
        .at(path)
        .mend(remedies)
}

/// The secret file is not one.
pub(super) fn secret_unreadable(path: &Path) -> Error {
    Error::damaged(
        "",
        path,
        "it does not hold a seed or a PRF key in the form that keymill writes",
    )
    .because(Reason::SecretDamaged)
    .mend(for_wrong_secret(path))
}

/// The keystore is not one.
pub(super) fn keystore_damaged(path: &Path, what: &str) -> Error {
    Error::damaged("", path, what)
        .because(Reason::SecretDamaged)
        .mend(for_wrong_secret(path))
}

/// The secret is under a passphrase.
pub(super) fn passphrase_missing(keystore: &Path) -> Error {
    let what = format!(
        "the secret in '{}' is under a passphrase, and none was given",
        keystore.display()
    );
    Error::usage(what)
        .because(Reason::PassphraseMissing)
        .at(keystore)
        .mend([Remedy::Give(Argument::Passphrase)])
}

/// The passphrase is that of another keystore, or the keystore was changed, which cannot be told apart.
pub(crate) fn wrong_passphrase(keystore: &Path) -> Error {
    let what = format!("the passphrase does not open '{}'", keystore.display());
    Error::no(what).because(Reason::WrongPassphrase).at(keystore)
}

/// The secret is there in both forms, and they are not the same one.
pub(crate) fn two_secrets(secret: &Path, keystore: &Path) -> Error {
    let what = format!(
        "'{}' and '{}' hold two different secrets, and a key has one: keep the one that is this key's",
        secret.display(),
        keystore.display()
    );
    let remedies = [secret, keystore].map(|path| Remedy::MoveAway(path.to_owned()));
    Error::directory(what)
        .because(Reason::SecretDamaged)
        .at(secret)
        .mend(remedies)
}

/// The ledger of the key is in a set, or on its way there.
pub(crate) fn ledger_moved(directory: &Path, set: SetLedgerId) -> Error {
    let what = format!(
        "the key in '{}' does not sign from here, and its secret does not leave: its ledger moved to that of the set {set}",
        directory.display()
    );
    Error::directory(what).because(Reason::LedgerMoved).at(directory).mend([
        Remedy::ServeSet(parent_of(directory).to_owned()),
        Remedy::MoveLedgerOut(directory.to_owned()),
    ])
}

/// The secret file belongs to another key: their commitments differ.
pub(super) fn other_secret(path: &Path, expected: &[u8], found: &[u8]) -> Error {
    let what = format!(
        "'{}' does not belong to this key: the manifest's secret_commitment is {}, this secret's is {}",
        path.display(),
        hex::encode(expected),
        hex::encode(found)
    );
    Error::directory(what)
        .because(Reason::SecretDamaged)
        .at(path)
        .mend(for_wrong_secret(path))
}

fn for_manifest(manifest: &Path) -> [Remedy; 3] {
    [Remedy::PutBack, Remedy::RestoreElsewhere, Remedy::MakeAgain].map(|remedy| remedy(manifest.to_owned()))
}

/// A copy of the mark may be there, or a ledger be begun.
pub(crate) fn advice_for_mark(mark: &Path) -> [Remedy; 2] {
    [
        Remedy::PutBack(mark.to_owned()),
        Remedy::LedgerInit(parent_of(mark).to_owned()),
    ]
}

/// Nothing is written over what may be a secret, be it another key's.
fn for_wrong_secret(secret: &Path) -> [Remedy; 2] {
    [Remedy::PutBack, Remedy::MoveAway].map(|remedy| remedy(secret.to_owned()))
}
