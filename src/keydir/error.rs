//! What can be wrong with a key directory.

use std::path::{Path, PathBuf};

use super::names::MANIFEST;
use crate::failure::{Classified, FailureKind, IoFailure};
use crate::files::{not_regular, parent_of};
use crate::remedy::{Remedied, Remedy, advised};
use crate::text::Foreign;

/// A key directory cannot be used as asked.
#[derive(Debug, thiserror::Error)]
pub enum KeyDirError {
    /// A call failed.
    #[error(transparent)]
    Io(#[from] IoFailure),
    /// There is no such directory.
    #[error("there is no key directory at '{}'{}", .0.display(), advised([Remedy::Keygen(.0.clone())]))]
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
    #[error("'{}' is not a key directory: it has no manifest.toml{}", .0.display(), advised(for_new(.0)))]
    NoManifest(PathBuf),
    /// Something that keymill did not put there.
    #[error("'{}' is in the way: a new key needs an empty or absent directory{}", .0.display(), advised([Remedy::MoveAway(.0.clone())]))]
    Foreign(PathBuf),
    /// There are layer files, checkpoints or a ledger, but no manifest.
    #[error("'{}' exists but manifest.toml beside it does not{}", .0.display(), advised(for_manifest(&beside(.0))))]
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
    #[error("'{}' is damaged: {what}{}", .path.display(), advised(for_manifest(.path)))]
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
        "'{}' has format version {found}, older than {newest}{}",
        .path.display(), advised([Remedy::Migrate(parent_of(.path).to_owned())])
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
    #[error(
        "'{}' was not created completely, or was begun by an earlier version{}",
        .0.display(), advised([Remedy::Keygen(.0.clone())])
    )]
    BeingCreated(PathBuf),
    /// The key is not finished.
    #[error("the key in '{}' is not finished{}, unless one is running", .0.display(), advised([Remedy::Keygen(.0.clone())]))]
    NotSealed(PathBuf),
    /// The high-water mark of the ledger is not one.
    #[error("'{}' is damaged: {what}{}", .path.display(), advised(advice_for_mark(.path)))]
    LedgerMark {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// The high-water mark of the ledger is lost.
    #[error(
        "'{}' is missing, so it cannot be noted there that the secret is elsewhere too{}",
        .0.display(), advised(advice_for_mark(.0))
    )]
    LedgerMarkMissing(PathBuf),
    /// Something else stands in the place of a file.
    #[error("'{}' is damaged: {what}{}", .path.display(), advised([Remedy::MoveAway(.path.clone())]))]
    NotAFile {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// There is no secret file.
    #[error(
        "'{}' is missing (where an import or a restore was interrupted, repeat that){}",
        .0.display(), advised(for_lost_secret(.0))
    )]
    SecretMissing(PathBuf),
    /// The secret file is not one.
    #[error(
        "'{}' is damaged: it does not hold a seed or a PRF key in the form that keymill writes{}",
        .0.display(), advised(for_wrong_secret(.0))
    )]
    SecretUnreadable(PathBuf),
    /// The secret file is open to others.
    #[error(
        "'{}' can be read by others (its mode is {mode:o}); whoever has read it can sign with this key{}",
        .path.display(), advised([Remedy::Protect(.path.clone())])
    )]
    SecretExposed {
        /// The secret file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The secret file belongs to another key.
    #[error(
        "'{}' does not belong to this key: the manifest's secret_commitment is {expected}, this secret's is {found}{}",
        .path.display(), advised(for_wrong_secret(.path))
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

/// The manifest beside a part of its key.
fn beside(part: &Path) -> PathBuf {
    parent_of(part).join(MANIFEST)
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

/// A key can come to be where none is.
fn for_new(directory: &Path) -> [Remedy; 2] {
    [Remedy::Restore, Remedy::Keygen].map(|remedy| remedy(directory.to_owned()))
}

fn for_lost_secret(secret: &Path) -> [Remedy; 2] {
    [
        Remedy::PutBack(secret.to_owned()),
        Remedy::Restore(parent_of(secret).to_owned()),
    ]
}

/// Nothing is written over what may be a secret, be it another key's.
fn for_wrong_secret(secret: &Path) -> [Remedy; 2] {
    [Remedy::PutBack, Remedy::MoveAway].map(|remedy| remedy(secret.to_owned()))
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

    /// Why a file was not opened.
    pub(super) fn unopened(failure: IoFailure) -> Self {
        match not_regular(&failure) {
            Some(found) => Self::NotAFile {
                path: failure.path,
                what: found.words(),
            },
            None => failure.into(),
        }
    }
}

impl Remedied for KeyDirError {
    fn remedies(&self) -> Vec<Remedy> {
        match self {
            Self::Io(failure) => failure.remedies(),
            Self::NoDirectory(path) | Self::BeingCreated(path) | Self::NotSealed(path) => {
                vec![Remedy::Keygen(path.clone())]
            }
            Self::Foreign(path) | Self::NotAFile { path, .. } | Self::DanglingLink { path, .. } => {
                vec![Remedy::MoveAway(path.clone())]
            }
            Self::ManifestLost(path) => for_manifest(&beside(path)).into(),
            Self::Manifest { path, .. } => for_manifest(path).into(),
            Self::OlderFormat { path, .. } => vec![Remedy::Migrate(parent_of(path).to_owned())],
            Self::LedgerMark { path, .. } | Self::LedgerMarkMissing(path) => advice_for_mark(path).into(),
            Self::SecretMissing(path) => for_lost_secret(path).into(),
            Self::SecretUnreadable(path) | Self::SecretMismatch { path, .. } => for_wrong_secret(path).into(),
            Self::SecretExposed { path, .. } => vec![Remedy::Protect(path.clone())],
            Self::NoManifest(path) => for_new(path).into(),
            Self::NoParent(_) | Self::NotADirectory(_) | Self::Locked { .. } | Self::NewerFormat { .. } => Vec::new(),
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
