//! What can be wrong with a key directory.

use std::path::{Path, PathBuf};

use crate::failure::{Classified, FailureKind, IoFailure};
use crate::files::not_regular;
use crate::text::Foreign;

/// A key directory cannot be used as asked.
#[derive(Debug, thiserror::Error)]
pub enum KeyDirError {
    /// A call failed.
    #[error(transparent)]
    Io(#[from] IoFailure),
    /// There is no such directory.
    #[error("there is no key directory at '{}'; 'keymill keygen' makes one", .0.display())]
    NoDirectory(PathBuf),
    /// The directory that a new key directory would stand in does not exist.
    #[error("'{}' does not exist, so no key directory can be made in it; make it first", .0.display())]
    NoParent(PathBuf),
    /// The path is a link that leads nowhere.
    #[error("'{}' is a symbolic link to '{}', where nothing is; mount what it leads to, or delete the link", .path.display(), .target.display())]
    DanglingLink {
        /// The link.
        path: PathBuf,
        /// What it says.
        target: PathBuf,
    },
    /// The path is a file.
    #[error("'{}' is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// The directory is something else.
    #[error("'{}' is not a key directory: it has no manifest.toml", .0.display())]
    NoManifest(PathBuf),
    /// Something that keymill did not put there.
    #[error("'{}' is in the way: a new key needs an empty or absent directory", .0.display())]
    Foreign(PathBuf),
    /// There are layer files, checkpoints or a ledger, but no manifest.
    #[error("'{}' exists but manifest.toml beside it does not: restore it, or choose another directory", .0.display())]
    ManifestLost(PathBuf),
    /// Another process is writing.
    #[error("'{}' is held by {}; only one process may write a key directory", .path.display(), Foreign(.holder))]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Who holds it.
        holder: String,
    },
    /// The manifest cannot be understood.
    #[error("'{}' is damaged: {what}", .path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The directory was made by a later program.
    #[error(
        "'{}' has format version {found}, newer than {newest}, the newest that this program knows; use a newer keymill",
        .path.display()
    )]
    NewerFormat {
        /// The manifest.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version known here.
        newest: u32,
    },
    /// The directory must be brought to the present format first.
    #[error(
        "'{}' has format version {found}, older than {newest}; 'keymill migrate' brings it up to date",
        .path.display()
    )]
    OlderFormat {
        /// The manifest.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version to migrate to.
        newest: u32,
    },
    /// The directory was still being created when the process ended.
    #[error("'{}' was not created completely, or was begun by an earlier version; run the command that makes it again", .0.display())]
    BeingCreated(PathBuf),
    /// The key is not finished.
    #[error("the key in '{}' is not finished; unless a keygen is running, 'keymill keygen' with the same directory finishes it", .0.display())]
    NotSealed(PathBuf),
    /// The high-water mark of the ledger is not one.
    #[error("'{}' is damaged: {what}", .path.display())]
    LedgerMark {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// The high-water mark of the ledger is lost.
    #[error(
        "'{}' is missing, so it cannot be noted there that the secret is elsewhere too; put it back, or begin the ledger anew with \
         'keymill ledger init {} --first-epoch N'",
        .0.display(), .0.parent().unwrap_or(.0).display()
    )]
    LedgerMarkMissing(PathBuf),
    /// Something else stands in the place of a file.
    #[error("'{}' is damaged: {what}; {remedy}", .path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
        /// What a person can do.
        remedy: &'static str,
    },
    /// There is no secret file.
    #[error("'{}' is missing; restore that file from a backup; where an import or a restore was interrupted, repeat that", .0.display())]
    SecretMissing(PathBuf),
    /// The secret file is not one.
    #[error("'{}' is damaged: it does not hold a seed or a PRF key in the form that keymill writes", .0.display())]
    SecretUnreadable(PathBuf),
    /// The secret file is open to others.
    #[error(
        "'{}' can be read by others (its mode is {mode:o}); whoever has read it can sign with this key. If nobody has, \
         'chmod 600' it and try again",
        .path.display()
    )]
    SecretExposed {
        /// The secret file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The secret file belongs to another key.
    #[error(
        "'{}' does not belong to this key: the manifest's secret_commitment is {expected}, this secret's is {found}",
        .path.display()
    )]
    SecretMismatch {
        /// The secret file.
        path: PathBuf,
        /// Commitment in the manifest.
        expected: String,
        /// Commitment of the secret that was found.
        found: String,
    },
}

impl KeyDirError {
    /// Of a directory that is not there: whether a link that leads nowhere has its name.
    pub(crate) fn refuse_dangling_link(path: &Path) -> Result<(), Self> {
        match std::fs::read_link(path) {
            Ok(target) => Err(Self::DanglingLink {
                path: path.to_owned(),
                target,
            }),
            Err(_) => Ok(()),
        }
    }

    /// Why a file was not opened, and what can be done if something else stands in its place.
    pub(super) fn unopened(failure: IoFailure, remedy: &'static str) -> Self {
        match not_regular(&failure) {
            Some(found) => Self::NotAFile {
                path: failure.path,
                what: found.words(),
                remedy,
            },
            None => failure.into(),
        }
    }
}

impl Classified for KeyDirError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Io(_) => FailureKind::Machine,
            Self::NoParent(_) => FailureKind::Usage,
            _ => FailureKind::Directory,
        }
    }
}
