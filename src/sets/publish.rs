//! Files that appear under their name complete and durable, or not at all.

use std::fs::{File, Permissions};
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;
use zeroize::{Zeroize, Zeroizing};

use super::error::SetError;
use crate::failure::{IoFailure, attempt};
use crate::files::{open_to_read, sync_file};
use crate::keydir::durable;

const BUFFER_BYTES: usize = 64 << 10;
const SECRET_MODE: u32 = 0o600;

/// Where drafts are written, and how they become files.
#[derive(Clone, Copy, Debug)]
pub(super) struct Publisher<'a> {
    /// On the same file system as the files.
    pub(super) drafts: &'a Path,
    /// Mode of files that hold no secret.
    pub(super) public_mode: u32,
    /// Files of these names are replaced, whatever they are.
    pub(super) overwrites: bool,
}

impl Publisher<'_> {
    /// Writes a file. One that is there already has to hold the same, unless files may be replaced. The directory is left to
    /// be synced.
    pub(super) fn publish(
        &self,
        target: &Path,
        is_secret: bool,
        write: impl FnOnce(&mut dyn Write) -> Result<(), SetError>,
    ) -> Result<(), SetError> {
        let mode = if is_secret { SECRET_MODE } else { self.public_mode };
        let draft = durable::draft(self.drafts, target, SECRET_MODE)?;
        attempt("fchmod", target, || {
            draft.as_file().set_permissions(Permissions::from_mode(mode))
        })?;
        write_named(draft.as_file(), target, write)?;
        sync_file(draft.as_file(), target)?;
        if self.overwrites {
            attempt("rename", target, || {
                draft.persist(target).map_err(|failed| failed.error)
            })?;
            return Ok(());
        }
        put_beside(draft, target)
    }
}

/// Gives the draft its name, unless that is taken.
fn put_beside(draft: NamedTempFile, target: &Path) -> Result<(), SetError> {
    let mut left = None;
    let renamed = attempt("rename", target, || {
        draft.persist_noclobber(target).map(drop).map_err(|failed| {
            left = Some(failed.file);
            failed.error
        })
    });
    match (renamed, left) {
        (Err(failure), Some(draft)) if failure.source.kind() == std::io::ErrorKind::AlreadyExists => {
            match holds_the_same(draft.path(), target)? {
                true => Ok(()),
                false => Err(SetError::Exists(target.to_owned())),
            }
        }
        (renamed, _) => Ok(renamed?),
    }
}

fn write_named(
    file: &File,
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), SetError>,
) -> Result<(), SetError> {
    let mut failure = None;
    let naming = Naming {
        file,
        path,
        failure: &mut failure,
    };
    let mut writer = BufWriter::with_capacity(BUFFER_BYTES, naming);
    let written = write(&mut writer);
    let flushed = writer.flush();
    if let (_, Ok(mut buffer)) = writer.into_parts() {
        // What was in it may be a secret.
        buffer.zeroize();
    }
    match (failure, written, flushed) {
        (Some(failure), ..) => Err(failure.into()),
        (None, written, Ok(())) => written,
        // A write that failed is always named.
        (None, written, Err(_)) => written,
    }
}

/// Keeps the failure of a write with the name of its file.
struct Naming<'a> {
    file: &'a File,
    path: &'a Path,
    failure: &'a mut Option<IoFailure>,
}

impl Write for Naming<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        attempt("write", self.path, || self.file.write(bytes)).map_err(|failure| {
            let kind = failure.source.kind();
            // A write that was interrupted is made again by the caller.
            if kind != std::io::ErrorKind::Interrupted {
                *self.failure = Some(failure);
            }
            kind.into()
        })
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Whether two files hold the same bytes.
pub(super) fn holds_the_same(one: &Path, other: &Path) -> Result<bool, IoFailure> {
    let (mut files, mut buffers) = ([open_to_read(one)?, open_to_read(other)?], [buffer(), buffer()]);
    loop {
        let mut counts = [0; 2];
        for (place, path) in [one, other].into_iter().enumerate() {
            counts[place] = attempt("read", path, || fill(&mut files[place], &mut buffers[place]))?;
        }
        let [left, right] = [&buffers[0][..counts[0]], &buffers[1][..counts[1]]];
        if left != right {
            return Ok(false);
        }
        if left.is_empty() {
            return Ok(true);
        }
    }
}

fn buffer() -> Zeroizing<Vec<u8>> {
    Zeroizing::new(vec![0; BUFFER_BYTES])
}

/// Reads until the buffer is full or the file ends.
pub(super) fn fill(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Copies a file in pieces, through memory that is wiped.
pub(super) fn copy(from: &Path, to: &mut dyn Write) -> Result<(), SetError> {
    let mut file = open_to_read(from)?;
    let mut buffer = buffer();
    loop {
        let count = attempt("read", from, || fill(&mut file, &mut buffer))?;
        if count == 0 {
            return Ok(());
        }
        // The writer names its own failures.
        attempt("write", from, || to.write_all(&buffer[..count]))?;
    }
}
