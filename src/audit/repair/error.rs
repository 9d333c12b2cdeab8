//! Why a repair did not make a key whole.

use std::path::PathBuf;

use crate::failure::IoFailure;
use crate::keydir::KeyDirError;
use crate::keygen::{CancelHandle, KeygenError};
use crate::layers::LayerError;
use crate::migrations::MigrationError;
use crate::plan::BudgetTooSmall;
use crate::remedy::{Remedied, Remedy};
use crate::state::StateError;
use crate::workers::ThreadsFailed;
use keymill_xmss::arena::ArenaOverflow;

/// A repair could not begin, or ended early. What it had mended stays, and the same repair goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The directory is not a key directory, it is locked, or its manifest or its secret is not there.
    #[error(transparent)]
    KeyDir(#[from] KeyDirError),
    /// A layer file cannot be read or written.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The checkpoint store failed, or is another key's.
    #[error(transparent)]
    State(#[from] StateError),
    /// A call failed.
    #[error(transparent)]
    Io(#[from] IoFailure),
    /// The memory budget is too small.
    #[error(transparent)]
    Budget(#[from] BudgetTooSmall),
    /// The worker threads could not be started.
    #[error(transparent)]
    Threads(#[from] ThreadsFailed),
    /// A worker's scratch memory is too small.
    #[error(transparent)]
    Arena(#[from] ArenaOverflow),
    /// Batches could not be computed again.
    #[error(transparent)]
    Keygen(KeygenError),
    /// Somebody asked the repair to stop.
    #[error("interrupted; run the same command again to go on with the repair")]
    Interrupted,
    /// What was written is not what is read.
    #[error(
        "what was written to '{}' was written {rounds} times and still reads otherwise; the disk cannot be trusted",
        .directory.display()
    )]
    DiskUnreliable {
        /// The key directory.
        directory: PathBuf,
        /// How often it was written.
        rounds: u32,
    },
    /// Every leaf is the secret's, and the root is another one.
    #[error(
        "the secret in '{}' leads to the root {found}, but the manifest names {expected}: the manifest was changed \
         together with its checksum, or this machine computes or stores wrongly. The manifest and the levels above the \
         batches were left as they are",
        .directory.display()
    )]
    OtherRoot {
        /// The key directory.
        directory: PathBuf,
        /// The root in the manifest, in hex.
        expected: String,
        /// The root that the secret leads to, in hex.
        found: String,
    },
}

impl RepairError {
    /// What was abandoned because somebody asked is interrupted, and not failed.
    pub(super) fn or_interrupted(self, cancel: &CancelHandle) -> Self {
        let (Self::Io(failure) | Self::Layer(LayerError::Io(failure))) = &self else {
            return self;
        };
        match failure.source.kind() == std::io::ErrorKind::Interrupted && cancel.is_cancelled() {
            true => Self::Interrupted,
            false => self,
        }
    }
}

impl Remedied for RepairError {
    fn remedies(&self) -> Vec<Remedy> {
        match self {
            Self::KeyDir(error) => error.remedies(),
            Self::Layer(error) => error.remedies(),
            Self::State(error) => error.remedies(),
            Self::Io(failure) => failure.remedies(),
            Self::Keygen(error) => error.remedies(),
            Self::Interrupted => vec![Remedy::Again],
            Self::Budget(_)
            | Self::Threads(_)
            | Self::Arena(_)
            | Self::DiskUnreliable { .. }
            | Self::OtherRoot { .. } => Vec::new(),
        }
    }
}

impl From<KeygenError> for RepairError {
    fn from(error: KeygenError) -> Self {
        match error {
            KeygenError::Interrupted => Self::Interrupted,
            KeygenError::DiskUnreliable { directory, rounds } => Self::DiskUnreliable { directory, rounds },
            error => Self::Keygen(error),
        }
    }
}

impl From<MigrationError> for RepairError {
    fn from(error: MigrationError) -> Self {
        Self::Keygen(error.into())
    }
}
