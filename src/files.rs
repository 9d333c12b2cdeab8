//! Directories: made for their owner alone, and their entries made durable.

use std::fs::{DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use crate::failure::{IoFailure, attempt};

const DIRECTORY_MODE: u32 = 0o700;

/// Makes a directory for its owner alone; it may be there already.
pub(crate) fn make_directory(directory: &Path) -> Result<(), IoFailure> {
    let mut builder = DirBuilder::new();
    builder.mode(DIRECTORY_MODE);
    match attempt("mkdir", directory, || builder.create(directory)) {
        // A directory: not a link to one, behind which files would come to lie elsewhere.
        Err(failure) if failure.source.kind() == ErrorKind::AlreadyExists => {
            match attempt("lstat", directory, || std::fs::symlink_metadata(directory))?.is_dir() {
                true => Ok(()),
                false => Err(failure),
            }
        }
        result => result,
    }
}

/// Makes a file durable, with one call. [`File::sync_all`] would repeat one that a signal interrupted, and no failed sync
/// is repeated (docs/DURABILITY.md).
pub(crate) fn sync_file(file: &File, path: &Path) -> Result<(), IoFailure> {
    attempt("fsync", path, || rustix::fs::fsync(file))
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> Result<(), IoFailure> {
    let opened = attempt("open", directory, || File::open(directory))?;
    sync_file(&opened, directory)
}

/// Opens every file in a directory for reading, and names the first that cannot be. Those that vanish meanwhile do not count.
pub(crate) fn open_each_file(directory: &Path) -> Result<(), IoFailure> {
    for entry in attempt("opendir", directory, || std::fs::read_dir(directory))? {
        let path = attempt("readdir", directory, || entry)?.path();
        match attempt("open", &path, || File::open(&path)) {
            Err(failure) if !failure.is_missing() => return Err(failure),
            _ => {}
        }
    }
    Ok(())
}

/// Whether there is anything of this name, be it a link that leads nowhere; that it cannot be told is an error, not a no.
pub(crate) fn exists(path: &Path) -> Result<bool, IoFailure> {
    match attempt("lstat", path, || std::fs::symlink_metadata(path)) {
        Err(failure) if failure.is_missing() => Ok(false),
        metadata => metadata.map(|_| true),
    }
}
