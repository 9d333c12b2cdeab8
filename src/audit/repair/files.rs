//! Layer files as files: those that are missing, cut, or headed wrongly.

use super::{RepairError, RestoredFile};
use crate::files::{exists, make_directory, sync_directory};
use crate::keydir::{KeyDir, KeyState};
use crate::layers::{self, Disk, Header, Medium};

/// Gives every layer file its length and header. What its nodes are is looked at afterwards.
pub(super) fn restore(key: &KeyDir, medium: &dyn Medium, disk: &Disk) -> Result<Vec<RestoredFile>, RepairError> {
    let (paths, manifest) = (key.paths(), key.manifest());
    let directory = paths.layers();
    let was_there = exists(&directory)?;
    // Refuses a link in its place, behind which files of something else could lie.
    make_directory(&directory)?;
    if !was_there {
        sync_directory(paths.root())?;
    }
    let mut restored = Vec::new();
    for span in manifest.plan().geometry().stored_levels() {
        let header = Header::new(manifest.key_id(), span, manifest.scheme().digest_bytes());
        let file = paths.layer(span.level);
        if let Some(what) = layers::mend(medium, disk, &file, &header)? {
            let level = span.level;
            restored.push(RestoredFile { file, level, what });
        }
    }
    // Always: a repair that was killed may have made files of which nothing is missing now but a durable name.
    medium.sync_names(&directory)?;
    Ok(restored)
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
