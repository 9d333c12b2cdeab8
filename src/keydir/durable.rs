//! Replacing small files so that after a crash either the old or the new content is there, whole.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::failure::{IoFailure, attempt, write_whole};
use crate::files::{sync_directory, sync_file};

/// Files that were being written when the process died are called `.keymill-`, six letters or digits, `.tmp`, and may be deleted.
const TEMPORARY_PREFIX: &str = ".keymill-";
const TEMPORARY_SUFFIX: &str = ".tmp";
const TEMPORARY_RANDOM_CHARACTERS: usize = 6;

/// Whether a file name is that of a temporary of ours.
pub(crate) fn is_temporary(name: &str) -> bool {
    let random = name
        .strip_prefix(TEMPORARY_PREFIX)
        .and_then(|rest| rest.strip_suffix(TEMPORARY_SUFFIX));
    random.is_some_and(|random| {
        random.len() == TEMPORARY_RANDOM_CHARACTERS && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// A new temporary file in `directory` for what is to be called `path`. Dropped, it is gone.
pub(crate) fn draft(directory: &Path, path: &Path, mode: u32) -> Result<NamedTempFile, IoFailure> {
    let mut builder = tempfile::Builder::new();
    builder
        .prefix(TEMPORARY_PREFIX)
        .suffix(TEMPORARY_SUFFIX)
        .rand_bytes(TEMPORARY_RANDOM_CHARACTERS)
        .permissions(std::fs::Permissions::from_mode(mode));
    // tempfile opens with O_EXCL: nothing that is there before, not even a link, is written through.
    attempt("open", path, || builder.tempfile_in(directory))
}

/// Writes `content` to a temporary file, makes it durable, renames it over `path` and makes the directory durable.
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), IoFailure> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let temporary = draft(directory, path, mode)?;
    write_whole(temporary.as_file(), content, path)?;
    sync_file(temporary.as_file(), path)?;
    attempt("rename", path, || {
        temporary.persist(path).map_err(|failed| failed.error)
    })?;
    sync_directory(directory)
}
