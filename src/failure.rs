//! A failed call to the operating system, with what was called on which file.

use std::io;
use std::path::{Path, PathBuf};

/// An operating system call failed.
#[derive(Debug, thiserror::Error)]
#[error("{call} on '{}' failed: {source}", .path.display())]
pub struct IoFailure {
    /// The call, by the name that the manual pages use.
    pub call: &'static str,
    /// The file or directory it was made on.
    pub path: PathBuf,
    /// What the system answered.
    pub source: io::Error,
}

/// Names call and file of a failing result.
pub(crate) trait Named<T> {
    fn named(self, call: &'static str, path: &Path) -> Result<T, IoFailure>;
}

impl<T, E: Into<io::Error>> Named<T> for Result<T, E> {
    fn named(self, call: &'static str, path: &Path) -> Result<T, IoFailure> {
        self.map_err(|source| IoFailure {
            call,
            path: path.to_owned(),
            source: source.into(),
        })
    }
}
