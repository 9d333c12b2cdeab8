//! A failed call to the operating system, with what was called on which file.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::remedy::{Remedy, advised};

/// An operating system call failed.
#[derive(Debug, thiserror::Error)]
#[error("{call} on '{}' failed: {source}{}", .path.display(), advised(&Remedy::at(.source, .path), Remedy::to_string))]
pub struct IoFailure {
    /// The call, by the name that the manual pages use.
    pub call: &'static str,
    /// The file or directory it was made on.
    pub path: PathBuf,
    /// What the system answered.
    pub source: io::Error,
}

impl IoFailure {
    /// Whether the file does not exist.
    pub(crate) fn is_missing(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

/// What kind of failure an error is. The numbers are those of the program's exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// Nothing failed: the answer is no.
    No = 1,
    /// Wrong usage or input.
    Usage = 2,
    /// The directory is damaged, locked, or not what was asked for.
    Directory = 3,
    /// The machine failed.
    Machine = 4,
    /// The work was asked to stop.
    Interrupted = 130,
}

/// Makes a call that the machine can fail, and names the call and its file if it does.
///
/// All such calls come through here, so that tests can let any one of them fail, or end the process there.
pub(crate) fn attempt<T, E: Into<io::Error>>(
    call: &'static str,
    path: &Path,
    operation: impl FnOnce() -> Result<T, E>,
) -> Result<T, IoFailure> {
    let operation = || operation().map_err(Into::into);
    #[cfg(test)]
    let operation = || crate::faults::through(call, path, operation, |error| error);
    operation().map_err(|source| IoFailure {
        call,
        path: path.to_owned(),
        source,
    })
}

/// Writes all of `bytes` at the place where the file stands.
pub(crate) fn write_whole(mut file: impl Write, bytes: &[u8], path: &Path) -> Result<(), IoFailure> {
    // In tests it takes two calls, so that the second one can fail after a short write.
    let first = if cfg!(test) { bytes.len() / 2 } else { bytes.len() };
    let (head, tail) = bytes.split_at(first);
    attempt("write", path, || file.write_all(head))?;
    if tail.is_empty() {
        return Ok(());
    }
    attempt("write", path, || file.write_all(tail))
}
