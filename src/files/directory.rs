//! Directories that were opened. What is done in one is done in that one, whatever has its name meanwhile.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Error, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, Stat, fstat, linkat, mkdirat, openat, renameat,
    renameat_with, stat, statat, unlinkat,
};
use rustix::io::Errno;

use super::{DIRECTORY_MODE, NotRegular, open_at, parent_of, sync_file};
use crate::failure::{IoFailure, attempt};
use crate::mapping::Process;
use crate::resources::{Registration, ResourceKind, register};

/// A directory that this process has open.
#[derive(Clone, Debug)]
pub(crate) struct Directory(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    /// As it was given, for messages.
    path: PathBuf,
    /// For what can only be done by name: the process may have changed its directory since.
    absolute: PathBuf,
    /// Opened with O_PATH: to look for a name in it takes no more rights than to reach it.
    handle: OwnedFd,
    identity: Identity,
    process: Process,
    /// The directory that it was opened in, if it was opened by a name there.
    within: Option<Directory>,
    _registration: Registration,
}

/// Device and inode.
type Identity = (u64, u64);

fn identity(found: &Stat) -> Identity {
    (found.st_dev, found.st_ino)
}

/// Why nothing more is written to a directory by its name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    /// The name leads to another directory, or to nothing.
    #[error(
        "the directory was moved or replaced while this process had it open, and nothing more was written: put it back, so that \
         '{}' is it again, and try again", .0.display()
    )]
    Displaced(PathBuf),
    /// It was opened by the process that this one was forked from.
    #[error("process {opened_by} opened it before this one was forked from it; open it after the fork")]
    Forked {
        /// The number of that process.
        opened_by: u32,
    },
}

/// Why the directory must not be written to by name, if that is why a call failed.
#[cfg(test)]
pub(crate) fn lost(failure: &IoFailure) -> Option<&Lost> {
    failure.source.get_ref()?.downcast_ref()
}

/// A path that goes on leading where it leads now when the process changes its directory. Links stay in it.
fn absolute(path: &Path) -> Result<PathBuf, IoFailure> {
    // An empty one leads nowhere, and is said to do so where it is opened.
    if path.is_absolute() || path == Path::new("") {
        Ok(path.to_owned())
    } else {
        attempt("getcwd", path, || std::path::absolute(path))
    }
}

/// How the paths of open files begin (proc_pid_fd(5)).
pub(crate) const DESCRIPTORS: &str = "/proc/self/fd/";
const OPENED: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// Answers to a name that does not lead anywhere.
const NOWHERE: [Errno; 3] = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP];

impl Directory {
    /// Opens the directory at `path`.
    #[track_caller]
    pub(crate) fn open(path: &Path) -> Result<Self, IoFailure> {
        let absolute = absolute(path)?;
        let handle = attempt("open", path, || openat(CWD, &absolute, OPENED, Mode::empty()))?;
        Self::of(path.to_owned(), absolute, handle, None)
    }

    #[track_caller]
    fn of(path: PathBuf, absolute: PathBuf, handle: OwnedFd, within: Option<Self>) -> Result<Self, IoFailure> {
        let identity = identity(&attempt("fstat", &path, || fstat(&handle))?);
        Ok(Self(Arc::new(Opened {
            path,
            absolute,
            handle,
            identity,
            process: Process::current(),
            within,
            _registration: register(ResourceKind::File, 0),
        })))
    }

