//! Why an epoch cannot be spent, or a ledger not be changed.

use std::path::{Path, PathBuf};

use crate::failure::{Classified, FailureKind};
use crate::interop::ledger_json::LedgerJsonError;
use crate::keydir::{KeyDirError, advice_for_mark};
use crate::remedy::{Remedied, Remedy, advised};
use crate::state::StateError;
use crate::units::EpochRange;

/// A ledger cannot be used as asked.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The directory, or the mark beside the ledger, is not what it should be.
    #[error(transparent)]
    KeyDir(#[from] KeyDirError),
    /// The store of the ledger cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// Nobody has said which epochs are unused.
    #[error(
        "which epochs of the key in '{}' have signed is not known: its secret was given, imported, restored or exported, or its \
         ledger was lost. If it has signed elsewhere, 'keymill ledger import' that history first{}",
        .directory.display(), advised([Remedy::LedgerInit(.directory.clone())])
    )]
    NoHistory {
        /// The key directory.
        directory: PathBuf,
    },
    /// The epoch may have signed before the ledger was begun.
    #[error(
        "epoch {epoch} is not known to be unused: the ledger of '{}' knows the epochs from {first_epoch} on; choose one \
         of them. (They were named with 'keymill ledger init {} --first-epoch {first_epoch}', or came with an import)",
        .directory.display(), .directory.display()
    )]
    BeforeHistory {
        /// The epoch.
        epoch: u64,
        /// The first epoch that is known to be unused if it has no entry.
        first_epoch: u64,
        /// The key directory.
        directory: PathBuf,
    },
    /// There is no mark to compare the ledger with.
    #[error(
        "'{}' is missing, so it cannot be told whether the ledger has lost entries{}",
        .0.display(), advised(advice_for_mark(.0))
    )]
    MarkMissing(PathBuf),
    /// The ledger says less than it said before.
    #[error(
        "the ledger in '{}' went backwards or is another one: {what}. Epochs that it does not list may have signed; what is \
         put back has to be the newest state/ with its ledger.mark{}",
        .directory.display(), advised(for_backwards(.directory))
    )]
    Backwards {
        /// The key directory.
        directory: PathBuf,
        /// How it is seen.
        what: String,
    },
    /// The first epoch is one that may have signed.
    #[error(
        "--first-epoch {asked} is too low for '{}': epochs below {least} are not known to be unused; the least that can be \
         given is {least}",
        .directory.display()
    )]
    TooLow {
        /// What was asked for.
        asked: u64,
        /// The least that is possible.
        least: u64,
        /// The key directory.
        directory: PathBuf,
    },
    /// No epoch is left.
    #[error(
        "the key in '{}' is used up: each of its epochs, {stored}, has signed or is not known to be unused, and none can be said \
         to be; make another key",
        .directory.display()
    )]
    UsedUp {
        /// The key directory.
        directory: PathBuf,
        /// What the key stores.
        stored: EpochRange,
    },
    /// The first epoch is past the key.
    #[error(
        "--first-epoch {asked} is past this key, which stores the epochs {stored}, so none could sign; if every epoch may \
         have signed, the key is used up"
    )]
    PastKey {
        /// What was asked for.
        asked: u64,
        /// What the key stores.
        stored: EpochRange,
    },
    /// A write failed, and nobody knows whether it arrived.
    #[error("the ledger in '{}' could not be written; nothing more is signed before it is opened again", .directory.display())]
    Unknown {
        /// The key directory.
        directory: PathBuf,
    },
    /// The ledger was opened before this process was forked.
    #[error(
        "process {parent} opened the key in '{}' before this one was forked from it, and what either signs the other does not \
         know; open the key after the fork",
        .directory.display()
    )]
    Forked {
        /// The process that opened it.
        parent: u32,
        /// The key directory.
        directory: PathBuf,
    },
    /// A file is not a ledger.
    #[error("'{}' cannot be imported: {source}", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: LedgerJsonError,
    },
    /// A file has nothing of this key.
    #[error(
        "'{}' has no history of the key in '{}': no fingerprint in it is that of this key's one-time keys, and no pubkey and \
         scheme are this key's",
        .path.display(), .directory.display()
    )]
    OtherKey {
        /// The file.
        path: PathBuf,
        /// The key directory.
        directory: PathBuf,
    },
    /// A file names an epoch that the key does not have.
    #[error("'{}' cannot be imported: {place} is {epoch}, outside this key, which stores the epochs {stored}", .path.display())]
    OutsideKey {
        /// The file.
        path: PathBuf,
        /// Where in it.
        place: String,
        /// The epoch.
        epoch: u64,
        /// What the key stores.
        stored: EpochRange,
    },
}

fn for_backwards(directory: &Path) -> [Remedy; 2] {
    [
        Remedy::PutBack(directory.join("state")),
        Remedy::LedgerInit(directory.to_owned()),
    ]
}

impl Remedied for LedgerError {
    fn remedies(&self) -> Vec<Remedy> {
        match self {
            Self::KeyDir(error) => error.remedies(),
            Self::State(error) => error.remedies(),
            Self::NoHistory { directory } => vec![Remedy::LedgerInit(directory.clone())],
            Self::MarkMissing(mark) => advice_for_mark(mark).into(),
            Self::Backwards { directory, .. } => for_backwards(directory).into(),
            Self::Unknown { .. } => vec![Remedy::Again],
            _ => Vec::new(),
        }
    }
}

impl Classified for LedgerError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::KeyDir(error) => error.kind(),
            Self::State(error) => error.kind(),
            Self::PastKey { .. } | Self::Json { .. } | Self::OutsideKey { .. } | Self::Forked { .. } => {
                FailureKind::Usage
            }
            Self::NoHistory { .. }
            | Self::BeforeHistory { .. }
            | Self::MarkMissing(_)
            | Self::Backwards { .. }
            | Self::TooLow { .. }
            | Self::UsedUp { .. }
            | Self::OtherKey { .. } => FailureKind::Directory,
            Self::Unknown { .. } => FailureKind::Machine,
        }
    }
}
