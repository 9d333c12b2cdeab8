//! Layer files as files: those that are missing, cut, or headed wrongly.

use std::path::PathBuf;

use super::RestoredFile;
use crate::error::{Reason, Result};
use crate::failure::{IoFailure, attempt};
use crate::files::Entry;
use crate::keydir::{KeyDir, KeyState, free_names_aside};
use crate::layers::{self, Disk, Medium};

/// Gives every layer file its length and header. What its nodes are is looked at afterwards.
pub(super) fn restore(key: &KeyDir, medium: &dyn Medium, disk: &Disk) -> Result<Vec<RestoredFile>> {
    let paths = key.paths();
    let directory = paths.layers();
    let directory_moved_to = make_directory_of_layers(&directory)?;
    let mut restored = Vec::new();
    let mut shelf = key.shelf()?;
    match key.manifest().state() {
        // Their parts may still have to come, and those that are there are looked at by whoever joins them.
        KeyState::Generating => shelf.files.retain(|file| file.part().is_none()),
        KeyState::Sealed => shelf = shelf.with_missing(),
    }
    for file in &shelf.files {
        let (what, moved_to) = match layers::mend(medium, disk, file) {
            Ok(None) => continue,
            Ok(Some(what)) => (what, directory_moved_to.clone()),
            Err(error) if error.reason() == Reason::NotAFile => {
                let moved_to = move_aside(&file.entry)?;
                layers::mend(medium, disk, file)?;
                (error.detail().to_owned(), moved_to)
            }
            Err(error) => return Err(error),
        };
        restored.push(RestoredFile {
            file: file.entry.path().to_owned(),
            level: file.content.level(),
            what,
            moved_to,
        });
    }
    // Always: a repair that was killed may have made files of which nothing is missing now but a durable name.
    medium.sync_names(&directory)?;
    if shelf.has_adopted() {
        medium.sync_names(&paths.adopted_parts(key.manifest().plan().trim()))?;
    }
    Ok(restored)
}

/// Looks whether each layer file can be mended, or made, and names the first that cannot.
pub(super) fn look(key: &KeyDir) -> Result<()> {
    let directory = key.paths().layers();
    if directory.is_link()? {
        return Err(layers::link(directory.path()));
    }
    let shelf = key.shelf()?;
    // Which of two parts is the right one is for a person to say.
    if let Some(unusable) = shelf
        .faults()
        .find(|fault| fault.error.reason() != Reason::LayerMissing)
    {
        return Err(unusable.error);
    }
    for file in &shelf.files {
        match layers::look(&file.entry) {
            Err(error) if matches!(error.reason(), Reason::LayerMissing | Reason::NotAFile) => {}
            seen => seen?,
        }
    }
    Ok(())
}

/// Makes the directory of the layer files, unless it is there, and says where that is now which stood in its place.
fn make_directory_of_layers(directory: &Entry) -> Result<Option<PathBuf>> {
    if directory.is_link()? {
        // Files of something else could lie behind it.
        return Err(layers::link(directory.path()));
    }
    let moved_to = if directory.exists()? && !directory.is_directory()? {
        move_aside(directory)?
    } else {
        None
    };
    // Also if it is there: a repair that was killed may have made it, or given the store its name, and not come to more.
    directory.make_directory()?;
    Ok(moved_to)
}

/// Gives what stands there a name of its own beside it, durably, and says which; `None` if nothing is there. It is never
/// deleted: it may be of use to its owner.
pub(crate) fn move_aside(standing: &Entry) -> Result<Option<PathBuf>, IoFailure> {
    let path = standing.path();
    for target in free_names_aside(standing) {
        if target.exists()? {
            continue;
        }
        return match attempt("rename", path, || standing.rename(&target)) {
            Ok(()) => {
                let target = target.path().to_owned();
                // At once: a repair that ends early has no report.
                tracing::warn!("'{}' was moved aside and is '{}' now", path.display(), target.display());
                standing.sync_name()?;
                Ok(Some(target))
            }
            Err(failure) if failure.is_missing() => Ok(None),
            Err(failure) => Err(failure),
        };
    }
    Ok(None)
}

/// Lets the files of a sealed key be written.
pub(super) fn open_for_writing(key: &KeyDir) -> Result<()> {
    let files = key.shelf()?.files;
    files
        .iter()
        .try_for_each(|file| Ok(layers::make_writable(&file.entry)?))
}

/// Protects the files of a sealed key again, also those that an interrupted repair left writable.
pub(super) fn protect(key: &KeyDir, medium: &dyn Medium) -> Result<()> {
    if key.manifest().state() == KeyState::Generating {
        return Ok(());
    }
    let files = key.shelf()?.files;
    files
        .iter()
        .try_for_each(|file| Ok(layers::protect_again(medium, &file.entry)?))
}