    /// The path by which it was opened, as it was given.
    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }

    /// The same, from the root of the file system on.
    pub(crate) fn absolute(&self) -> &Path {
        &self.0.absolute
    }

    /// What has, or is to have, this name in it.
    pub(crate) fn entry(&self, name: impl AsRef<Path>) -> Entry {
        let name = name.as_ref().to_owned();
        let path = self.path().join(&name);
        let directory = self.clone();
        Entry { directory, name, path }
    }

    /// Whether it is this user's, and nobody else may write in it.
    pub(crate) fn is_for_owner_alone(&self) -> Result<bool, IoFailure> {
        let found = attempt("fstat", self.path(), || fstat(&self.0.handle))?;
        Ok(found.st_uid == rustix::process::geteuid().as_raw() && found.st_mode & 0o022 == 0)
    }

    /// The process that opened it, if this one was forked from that since.
    pub(crate) fn opened_before_fork(&self) -> Option<u32> {
        let opened_by = self.0.process;
        (opened_by != Process::current()).then(|| opened_by.number())
    }

    /// Makes sure that what is about to be written by name comes to lie in this directory.
    ///
    /// # Errors
    /// [`IoFailure`] with the word [`Lost`] if it would not.
    pub(crate) fn check(&self) -> Result<(), IoFailure> {
        if let Some(within) = &self.0.within {
            within.check()?;
        }
        attempt("stat", self.path(), || self.look(self.absolute()))
    }

    /// As [`check`](Self::check), for what is written by another path than the one by which it was opened.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub(crate) fn check_by(&self, path: &Path) -> Result<(), IoFailure> {
        attempt("stat", path, || self.look(path))
    }

    /// Whether its name leads to it, and this process is the one that opened it.
    pub(crate) fn is_in_place(&self) -> bool {
        self.0.within.as_ref().is_none_or(Self::is_in_place) && self.look(self.absolute()).is_ok()
    }

    fn look(&self, path: &Path) -> Result<(), Error> {
        if let Some(opened_by) = self.opened_before_fork() {
            return Err(Error::other(Lost::Forked { opened_by }));
        }
        match stat(path) {
            Ok(found) if identity(&found) == self.0.identity => Ok(()),
            Err(errno) if !NOWHERE.contains(&errno) => Err(errno.into()),
            _ => Err(Error::other(Lost::Displaced(self.absolute().to_owned()))),
        }
    }

    /// A path that leads to it whatever becomes of its name, for as long as it is open here; none where /proc is not mounted.
    pub(crate) fn by_descriptor(&self) -> Option<PathBuf> {
        let path = PathBuf::from(format!("{DESCRIPTORS}{}", self.0.handle.as_raw_fd()));
        let found = stat(&path).ok()?;
        (identity(&found) == self.0.identity).then_some(path)
    }

    /// Makes its entries durable.
    pub(crate) fn sync(&self) -> Result<(), IoFailure> {
        let opened = attempt("open", self.path(), || self.listing())?;
        sync_file(&opened, self.path())
    }

    /// The names in it.
    pub(crate) fn names(&self) -> Result<Vec<OsString>, IoFailure> {
        let mut names = Vec::new();
        self.each(|name, _| names.push(name))?;
        Ok(names)
    }

    /// Looks at each name in it, as it is shown, and at whether a directory has it; a link to one is not one.
    pub(crate) fn each_entry(&self, mut look: impl FnMut(String, bool)) -> Result<(), IoFailure> {
        self.each(|name, is_directory| look(name.to_string_lossy().into_owned(), is_directory))
    }

    fn each(&self, mut look: impl FnMut(OsString, bool)) -> Result<(), IoFailure> {
        attempt("readdir", self.path(), || {
            for entry in Dir::new(self.listing()?)? {
                let entry = entry?;
                let name = entry.file_name().to_bytes();
                if name == b"." || name == b".." {
                    continue;
                }
                let kind = match entry.file_type() {
                    // Not every file system says it here.
                    FileType::Unknown => {
                        let found = statat(&self.0.handle, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW);
                        found.map_or(FileType::Unknown, |found| FileType::from_raw_mode(found.st_mode))
                    }
                    kind => kind,
                };
                look(OsString::from_vec(name.to_owned()), kind == FileType::Directory);
            }
            Ok::<_, Errno>(())
        })
    }

    /// Opens everything in it as a file, for reading, and names the first that cannot be, unless it `is_passed_over`. What
    /// vanishes meanwhile does not count.
    pub(crate) fn open_each_file(&self, is_passed_over: impl Fn(&IoFailure) -> bool) -> Result<(), IoFailure> {
        for name in self.names()? {
            match self.entry(name).open_to_read() {
                Err(failure) if !failure.is_missing() && !is_passed_over(&failure) => return Err(failure),
                _ => {}
            }
        }
        Ok(())
    }

    /// The directory as a file that can be listed and synced.
    pub(super) fn listing(&self) -> Result<File, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(&self.0.handle, ".", flags, Mode::empty()).map(File::from)
    }
}

