//! Directories, made durable, and files, opened and made durable; [`publish`] has those that appear whole.

mod directory;
#[cfg(test)]
pub(crate) mod directory_tests;
pub mod publish;

use std::fs::{DirBuilder, File, Permissions};
use std::io::{Error, ErrorKind};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

pub(crate) use directory::{DESCRIPTORS, Directory, Entry};
#[cfg(test)]
pub(crate) use directory::{Lost, lost};
use publish::Mode;
use rustix::fs::{AtFlags, CWD, FileType, OFlags, openat, statat};

use crate::failure::{IoFailure, attempt};
use crate::remedy::Remedy;

const DIRECTORY_MODE: u32 = 0o700;

/// Makes a directory for its owner alone; it may be there already. Its name is durable then, whoever made it: one that was
/// killed in between has left that to us.
pub(crate) fn make_directory(directory: &Path) -> Result<(), IoFailure> {
    make(directory, Mode::Umasked(DIRECTORY_MODE))?;
    sync_directory(parent_of(directory))
}

fn make(directory: &Path, mode: Mode) -> Result<(), IoFailure> {
    let mut builder = DirBuilder::new();
    let (Mode::Exact(bits) | Mode::Umasked(bits)) = mode;
    builder.mode(bits);
    match attempt("mkdir", directory, || builder.create(directory)) {
        // A directory: not a link to one, behind which files would come to lie elsewhere.
        Err(failure) if failure.source.kind() == ErrorKind::AlreadyExists => {
            return if is_directory(directory)? { Ok(()) } else { Err(failure) };
        }
        made => made?,
    }
    match mode {
        Mode::Umasked(_) => Ok(()),
        Mode::Exact(bits) => attempt("chmod", directory, || {
            std::fs::set_permissions(directory, Permissions::from_mode(bits))
        }),
    }
}

/// Makes a directory and those above it that are not there, durably; it may be there already.
///
/// # Errors
/// [`IoFailure`] names the one that cannot be made.
pub fn make_directories(directory: &Path, mode: Mode) -> Result<(), IoFailure> {
    if exists(directory)? {
        return sync_name_of(directory);
    }
    let parent = parent_of(directory);
    make_directories(parent, mode)?;
    make(directory, mode)?;
    sync_directory(parent)
}

/// Makes the name of a directory durable that is there already. It may have been made by a process that was killed before it
/// came to that. Above what somebody else has made, nothing may be readable, and then there is no way to.
pub(crate) fn sync_name_of(directory: &Path) -> Result<(), IoFailure> {
    let place = place_of(directory);
    match place.parent().map(sync_directory) {
        None => Ok(()),
        Some(Err(failure)) if failure.source.kind() == ErrorKind::PermissionDenied => Ok(()),
        Some(synced) => synced,
    }
}

/// Why a file was not opened: something else has its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.words())]
pub(crate) enum NotRegular {
    Link,
    Directory,
    Fifo,
    Socket,
    Device,
}

impl NotRegular {
    fn of(kind: FileType) -> Option<Self> {
        match kind {
            FileType::RegularFile => None,
            FileType::Symlink => Some(Self::Link),
            FileType::Directory => Some(Self::Directory),
            FileType::Fifo => Some(Self::Fifo),
            FileType::Socket => Some(Self::Socket),
            _ => Some(Self::Device),
        }
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Link => "it is a symbolic link and not a regular file",
            Self::Directory => "it is a directory and not a regular file",
            Self::Fifo => "it is a FIFO and not a regular file",
            Self::Socket => "it is a socket and not a regular file",
            Self::Device => "it is a device and not a regular file",
        }
    }
}

/// What is wrong with a file, if that is why it was not opened: not the machine's failure, but damage.
pub(crate) fn not_regular(failure: &IoFailure) -> Option<NotRegular> {
    failure.source.get_ref()?.downcast_ref().copied()
}

/// Opens a file that has to be a regular one, by its path or by its name in a directory, with these flags; one that they let
/// it make gets this mode.
///
/// A FIFO that took its place would keep us waiting for somebody at its other end (fifo(7)), and O_NONBLOCK does not; of a
/// regular file the flag changes nothing (open(2)).
fn open_at(at: BorrowedFd<'_>, name: &Path, path: &Path, flags: OFlags, mode: u32) -> Result<File, IoFailure> {
    let opening = flags | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let looking = if flags.contains(OFlags::NOFOLLOW) {
        AtFlags::SYMLINK_NOFOLLOW
    } else {
        AtFlags::empty()
    };
    attempt("open", path, || {
        // Some of them cannot be opened: a socket (ENXIO), a directory for writing (EISDIR), a link with O_NOFOLLOW (ELOOP).
        let opened = openat(at, name, opening, rustix::fs::Mode::from_raw_mode(mode)).map_err(Error::from);
        let opened = opened.map(File::from).and_then(|file| {
            if file.metadata()?.is_file() {
                Ok(file)
            } else {
                Err(Error::from(ErrorKind::InvalidInput))
            }
        });
        opened.map_err(|error| {
            let standing = statat(at, name, looking).ok();
            match standing.and_then(|found| NotRegular::of(FileType::from_raw_mode(found.st_mode))) {
                Some(found) => Error::new(ErrorKind::InvalidInput, found),
                None => error,
            }
        })
    })
}

/// As [`Entry::open`], by a path.
pub(crate) fn open_regular(path: &Path, flags: OFlags, mode: u32) -> Result<File, IoFailure> {
    open_at(CWD, path, path, flags, mode)
}

