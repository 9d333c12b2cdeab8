//! Files of a set: whole and durable as soon as they have their names, and never put over another one unasked.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::Path;

use zeroize::Zeroizing;

use super::names::SetPaths;
use super::plan::taken;
use crate::error::Result;
use crate::failure::{IoFailure, attempt};
use crate::files::publish::{Draft, Existing, Mode};
use crate::files::{Directory, open_to_read, sync_file};

const BUFFER_BYTES: usize = 64 << 10;
const SECRET_MODE: u32 = 0o600;

/// The directory of a set, where files are published.
#[derive(Debug)]
pub(super) struct Publisher {
    directory: Directory,
    /// Where they lie until they are whole.
    drafts: Directory,
    /// Mode of files that hold no secret.
    public_mode: u32,
    existing: Existing,
}

impl Publisher {
    pub(super) fn open(paths: &SetPaths, public_mode: u32, existing: Existing) -> Result<Self, IoFailure> {
        Ok(Self {
            directory: Directory::open(paths.root())?,
            drafts: Directory::open(&paths.work())?,
            public_mode,
            existing,
        })
    }

    /// Writes a file of the set. One that is there already has to hold the same, unless files may be replaced. Their names
    /// are left to be [synced](Self::sync_names).
    pub(super) fn publish(
        &self,
        target: &Path,
        is_secret: bool,
        write: impl FnOnce(&mut dyn Write) -> Result<()>,
    ) -> Result<()> {
        let mode = if is_secret { SECRET_MODE } else { self.public_mode };
        let entry = self.directory.entry(target.file_name().unwrap_or_default());
        let mut draft = Draft::beside(self.drafts.clone(), entry, Mode::Exact(mode))?;
        draft.write(write)??;
        match draft.put(self.existing) {
            Err(failure) if failure.source.kind() == ErrorKind::AlreadyExists => settle_with(&draft, target),
            put => Ok(put?),
        }
    }

    /// Makes the names of all files durable that were published.
    pub(super) fn sync_names(&self) -> Result<(), IoFailure> {
        self.directory.sync()
    }
}

/// Leaves the file that is there if it holds the same as the draft; its writer need not have made it durable.
fn settle_with(draft: &Draft, target: &Path) -> Result<()> {
    let mut written = draft.file();
    attempt("lseek", target, || written.rewind())?;
    let there = open_to_read(target)?;
    if !same((written, target), (&there, target))? {
        return Err(taken(target, None));
    }
    Ok(sync_file(&there, target)?)
}

/// Whether two files hold the same bytes.
pub(super) fn holds_the_same(one: &Path, other: &Path) -> Result<bool, IoFailure> {
    same((&open_to_read(one)?, one), (&open_to_read(other)?, other))
}

fn same(one: (&File, &Path), other: (&File, &Path)) -> Result<bool, IoFailure> {
    let mut buffers = [buffer(), buffer()];
    loop {
        let mut counts = [0; 2];
        for (place, (file, path)) in [one, other].into_iter().enumerate() {
            counts[place] = attempt("read", path, || fill(file, &mut buffers[place]))?;
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
pub(super) fn fill(mut file: &File, buffer: &mut [u8]) -> std::io::Result<usize> {
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
pub(super) fn copy(from: &Path, to: &mut dyn Write) -> Result<()> {
    let file = open_to_read(from)?;
    let mut buffer = buffer();
    loop {
        let count = attempt("read", from, || fill(&file, &mut buffer))?;
        if count == 0 {
            return Ok(());
        }
        // The writer names its own failures.
        attempt("write", from, || to.write_all(&buffer[..count]))?;
    }
}