/// A name in a directory that is open, whether or not there is anything of that name.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    directory: Directory,
    /// From there; of more than one part if it lies deeper.
    name: PathBuf,
    path: PathBuf,
}

impl Entry {
    /// The last name of a path, in the directory that is opened for it.
    #[track_caller]
    pub(crate) fn of(path: &Path) -> Result<Self, IoFailure> {
        let directory = Directory::open(parent_of(path))?;
        // In messages it is called as it was given, and not './' and its name.
        let entry = directory.entry(path.file_name().unwrap_or_default());
        let path = path.to_owned();
        Ok(Self { path, ..entry })
    }

    /// Its path, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The directory that it is found from.
    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// What has this name below it.
    pub(crate) fn join(&self, name: impl AsRef<Path>) -> Self {
        self.directory.entry(self.name.join(name))
    }

    /// Another name beside it.
    pub(crate) fn beside(&self, name: OsString) -> Self {
        self.directory.entry(self.name.with_file_name(name))
    }

    fn at(&self) -> &OwnedFd {
        &self.directory.0.handle
    }

    /// Opens a file that has to be a regular one; one that these flags let it make gets this mode.
    pub(crate) fn open(&self, flags: OFlags, mode: u32) -> Result<File, IoFailure> {
        open_at(self.at().as_fd(), &self.name, &self.path, flags, mode)
    }

    /// As [`open`](Self::open), whatever it is, and without a word of what was called.
    pub(crate) fn open_at_once(&self, flags: OFlags, mode: u32) -> Result<File, Errno> {
        openat(
            self.at(),
            &self.name,
            flags | OFlags::CLOEXEC,
            Mode::from_raw_mode(mode),
        )
        .map(File::from)
    }

    /// Opens a regular file for reading, also through a link; nothing else is waited for or read.
    pub(crate) fn open_to_read(&self) -> Result<File, IoFailure> {
        self.open(OFlags::RDONLY, 0)
    }

    /// Opens the directory of this name; a link to one does not count.
    #[track_caller]
    pub(crate) fn open_directory(&self) -> Result<Directory, IoFailure> {
        let open = || openat(self.at(), &self.name, OPENED | OFlags::NOFOLLOW, Mode::empty());
        let handle = attempt("open", &self.path, open)?;
        let absolute = self.directory.absolute().join(&self.name);
        Directory::of(self.path.clone(), absolute, handle, Some(self.directory.clone()))
    }

    fn lstat(&self) -> Result<Option<FileType>, IoFailure> {
        let look = || statat(self.at(), &self.name, AtFlags::SYMLINK_NOFOLLOW);
        match attempt("lstat", &self.path, look) {
            // What is not a directory holds nothing.
            Err(failure) if failure.is_missing() || failure.source.kind() == ErrorKind::NotADirectory => Ok(None),
            found => Ok(Some(FileType::from_raw_mode(found?.st_mode))),
        }
    }

    /// Whether there is anything of this name, be it a link that leads nowhere; that it cannot be told is an error, not a no.
    pub(crate) fn exists(&self) -> Result<bool, IoFailure> {
        Ok(self.lstat()?.is_some())
    }

    /// Whether there is a directory of this name; a link to one does not count.
    pub(crate) fn is_directory(&self) -> Result<bool, IoFailure> {
        Ok(self.lstat()? == Some(FileType::Directory))
    }

