//! Why the checkpoint store cannot be used.

use std::path::Path;

use crate::error::{Error, Reason};
use crate::failure::IoFailure;
use crate::files::parent_of;
use crate::remedy::Remedy;

/// There are too few threads for RocksDB, which would end the process.
pub(super) fn too_few_threads(found: usize, needed: usize, failure: IoFailure) -> Error {
    let error = Error::from(failure);
    let what = format!(
        "{error}; RocksDB needs {needed} more threads to open the checkpoint store, and only {found} can be started"
    );
    Error::machine(what)
        .mend(error.remedies().to_vec())
        .mend([Remedy::RaiseThreads])
}

/// There is too little address space for RocksDB, which would end the process.
pub(super) fn too_little_address_space(path: &Path, limit_bytes: u64, used_bytes: u64, needed_bytes: u64) -> Error {
    let what = format!(
        "the checkpoint store '{}' cannot be opened: the limit on address space (RLIMIT_AS) is {limit_bytes} bytes, of which \
         {used_bytes} are taken, and RocksDB needs another {needed_bytes}",
        path.display()
    );
    Error::machine(what).at(path).mend([Remedy::RaiseAddressSpace])
}

/// RocksDB failed in a way that says nothing about what is stored: I/O, locks, resources.
pub(super) fn failed(call: &'static str, path: &Path, message: &str) -> Error {
    let what = format!("{call} of the checkpoint store '{}' failed: {message}", path.display());
    Error::machine(what).because(Reason::StoreFailed).at(path)
}

/// The store is missing or corrupt.
pub(super) fn damaged(path: &Path, message: &str) -> Error {
    // What makes a new store, around the ledger of this one as far as that can be read.
    let repair = Remedy::Repair(parent_of(path).to_owned());
    Error::damaged("the checkpoint store ", path, message).mend([repair])
}

/// The store holds checkpoints of another key.
pub(super) fn other_key(path: &Path, expected: &[u8], found: &[u8]) -> Error {
    let what = format!(
        "the checkpoints in '{}' belong to another key: their binding is {}, the manifest's is {}",
        path.display(),
        hex::encode(found),
        hex::encode(expected)
    );
    // Somebody put it there, and where this key's own is only they know.
    let remedies = [Remedy::PutBack, Remedy::MoveAway].map(|remedy| remedy(path.to_owned()));
    Error::directory(what).at(path).mend(remedies)
}
