//! Replacing small files so that after a crash either the old or the new content is there, whole.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;
use tempfile::NamedTempFile;

use crate::failure::{IoFailure, attempt, write_whole};
use crate::files::{Entry, sync_file};

/// Files that were being written when the process died are called `.keymill-`, six letters or digits, `.tmp`, and may be deleted.
const TEMPORARY_PREFIX: &str = ".keymill-";
const TEMPORARY_SUFFIX: &str = ".tmp";
const TEMPORARY_RANDOM_CHARACTERS: usize = 6;
const TEMPORARIES_MAX: u32 = 999_999;

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

/// A file that is written under another name first. Dropped before it is put in its place, it is gone.
struct Draft<'a> {
    target: &'a Entry,
    file: File,
    name: Entry,
    is_in_place: bool,
}

impl<'a> Draft<'a> {
    fn new(target: &'a Entry, mode: u32) -> Result<Self, IoFailure> {
        // O_EXCL: nothing that is there before, not even a link, is written through.
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let (file, name) = attempt("open", target.path(), || {
            let mut number = 0;
            loop {
                let width = TEMPORARY_RANDOM_CHARACTERS;
                let name = format!("{TEMPORARY_PREFIX}{number:0width$}{TEMPORARY_SUFFIX}");
                let name = target.directory().entry(name);
                match name.open_at_once(flags, mode) {
                    // Another user of the machine may have put something there; of our own, none is left.
                    Err(Errno::EXIST) if number < TEMPORARIES_MAX => number += 1,
                    made => return made.map(|file| (file, name)),
                }
            }
        })?;
        Ok(Self {
            target,
            file,
            name,
            is_in_place: false,
        })
    }

    fn put_in_place(mut self) -> Result<(), IoFailure> {
        attempt("rename", self.target.path(), || self.name.rename(self.target))?;
        self.is_in_place = true;
        Ok(())
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.is_in_place {
            // Whoever takes the lock next removes one that is left.
            let _ = self.name.unlink_at_once();
        }
    }
}

/// Writes `content` to a temporary file, makes it durable, renames it over `target` and makes the directory durable.
pub(crate) fn replace(target: &Entry, content: &[u8], mode: u32) -> Result<(), IoFailure> {
    let draft = Draft::new(target, mode)?;
    write_whole(&draft.file, content, target.path())?;
    sync_file(&draft.file, target.path())?;
    draft.put_in_place()?;
    target.directory().sync()
}