    /// Whether a symbolic link has this name, wherever it leads.
    pub(crate) fn is_link(&self) -> Result<bool, IoFailure> {
        Ok(self.lstat()? == Some(FileType::Symlink))
    }

    /// What has this name and is not a regular file; a link is not one.
    pub(crate) fn standing_for_file(&self) -> Result<Option<NotRegular>, IoFailure> {
        Ok(self.lstat()?.and_then(NotRegular::of))
    }

    /// Makes a directory for its owner alone; it may be there already. Its name is durable then, whoever made it.
    pub(crate) fn make_directory(&self) -> Result<(), IoFailure> {
        let mode = Mode::from_raw_mode(DIRECTORY_MODE);
        match attempt("mkdir", &self.path, || mkdirat(self.at(), &self.name, mode)) {
            // A directory: not a link to one, behind which files would come to lie elsewhere.
            Err(failure) if failure.source.kind() == ErrorKind::AlreadyExists && self.is_directory()? => {}
            made => made?,
        }
        self.sync_name()
    }

    /// Makes the name itself durable, if there is something to which it was given.
    pub(crate) fn sync_name(&self) -> Result<(), IoFailure> {
        match self.name.parent() {
            Some(parent) if parent != Path::new("") => self.directory.entry(parent).sync(),
            _ => self.directory.sync(),
        }
    }

    /// Makes the entries of the directory of this name durable.
    pub(crate) fn sync(&self) -> Result<(), IoFailure> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let opened = attempt("open", &self.path, || self.open_at_once(flags, 0))?;
        sync_file(&opened, &self.path)
    }

    /// Removes a directory in which nothing is left.
    pub(crate) fn remove_directory(&self) -> Result<(), IoFailure> {
        let remove = || unlinkat(self.at(), &self.name, AtFlags::REMOVEDIR);
        attempt("rmdir", &self.path, remove)
    }

    /// Removes a file.
    pub(crate) fn unlink(&self) -> Result<(), IoFailure> {
        attempt("unlink", &self.path, || self.unlink_at_once())
    }

    /// As [`unlink`](Self::unlink), for a call whose failure does not matter.
    pub(crate) fn unlink_at_once(&self) -> Result<(), Errno> {
        unlinkat(self.at(), &self.name, AtFlags::empty())
    }

    /// Gives an open file this name, which may not be taken. Without /proc there is no way to.
    pub(super) fn link_file(&self, file: &File) -> Result<(), Errno> {
        let file = format!("{DESCRIPTORS}{}", file.as_raw_fd());
        linkat(CWD, file, self.at(), &self.name, AtFlags::SYMLINK_FOLLOW)
    }

    /// Gives what has this name a second one, which may not be taken.
    pub(super) fn link(&self, to: &Self) -> Result<(), Errno> {
        linkat(self.at(), &self.name, to.at(), &to.name, AtFlags::empty())
    }

    /// As [`rename`](Self::rename), but for a name that is taken. Not every file system and kernel can (renameat2(2)).
    pub(super) fn rename_beside(&self, to: &Self) -> Result<(), Errno> {
        renameat_with(self.at(), &self.name, to.at(), &to.name, RenameFlags::NOREPLACE)
    }

    /// Gives what has this name another one, of which nothing is there that has to be kept.
    pub(crate) fn rename(&self, to: &Self) -> Result<(), Errno> {
        renameat(self.at(), &self.name, to.at(), &to.name)
    }

    /// The same, and makes both names durable, the new one first.
    pub(crate) fn move_to(&self, to: &Self) -> Result<(), IoFailure> {
        attempt("rename", &self.path, || self.rename(to))?;
        to.sync_name().and_then(|()| self.sync_name())
    }
}

/// Tests look at files, and damage them, by their names.
#[cfg(test)]
impl AsRef<Path> for Entry {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}
