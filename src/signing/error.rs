//! Why a path or a signature cannot be given.

use std::path::PathBuf;

use crate::failure::{Classified, FailureKind};
use crate::keydir::KeyDirError;
use crate::layers::LayerError;
use crate::remedy::{Remedied, Remedy, advised};
use crate::time::utc;
use crate::units::{Epoch, EpochRange, Level, NodeIndex};
use crate::workers::ThreadsFailed;
use keymill_xmss::arena::ArenaOverflow;

/// A sealed key cannot give what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The directory is not a sealed key.
    #[error(transparent)]
    KeyDir(#[from] KeyDirError),
    /// A layer file cannot be used.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The threads that compute the lowest levels of a trimmed key could not be started.
    #[error(transparent)]
    Threads(#[from] ThreadsFailed),
    /// A worker's scratch memory is too small.
    #[error(transparent)]
    Arena(#[from] ArenaOverflow),
    /// The key has no such epoch.
    #[error("epoch {epoch} is outside this key, which stores the epochs {stored}")]
    OutsideKey {
        /// The epoch asked for.
        epoch: u64,
        /// What the key stores.
        stored: EpochRange,
    },
    /// The epoch has signed another message.
    #[error(
        "epoch {epoch} was spent {} on another message: a one-time key signs once. Take another epoch; 'keymill ledger \
         show' names the highest that is spent",
        when(*.signed_unix_ms)
    )]
    Spent {
        /// The epoch.
        epoch: Epoch,
        /// When it was spent, in milliseconds since 1970; 0 if that is not known.
        signed_unix_ms: u64,
    },
    /// The ledger of spent epochs does not allow to sign.
    #[error(transparent)]
    Ledger(#[from] crate::ledger::LedgerError),
    /// What is stored does not lead to the root.
    #[error(
        "the path of epoch {epoch} in '{}' does not lead to the root: a layer file is damaged, and 'keymill check {}' \
         finds where{}",
        .directory.display(), .directory.display(), advised([Remedy::Repair(.directory.clone())])
    )]
    Damaged {
        /// The epoch.
        epoch: Epoch,
        /// The key directory.
        directory: PathBuf,
    },
    /// What the secret gives is not what is stored above it.
    #[error(
        "node {node} of level {level} in '{}' is not what the secret gives for the epochs {epochs} below it: the layer \
         file is damaged{}",
        .directory.join(format!("layers/{:02}.nodes", .level.0)).display(),
        advised([Remedy::Repair(.directory.clone())])
    )]
    DamagedBlock {
        /// The lowest level that is stored.
        level: Level,
        /// The node that differs.
        node: NodeIndex,
        /// The epochs below it.
        epochs: EpochRange,
        /// The key directory.
        directory: PathBuf,
    },
    /// The key is trimmed, and its secret cannot be read.
    #[error(
        "the key in '{}' is trimmed: its levels below {trim} are not stored, and each path is computed from the secret in \
         part; {source}",
        .directory.display()
    )]
    SecretNeeded {
        /// The key directory.
        directory: PathBuf,
        /// The lowest level that is stored.
        trim: Level,
        /// Why it cannot be read.
        source: KeyDirError,
    },
    /// The manifest's public key is not one.
    #[error("the public key in the manifest of '{}' is not one: {source}", .directory.display())]
    PublicKey {
        /// The key directory.
        directory: PathBuf,
        /// What is wrong.
        source: keymill_xmss::SszError,
    },
    /// No attempt gave an accepted codeword.
    #[error("no codeword was accepted for epoch {epoch} in {attempts} attempts; sign another message")]
    NoCodeword {
        /// The epoch.
        epoch: Epoch,
        /// Attempts made.
        attempts: u64,
    },
    /// The signature that was made does not verify, and was withheld.
    #[error("the signature that was made for epoch {epoch} does not verify and was withheld: {source}")]
    Withheld {
        /// The epoch.
        epoch: Epoch,
        /// Why it does not verify.
        source: keymill_xmss::Rejection,
    },
}

impl Remedied for SigningError {
    fn remedies(&self) -> Vec<Remedy> {
        match self {
            Self::KeyDir(error) | Self::SecretNeeded { source: error, .. } => error.remedies(),
            Self::Layer(error) => error.remedies(),
            Self::Ledger(error) => error.remedies(),
            Self::Damaged { directory, .. } | Self::DamagedBlock { directory, .. } => {
                vec![Remedy::Repair(directory.clone())]
            }
            Self::OutsideKey { .. }
            | Self::Spent { .. }
            | Self::Threads(_)
            | Self::Arena(_)
            | Self::PublicKey { .. }
            | Self::NoCodeword { .. }
            | Self::Withheld { .. } => Vec::new(),
        }
    }
}

impl Classified for SigningError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::KeyDir(error) => error.kind(),
            Self::Layer(error) => error.kind(),
            Self::OutsideKey { .. } | Self::NoCodeword { .. } => FailureKind::Usage,
            Self::Spent { .. } => FailureKind::No,
            Self::Ledger(error) => error.kind(),
            Self::SecretNeeded { source, .. } => source.kind(),
            Self::Damaged { .. } | Self::DamagedBlock { .. } | Self::PublicKey { .. } => FailureKind::Directory,
            Self::Threads(_) | Self::Arena(_) | Self::Withheld { .. } => FailureKind::Machine,
        }
    }
}

fn when(unix_ms: u64) -> String {
    match unix_ms {
        0 => "at a time that is not known".to_owned(),
        unix_ms => format!("at {}", utc(unix_ms)),
    }
}
