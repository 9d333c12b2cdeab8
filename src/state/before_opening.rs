//! What can be known before RocksDB is asked, which tells less.

use std::path::Path;

use super::StateError;
use crate::files::{exists, is_directory, not_regular, open_each_file};

/// Looks whether there are files of a store, and whether all of them can be read.
pub(super) fn look_at_files(path: &Path) -> Result<(), StateError> {
    let damaged = |message| StateError::Damaged {
        path: path.to_owned(),
        message,
    };
    // A link is not followed. Without this file RocksDB would answer with a bare I/O error.
    if !is_directory(path)? || !exists(&path.join("CURRENT"))? {
        let message = "it is missing, is a link or a file, or has no CURRENT file";
        return Err(damaged(message.to_owned()));
    }
    // RocksDB takes files that it may not read for damage. They are not: what can be read tomorrow must not be moved aside.
    open_each_file(path).map_err(|failure| match not_regular(&failure) {
        // It would wait at a FIFO.
        Some(found) => damaged(format!("'{}': {found}", failure.path.display())),
        None => failure.into(),
    })
}
