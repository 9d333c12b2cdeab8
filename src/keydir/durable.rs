//! Replacing small files so that after a crash either the old or the new content is there, whole.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::failure::{IoFailure, Named};

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

/// Writes `content` to a temporary file, makes it durable, renames it over `path` and makes the directory durable.
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), IoFailure> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut temporary = tempfile::Builder::new()
        .prefix(TEMPORARY_PREFIX)
        .suffix(TEMPORARY_SUFFIX)
        .rand_bytes(TEMPORARY_RANDOM_CHARACTERS)
        .permissions(std::fs::Permissions::from_mode(mode))
        .tempfile_in(directory)
        .named("open", path)?;
    temporary.write_all(content).named("write", path)?;
    temporary.as_file().sync_all().named("fsync", path)?;
    temporary
        .persist(path)
        .map_err(|failed| failed.error)
        .named("rename", path)?;
    sync_directory(directory)
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> Result<(), IoFailure> {
    File::open(directory)
        .and_then(|handle| handle.sync_all())
        .named("fsync", directory)
}
