//! The checkpoint store: which batches are done, with their checksums, and which epochs are spent. The only module that
//! names RocksDB.

mod batch_store;
mod before_opening;
mod compaction;
#[cfg(test)]
pub(crate) mod damage_tests;
mod ledger;
mod ledger_store;
mod log_records;
mod old_history;
mod options;
mod place;
mod records;
mod store;
mod verdict;

use std::path::{Path, PathBuf};

use crate::failure::{Classified, FailureKind, IoFailure};
use crate::files::parent_of;
use crate::remedy::{Remedied, Remedy, advised};

pub(crate) use ledger::{LedgerHead, LedgerRecord};
#[cfg(any(test, fuzzing))]
pub(crate) use records::reencoded;
pub use records::{ArenaRecord, ProgressRecord};
pub(crate) use records::{BatchRecord, CrownRecord};
pub(crate) use store::Store;

/// The checkpoint store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A call failed.
    #[error(transparent)]
    Io(#[from] IoFailure),
    /// There are too few threads for RocksDB, which would end the process.
    #[error(
        "{source}; RocksDB needs {needed} more threads to open the checkpoint store, and only {found} can be started: raise the \
         limit on threads (ulimit -u, or pids.max of the cgroup)"
    )]
    Threads {
        /// How many could be started.
        found: usize,
        /// How many have to be.
        needed: usize,
        /// Why no more.
        source: IoFailure,
    },
    /// There is too little address space for RocksDB, which would end the process.
    #[error(
        "the checkpoint store '{}' cannot be opened: the limit on address space (RLIMIT_AS) is {limit_bytes} bytes, of \
         which {used_bytes} are taken, and RocksDB needs another {needed_bytes}; raise it (ulimit -v)",
        .path.display()
    )]
    AddressSpace {
        /// The store.
        path: PathBuf,
        /// RLIMIT_AS.
        limit_bytes: u64,
        /// What the process has of it.
        used_bytes: u64,
        /// What has to be left.
        needed_bytes: u64,
    },
    /// RocksDB failed in a way that says nothing about what is stored: I/O, locks, resources.
    #[error("{call} of the checkpoint store '{}' failed: {message}", .path.display())]
    Failed {
        /// What was attempted.
        call: &'static str,
        /// The store.
        path: PathBuf,
        /// RocksDB's words.
        message: String,
    },
    /// The store is missing or corrupt.
    #[error(
        "the checkpoint store '{}' is damaged: {message}{}", .path.display(), advised([repair(.path)])
    )]
    Damaged {
        /// The store.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The store holds checkpoints of another key.
    #[error(
        "the checkpoints in '{}' belong to another key: their binding is {found}, the manifest's is {expected}{}",
        .path.display(), advised(for_other_key(.path))
    )]
    OtherKey {
        /// The store.
        path: PathBuf,
        /// Binding of the manifest, in hex.
        expected: String,
        /// Binding in the store, in hex.
        found: String,
    },
}

impl Remedied for StateError {
    fn remedies(&self) -> Vec<Remedy> {
        match self {
            Self::Io(failure) | Self::Threads { source: failure, .. } => failure.remedies(),
            Self::AddressSpace { .. } => vec![Remedy::RaiseMemory],
            // What RocksDB says of the system is advised on in its words.
            Self::Failed { .. } => vec![Remedy::Again],
            Self::Damaged { path, .. } => vec![repair(path)],
            Self::OtherKey { path, .. } => for_other_key(path).into(),
        }
    }
}

/// What makes a new store, around the ledger of this one as far as that can be read.
fn repair(store: &Path) -> Remedy {
    Remedy::Repair(parent_of(store).to_owned())
}

/// Somebody put it there, and where this key's own is only they know.
fn for_other_key(store: &Path) -> [Remedy; 2] {
    [Remedy::PutBack, Remedy::MoveAway].map(|remedy| remedy(store.to_owned()))
}

impl Classified for StateError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Io(_) | Self::Threads { .. } | Self::AddressSpace { .. } | Self::Failed { .. } => {
                FailureKind::Machine
            }
            Self::Damaged { .. } | Self::OtherKey { .. } => FailureKind::Directory,
        }
    }
}