/// Opens a regular file for reading, also through a link; nothing else is waited for or read.
///
/// # Errors
/// [`IoFailure`] if that fails, or if something else has this name.
pub fn open_to_read(path: &Path) -> Result<File, IoFailure> {
    open_regular(path, OFlags::RDONLY, 0)
}

/// Makes a file durable, with one call. [`File::sync_all`] would repeat one that a signal interrupted, and no failed sync
/// is repeated (docs/DURABILITY.md).
pub(crate) fn sync_file(file: &File, path: &Path) -> Result<(), IoFailure> {
    attempt("fsync", path, || {
        rustix::fs::fsync(file)?;
        #[cfg(test)]
        crate::faults::synced(path, file);
        Ok::<_, Error>(())
    })
}

/// Drops what the page cache has of a file, so that it is read from the disk. Pages can be cached, right, and not on the
/// disk: after a write-back that failed, Linux marks them clean all the same (fsync(2), EIO). Dirty pages stay, so sync
/// first; and so do those that another process has mapped (posix_fadvise(2), POSIX_FADV_DONTNEED).
pub(crate) fn drop_cached(file: &File, path: &Path) -> Result<(), IoFailure> {
    attempt("posix_fadvise", path, || {
        rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed)
    })
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> Result<(), IoFailure> {
    let opened = attempt("open", directory, || File::open(directory))?;
    sync_file(&opened, directory)
}

/// Whether there is a directory of this name; a link to one does not count.
pub(crate) fn is_directory(path: &Path) -> Result<bool, IoFailure> {
    match attempt("lstat", path, || std::fs::symlink_metadata(path)) {
        Err(failure) if failure.is_missing() => Ok(false),
        metadata => Ok(metadata?.is_dir()),
    }
}

/// Bytes on disk of a file, or of all files below a directory. What vanishes meanwhile does not count.
pub(crate) fn allocated_bytes(path: &Path) -> Result<u64, IoFailure> {
    /// Of `st_blocks`, whatever the block size of the file system is (stat(3type)).
    const BLOCK_BYTES: u64 = 512;
    let metadata = match attempt("lstat", path, || std::fs::symlink_metadata(path)) {
        Err(failure) if failure.is_missing() => return Ok(0),
        metadata => metadata?,
    };
    if !metadata.is_dir() {
        return Ok(metadata.blocks().saturating_mul(BLOCK_BYTES));
    }
    let names = match Directory::open(path).and_then(|directory| directory.names()) {
        Err(failure) if failure.is_missing() => return Ok(0),
        // At the top of a file system, for root alone.
        Err(failure) if path.ends_with("lost+found") && failure.source.kind() == ErrorKind::PermissionDenied => {
            return Ok(0);
        }
        names => names?,
    };
    let mut bytes: u64 = 0;
    for name in names {
        bytes = bytes.saturating_add(allocated_bytes(&path.join(name))?);
    }
    Ok(bytes)
}

/// As [`allocated_bytes`], of the directory to which this name leads, be it through a link.
pub(crate) fn allocated_bytes_of_directory(directory: &Path) -> Result<u64, IoFailure> {
    allocated_bytes(&place_of(directory))
}

/// Bytes that an ordinary user may still write on the file system that holds `path`.
pub(crate) fn available_bytes(path: &Path) -> Result<u64, IoFailure> {
    let stat = attempt("statvfs", path, || rustix::fs::statvfs(path))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Refuses to write so many bytes into `directory` if the file system that holds `on` has less room; `less` is what would
/// need less.
pub(crate) fn check_room(directory: &Path, on: &Path, needed_bytes: u64, less: Remedy) -> crate::error::Result<()> {
    let available_bytes = available_bytes(on)?;
    if available_bytes >= needed_bytes {
        return Ok(());
    }
    let what = format!(
        "too little disk for '{}': {needed_bytes} bytes are needed and {available_bytes} are free",
        directory.display()
    );
    Err(crate::error::Error::machine(what)
        .at(directory)
        .mend([Remedy::FreeSpace, less]))
}

/// The directory that holds `path`, which for a bare name is the current one.
pub fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Where `path` lies, or will if it is made: without links, as far as it is there. A link that leads nowhere is one too, and
/// a file that is made by its name comes to lie where it leads.
pub fn place_of(path: &Path) -> PathBuf {
    let mut place = place_as_far_as_there(path);
    for _ in 0..LINKS_MAX {
        let Ok(target) = std::fs::read_link(&place) else { break };
        place = place_as_far_as_there(&parent_of(&place).join(target));
    }
    place
}

/// More links than the system follows on the way to a file (path_resolution(7)).
const LINKS_MAX: usize = 40;

fn place_as_far_as_there(path: &Path) -> PathBuf {
    let there = path.ancestors().find_map(|part| {
        let name = if part == Path::new("") { Path::new(".") } else { part };
        let place = name.canonicalize().ok()?;
        Some(place.join(path.strip_prefix(part).ok()?))
    });
    there.unwrap_or_else(|| path.to_owned())
}

/// Whether there is anything of this name, be it a link that leads nowhere; that it cannot be told is an error, not a no.
pub(crate) fn exists(path: &Path) -> Result<bool, IoFailure> {
    match attempt("lstat", path, || std::fs::symlink_metadata(path)) {
        Err(failure) if failure.is_missing() => Ok(false),
        metadata => metadata.map(|_| true),
    }
}
