//! Where RocksDB is sent, which opens each of its files by a path, also on threads of its own.

use std::path::{Path, PathBuf};

use crate::failure::IoFailure;
use crate::files::{DESCRIPTORS, Directory};

/// The directory of a store, which this process has open.
pub(super) struct Place {
    directory: Directory,
    /// The path by which RocksDB reaches it: not whatever has its name at that moment. Without /proc there is only the name.
    path: PathBuf,
}

impl Place {
    pub(super) fn new(directory: Directory) -> Self {
        let path = directory.by_descriptor();
        let path = path.unwrap_or_else(|| directory.absolute().to_owned());
        Self { directory, path }
    }

    /// The directory itself.
    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Its path, for messages.
    pub(super) fn name(&self) -> &Path {
        self.directory.path()
    }

    /// Its path, for RocksDB.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes sure that it is the directory that is found by its name, before anything is written.
    pub(super) fn check(&self) -> Result<(), IoFailure> {
        self.directory.check()
    }

    /// Whether RocksDB may close its files. For that it removes those that it does not need any more, and cuts its log to what it
    /// has written: in a child that was forked meanwhile, to what that was at the fork, behind which the parent goes on writing.
    pub(super) fn may_be_closed(&self) -> bool {
        let has_name_alone = self.path == self.directory.absolute();
        self.directory.opened_before_fork().is_none() && (!has_name_alone || self.directory.is_in_place())
    }
}

/// What RocksDB says of a store, with its name where it has the path by which it was sent there.
pub(super) fn in_words(message: &str, name: &Path) -> String {
    let mut parts = message.split(DESCRIPTORS);
    let mut words = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        words.push_str(&name.to_string_lossy());
        words.push_str(part.trim_start_matches(|digit: char| digit.is_ascii_digit()));
    }
    words
}
