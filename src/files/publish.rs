//! Files that appear under their name whole and durable, or not at all.
//!
//! Everything that the program says it has written comes through here: it is written where no other process sees it, made durable,
//! given its name, and then its name is made durable. No failed sync is repeated, and an error leaves no draft behind.

use std::fs::{File, Permissions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{BufWriter, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;
use zeroize::Zeroize;

use super::{DESCRIPTORS, Directory, Entry, sync_file};
use crate::failure::{IoFailure, attempt, write_whole};

/// A draft that has a name is called `.keymill-`, six letters or digits, `.tmp`. One that a process which died has left may
/// be deleted.
const DRAFT_PREFIX: &str = ".keymill-";
const DRAFT_SUFFIX: &str = ".tmp";
const DRAFT_RANDOM_CHARACTERS: usize = 6;
/// Names that are tried; of two thousand million, that so many are taken is not an accident.
const DRAFT_NAMES: u32 = 16;
/// Until it has its final mode, a draft is its owner's alone.
const DRAFT_MODE: u32 = 0o600;
const BUFFER_BYTES: usize = 64 << 10;

/// Whether a file name is that of a draft of ours.
pub(crate) fn is_draft(name: &str) -> bool {
    let random = name
        .strip_prefix(DRAFT_PREFIX)
        .and_then(|rest| rest.strip_suffix(DRAFT_SUFFIX));
    random.is_some_and(|random| {
        random.len() == DRAFT_RANDOM_CHARACTERS && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

fn draft_name() -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    // Hashers begin with random keys.
    let mut number = RandomState::new().build_hasher().finish();
    let mut name = DRAFT_PREFIX.to_owned();
    for _ in 0..DRAFT_RANDOM_CHARACTERS {
        name.push(char::from(DIGITS[(number % DIGITS.len() as u64) as usize]));
        number /= DIGITS.len() as u64;
    }
    name + DRAFT_SUFFIX
}

/// Permission bits of a file or directory that is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// These, whatever the umask of the process.
    Exact(u32),
    /// Those of these that the umask leaves.
    Umasked(u32),
}

/// What becomes of a file that has the name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// The new one takes its place.
    Replaced,
    /// It stays, and the new one is not published: an error of the kind [`AlreadyExists`](ErrorKind::AlreadyExists).
    InTheWay,
}

/// Puts a file with this content in the place of the one of this name, if there is one.
pub(crate) fn replace(target: &Entry, content: &[u8], mode: Mode) -> Result<(), IoFailure> {
    Replacement::new(target, content, mode)?.put()
}

/// What is to take the place of a file: durable already, and not yet under its name. Dropped before, it is gone.
#[derive(Debug)]
pub(crate) struct Replacement(Draft);

impl Replacement {
    /// A draft with this content.
    pub(crate) fn new(target: &Entry, content: &[u8], mode: Mode) -> Result<Self, IoFailure> {
        let draft = Draft::of(target.clone(), mode)?;
        write_whole(&draft.file, content, draft.target.path())?;
        sync_file(&draft.file, draft.target.path())?;
        Ok(Self(draft))
    }

    /// Gives it its name, and makes that durable.
    ///
    /// # Errors
    /// [`IoFailure`]; only if the last of these fails, the file has its name all the same.
    pub(crate) fn put(mut self) -> Result<(), IoFailure> {
        self.0.name(Existing::Replaced)?;
        sync_file(&self.0.names, self.0.target.directory().path())
    }
}

/// Puts a file with this content in the place of the one at `path`, if there is one.
///
/// # Errors
/// [`IoFailure`]; the old file is there, or the new one.
pub fn replace_at(path: &Path, content: &[u8], mode: Mode) -> Result<(), IoFailure> {
    replace(&Entry::of(path)?, content, mode)
}

/// As [`replace_at`], but for a file that is written again and again for those who read it while this process runs, and that
/// nothing depends on: it is whole for each reader and is not made durable, so that nobody waits for the disk. After the machine
/// has stopped it may be the old one, or empty.
///
/// # Errors
/// [`IoFailure`]; the old file is there, or the new one.
pub fn show_at(path: &Path, content: &[u8], mode: Mode) -> Result<(), IoFailure> {
    let mut draft = Draft::of(Entry::of(path)?, mode)?;
    write_whole(&draft.file, content, draft.target.path())?;
    draft.name(Existing::Replaced)
}

/// A file that gets its name when it is whole and durable. Dropped before, it is gone.
#[derive(Debug)]
pub struct Draft {
    /// What it is to be called, also in messages: its own name does not matter.
    target: Entry,
    file: File,
    /// Its own name, if it has one.
    name: Option<Entry>,
    /// Where names for drafts are taken: on the same file system.
    drafts: Directory,
    /// The directory of its target, to be synced. Whoever may not open it hears of that before anything is written.
    names: File,
}

impl Draft {
    /// A new file that no other process sees, and that is to be called `path`.
    ///
    /// # Errors
    /// [`IoFailure`] if it cannot be made.
    pub fn new(path: &Path, mode: Mode) -> Result<Self, IoFailure> {
        Self::of(Entry::of(path)?, mode)
    }

    pub(crate) fn of(target: Entry, mode: Mode) -> Result<Self, IoFailure> {
        let drafts = target.directory().clone();
        Self::beside(drafts, target, mode)
    }

    /// As long as it is a draft, it lies in `drafts`, on the same file system as its target.
    pub(crate) fn beside(drafts: Directory, target: Entry, mode: Mode) -> Result<Self, IoFailure> {
        let opened_with = match mode {
            Mode::Exact(_) => DRAFT_MODE,
            Mode::Umasked(bits) => bits,
        };
        let directory = target.directory();
        let names = attempt("open", directory.path(), || directory.listing())?;
        let (file, name) = match nameless(&drafts, &target, opened_with)? {
            Some(file) => (file, None),
            None => named(&drafts, &target, opened_with).map(|(file, name)| (file, Some(name)))?,
        };
        let draft = Self {
            target,
            file,
            name,
            drafts,
            names,
        };
        if let Mode::Exact(bits) = mode {
            attempt("fchmod", draft.target.path(), || {
                draft.file.set_permissions(Permissions::from_mode(bits))
            })?;
        }
        Ok(draft)
    }

    /// Lets `write` write to it; see [`write_named`].
    ///
    /// # Errors
    /// [`IoFailure`] if a write failed; then what `write` has answered does not matter.
    pub fn write<E>(&self, write: impl FnOnce(&mut dyn Write) -> Result<(), E>) -> Result<Result<(), E>, IoFailure> {
        write_named(&self.file, self.target.path(), write)
    }

    /// Makes it durable, gives it its name, and makes that durable.
    ///
    /// # Errors
    /// [`IoFailure`]; only if the last of these fails, the file has its name all the same.
    pub fn publish(mut self, existing: Existing) -> Result<(), IoFailure> {
        self.put(existing)?;
        sync_file(&self.names, self.target.directory().path())
    }

    /// As [`publish`](Self::publish), but for the durability of its name: for many files, whose directory is synced once.
    pub(crate) fn put(&mut self, existing: Existing) -> Result<(), IoFailure> {
        sync_file(&self.file, self.target.path())?;
        self.name(existing)
    }

    /// Gives it its name.
    fn name(&mut self, existing: Existing) -> Result<(), IoFailure> {
        match (self.name.take(), existing) {
            (None, existing) => self.put_nameless(existing),
            (Some(name), Existing::Replaced) => self.rename(name),
            (Some(name), Existing::InTheWay) => {
                let put = self.rename_beside(&name);
                if put.is_err() {
                    self.name = Some(name);
                }
                put
            }
        }
    }

    /// What was written to it, to be read.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    fn put_nameless(&mut self, existing: Existing) -> Result<(), IoFailure> {
        let link = |name: &Entry| attempt("linkat", self.target.path(), || name.link_file(&self.file));
        match link(&self.target) {
            Err(failure) if existing == Existing::Replaced && is_taken(&failure) => {
                // A link replaces nothing, only a rename does.
                let ((), name) = with_free_name(&self.drafts, link)?;
                self.rename(name)
            }
            linked => linked,
        }
    }

    fn rename(&mut self, name: Entry) -> Result<(), IoFailure> {
        let renamed = attempt("rename", self.target.path(), || name.rename(&self.target));
        if renamed.is_err() {
            self.name = Some(name);
        }
        renamed
    }

    /// Gives a draft its name unless that is taken.
    fn rename_beside(&self, name: &Entry) -> Result<(), IoFailure> {
        let target = self.target.path();
        match attempt("rename", target, || name.rename_beside(&self.target)) {
            Err(failure) if is_one_of(&failure, &[Errno::INVAL, Errno::NOSYS]) => {
                attempt("linkat", target, || name.link(&self.target))?;
                attempt("unlink", target, || name.unlink_at_once())
            }
            renamed => renamed,
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // It is the end of something that has failed, and says why itself.
            let _ = name.unlink_at_once();
        }
    }
}

fn is_one_of(failure: &IoFailure, errnos: &[Errno]) -> bool {
    let raw = failure.source.raw_os_error();
    errnos.iter().any(|errno| raw == Some(errno.raw_os_error()))
}

fn is_taken(failure: &IoFailure) -> bool {
    failure.source.kind() == ErrorKind::AlreadyExists
}

/// A file that is gone when the process ends, however that ends, unless it got a name before. Not every file system has
/// such files, and without /proc none can get a name (open(2), O_TMPFILE).
fn nameless(drafts: &Directory, target: &Entry, mode: u32) -> Result<Option<File>, IoFailure> {
    if !Path::new(DESCRIPTORS).exists() {
        return Ok(None);
    }
    match open(&drafts.entry("."), OFlags::TMPFILE, target, mode) {
        // The last two are what those say that do not know the flag.
        Err(failure) if is_one_of(&failure, &[Errno::OPNOTSUPP, Errno::ISDIR, Errno::INVAL]) => Ok(None),
        opened => opened.map(Some),
    }
}

fn named(drafts: &Directory, target: &Entry, mode: u32) -> Result<(File, Entry), IoFailure> {
    // O_EXCL: nothing that is there before, not even a link, is written through.
    let flags = OFlags::CREATE | OFlags::EXCL;
    with_free_name(drafts, |name| open(name, flags, target, mode))
}

fn open(name: &Entry, flags: OFlags, target: &Entry, mode: u32) -> Result<File, IoFailure> {
    attempt("open", target.path(), || name.open_at_once(flags | OFlags::RDWR, mode))
}

/// Lets `make` take a name for a draft, another one if that is taken, and gives the name.
fn with_free_name<T>(
    drafts: &Directory,
    make: impl Fn(&Entry) -> Result<T, IoFailure>,
) -> Result<(T, Entry), IoFailure> {
    let mut left = DRAFT_NAMES;
    loop {
        let name = drafts.entry(draft_name());
        left -= 1;
        match make(&name) {
            Err(failure) if left > 0 && is_taken(&failure) => {}
            made => return made.map(|made| (made, name)),
        }
    }
}

/// Lets `write` write to an open file through a buffer that is wiped, for what was in it may be a secret. A write that
/// fails names the file.
///
/// # Errors
/// [`IoFailure`] if a write failed; then what `write` has answered does not matter.
pub fn write_named<E>(
    file: &File,
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<Result<(), E>, IoFailure> {
    let mut failure = None;
    let naming = Naming {
        file,
        path,
        failure: &mut failure,
    };
    let mut writer = BufWriter::with_capacity(BUFFER_BYTES, naming);
    let written = write(&mut writer);
    // Where the buffer cannot be written, that is a failure which was named.
    let _ = writer.flush();
    if let (_, Ok(mut buffer)) = writer.into_parts() {
        buffer.zeroize();
    }
    match failure {
        Some(failure) => Err(failure),
        None => Ok(written),
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
        let mut file = self.file;
        let written = attempt("write", self.path, || match file.write(bytes) {
            Ok(0) if !bytes.is_empty() => Err(ErrorKind::WriteZero.into()),
            written => written,
        });
        written.map_err(|failure| {
            let kind = failure.source.kind();
            // A write that was interrupted is made again by the caller.
            if kind != ErrorKind::Interrupted {
                *self.failure = Some(failure);
            }
            kind.into()
        })
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "publish_tests.rs"]
mod tests;
