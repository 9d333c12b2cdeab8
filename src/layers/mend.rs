//! Mending layer files as files: their existence, length and header. What is right in them stays as it is.

use std::fs::File;
use std::os::unix::fs::{FileExt, PermissionsExt};

use rustix::fs::OFlags;

use super::medium::{WRITABLE_MODE, open_layer, set_mode};
use super::{Disk, Medium, NodeFile, present};
use crate::error::{Reason, Result};
use crate::failure::{IoFailure, attempt};
use crate::files::{Entry, drop_cached, sync_file};
use crate::plan::LAYER_HEADER_BYTES;

const OWNER_WRITES: u32 = 0o200;
const ANYBODY_WRITES: u32 = 0o222;

/// Looks whether a layer file can be read and mended in its place.
pub(crate) fn look(layer: &Entry) -> Result<()> {
    present(layer, open_to_read(layer)).map(drop)
}

/// Gives the file at `path` the length and the header that it has to have, durably but for its name, and says what was
/// wrong; `None` if nothing was. A run of nodes that was missing holds zeros afterwards. What is read of the file from
/// here on is what the disk has.
pub(crate) fn mend(medium: &dyn Medium, disk: &Disk, node_file: &NodeFile) -> Result<Option<String>> {
    let NodeFile { entry: layer, content } = node_file;
    let path = layer.path();
    let file = match present(layer, open_to_read(layer)) {
        Err(error) if error.reason() == Reason::LayerMissing => {
            medium.create(layer, content.file_bytes(), &content.to_page())?;
            return Ok(Some("it was missing".to_owned()));
        }
        file => file?,
    };
    let expected_bytes = content.file_bytes();
    let found_bytes = attempt("stat", path, || file.metadata())?.len();
    let mut wrong = Vec::new();
    if found_bytes != expected_bytes {
        wrong.push(format!("it was {found_bytes} bytes long instead of {expected_bytes}"));
    }
    // What an earlier process left in the page cache need not be on the disk, however right it is.
    sync_file(&file, path)?;
    drop_cached(&file, path)?;
    let mut page = vec![0; LAYER_HEADER_BYTES.min(found_bytes) as usize];
    attempt("pread", path, || file.read_exact_at(&mut page, 0))?;
    let header_is_right = content.check_page(&page, path).is_ok();
    if !header_is_right {
        wrong.push("its header was not what it has to be".to_owned());
    }
    if wrong.is_empty() {
        return Ok(None);
    }
    make_writable(layer)?;
    let file = open_layer(layer, OFlags::RDWR)?;
    if found_bytes > expected_bytes {
        attempt("ftruncate", path, || file.set_len(expected_bytes))?;
    }
    disk.allocate(&file, expected_bytes, path)?;
    if !header_is_right {
        attempt("pwrite", path, || file.write_all_at(&content.to_page(), 0))?;
    }
    sync_file(&file, path)?;
    Ok(Some(wrong.join(", ")))
}

/// Lets the owner write a layer file that was protected when its key was sealed.
pub(crate) fn make_writable(layer: &Entry) -> Result<(), IoFailure> {
    let file = open_to_read(layer)?;
    match mode(&file, layer)? & OWNER_WRITES {
        0 => set_mode(&file, WRITABLE_MODE, layer.path()),
        _ => Ok(()),
    }
}

/// Write-protects a layer file of a sealed key that was left writable.
pub(crate) fn protect_again(medium: &dyn Medium, layer: &Entry) -> Result<(), IoFailure> {
    match mode(&open_to_read(layer)?, layer)? & ANYBODY_WRITES {
        0 => Ok(()),
        _ => medium.protect(layer),
    }
}

fn open_to_read(layer: &Entry) -> Result<File, IoFailure> {
    open_layer(layer, OFlags::RDONLY)
}

fn mode(file: &File, layer: &Entry) -> Result<u32, IoFailure> {
    let metadata = attempt("stat", layer.path(), || file.metadata())?;
    Ok(metadata.permissions().mode())
}
