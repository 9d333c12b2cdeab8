//! Layer files as files: those that are missing, cut, or headed wrongly.

use std::path::{Path, PathBuf};

use super::{RepairError, RestoredFile};
use crate::failure::{IoFailure, attempt};
use crate::files::{exists, make_directory, parent_of, sync_directory};
use crate::keydir::{KeyDir, KeyState, names_aside};
use crate::layers::{self, Disk, Header, LayerError, Medium};

/// Gives every layer file its length and header. What its nodes are is looked at afterwards.
pub(super) fn restore(key: &KeyDir, medium: &dyn Medium, disk: &Disk) -> Result<Vec<RestoredFile>, RepairError> {
    let (paths, manifest) = (key.paths(), key.manifest());
    let directory = paths.layers();
    let directory_moved_to = make_directory_of_layers(&directory)?;
    let mut restored = Vec::new();
    for span in manifest.plan().geometry().stored_levels() {
        let header = Header::new(manifest.key_id(), span, manifest.scheme().digest_bytes());
        let (file, level) = (paths.layer(span.level), span.level);
        let (what, moved_to) = match layers::mend(medium, disk, &file, &header) {
            Ok(None) => continue,
            Ok(Some(what)) => (what, directory_moved_to.clone()),
            Err(LayerError::NotAFile { what, .. }) => {
                let moved_to = move_aside(&file)?;
                layers::mend(medium, disk, &file, &header)?;
                (what.to_owned(), moved_to)
            }
            Err(error) => return Err(error.into()),
        };
        restored.push(RestoredFile {
            file,
            level,
            what,
            moved_to,
        });
    }
    // Always: a repair that was killed may have made files of which nothing is missing now but a durable name.
    medium.sync_names(&directory)?;
    Ok(restored)
}

/// Makes the directory of the layer files, unless it is there, and says where that is now which stood in its place.
fn make_directory_of_layers(directory: &Path) -> Result<Option<PathBuf>, RepairError> {
    let standing = attempt("lstat", directory, || std::fs::symlink_metadata(directory));
    let moved_to = match standing {
        Ok(metadata) if metadata.is_dir() => return Ok(None),
        // Files of something else could lie behind it.
        Ok(metadata) if metadata.is_symlink() => return Err(LayerError::Link(directory.to_owned()).into()),
        Ok(_) => move_aside(directory)?,
        Err(failure) if failure.is_missing() => None,
        Err(failure) => return Err(failure.into()),
    };
    make_directory(directory)?;
    sync_directory(parent_of(directory))?;
    Ok(moved_to)
}

/// Gives what stands at `path` a name of its own beside it, durably, and says which; `None` if nothing is there. It is never
/// deleted: nobody knows what it is.
pub(super) fn move_aside(path: &Path) -> Result<Option<PathBuf>, IoFailure> {
    for target in names_aside(path) {
        if exists(&target)? {
            continue;
        }
        return match attempt("rename", path, || std::fs::rename(path, &target)) {
            Ok(()) => {
                // At once: a repair that ends early has no report.
                tracing::warn!("'{}' was moved aside and is '{}' now", path.display(), target.display());
                sync_directory(parent_of(path))?;
                Ok(Some(target))
            }
            Err(failure) if failure.is_missing() => Ok(None),
            Err(failure) => Err(failure),
        };
    }
    Ok(None)
}

/// Lets the files of a sealed key be written.
pub(super) fn open_for_writing(key: &KeyDir) -> Result<(), RepairError> {
    for span in key.manifest().plan().geometry().stored_levels() {
        layers::make_writable(&key.paths().layer(span.level))?;
    }
    Ok(())
}

/// Protects the files of a sealed key again, also those that an interrupted repair left writable.
pub(super) fn protect(key: &KeyDir, medium: &dyn Medium) -> Result<(), RepairError> {
    if key.manifest().state() == KeyState::Generating {
        return Ok(());
    }
    for span in key.manifest().plan().geometry().stored_levels() {
        layers::protect_again(medium, &key.paths().layer(span.level))?;
    }
    Ok(())
}
