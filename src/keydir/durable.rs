//! Replacing small files so that after a crash either the old or the new content is there, whole.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::failure::{IoFailure, Named};

/// Files that were being written when the process died begin with this, and may be deleted.
pub(crate) const TEMPORARY_PREFIX: &str = ".keymill-";

/// Writes `content` to a temporary file, makes it durable, renames it over `path` and makes the directory durable.
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), IoFailure> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut temporary = tempfile::Builder::new()
        .prefix(TEMPORARY_PREFIX)
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
