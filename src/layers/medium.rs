//! Where layer files are kept: on a disk, or in tests on something that fails on purpose.

use std::fs::{File, Permissions};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Advice, FallocateFlags, OFlags, fadvise};
use rustix::io::Errno;

use super::{check_length, present};
use crate::error::Result;
use crate::failure::{IoFailure, attempt, write_whole};
use crate::files::{Entry, drop_cached, sync_file};
use crate::mapping::WritableMapping;
use crate::resources::{Registration, ResourceKind, register};

/// One open, writable layer file of fixed length.
pub(crate) trait LayerFile: Send {
    /// Reads what was written so far. Not through the mapping: there a disk that fails to give a page is SIGBUS.
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), IoFailure>;

    /// Writes `bytes` at `offset`; durable only after [`sync`](Self::sync).
    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), IoFailure>;

    /// Makes a range durable. After an error nothing may be assumed of the file and the call must not be repeated: the
    /// kernel may have marked the pages clean without writing them.
    fn sync(&mut self, range: Range<u64>) -> Result<(), IoFailure>;

    /// Gives up the memory that a synced range occupies.
    fn release(&mut self, range: Range<u64>) -> Result<(), IoFailure>;
}

/// Where layer files live.
pub(crate) trait Medium: Send + Sync {
    /// Makes a file of this length with every byte allocated, beginning with `header`, and makes it durable, but for its
    /// name. A file that was there before is replaced.
    fn create(&self, layer: &Entry, bytes: u64, header: &[u8]) -> Result<(), IoFailure>;

    /// Makes the names of the files in a directory durable.
    fn sync_names(&self, directory: &Entry) -> Result<(), IoFailure>;

    /// Opens a file of this length for writing. What is in it is durable then, and what is read is what the disk has, save
    /// for pages that another process keeps in the cache.
    fn open(&self, layer: &Entry, bytes: u64) -> Result<Box<dyn LayerFile>>;

    /// Write-protects the file of a sealed key.
    fn protect(&self, layer: &Entry) -> Result<(), IoFailure>;
}

/// The file system, for work that can be asked to stop: a file that takes long to allocate is then abandoned, with an
/// error of the kind [`Interrupted`](io::ErrorKind::Interrupted).
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    stop: Arc<AtomicBool>,
}

pub(super) const WRITABLE_MODE: u32 = 0o600;
/// Sealed layer files are for reading.
const SEALED_MODE: u32 = 0o400;
/// Allocated in one call. Some file systems clear the blocks at once, a second or two for each gibibyte.
const ALLOCATED_BYTES: u64 = 256 << 20;
/// Zeros that are written, and synced, in one go.
const ZEROED_BYTES: u64 = 8 << 20;

impl Medium for Disk {
    fn create(&self, layer: &Entry, bytes: u64, header: &[u8]) -> Result<(), IoFailure> {
        match layer.unlink() {
            Err(failure) if !failure.is_missing() => return Err(failure),
            _ => {}
        }
        // O_EXCL: nothing that another process puts here meanwhile, not even a link, is written through.
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let path = layer.path();
        let file = attempt("open", path, || layer.open_at_once(flags, WRITABLE_MODE))?;
        self.allocate(&file, bytes, path)?;
        write_whole(&file, header, path)?;
        sync_file(&file, path)
    }

    fn sync_names(&self, directory: &Entry) -> Result<(), IoFailure> {
        directory.sync()
    }

    fn open(&self, layer: &Entry, bytes: u64) -> Result<Box<dyn LayerFile>> {
        let path = layer.path();
        let file = present(layer, open_layer(layer, OFlags::RDWR))?;
        check_length(path, attempt("stat", path, || file.metadata())?.len(), bytes)?;
        // A copy of the directory can have holes where the original had blocks.
        self.allocate(&file, bytes, path)?;
        // What an earlier process left in the page cache need not be on the disk, however right it is.
        sync_file(&file, path)?;
        drop_cached(&file, path)?;
        // Read-ahead would put large folios into the cache, beyond what is read. Of such a folio Linux takes the whole for
        // dirty when a byte of it is written through a mapping, and a job that goes on would write everything three times.
        attempt("posix_fadvise", path, || fadvise(&file, 0, None, Advice::Random))?;
        let mapping = attempt("mmap", path, || WritableMapping::new(&file))?;
        Ok(Box::new(MappedFile {
            path: path.to_owned(),
            file,
            mapping,
            _registration: register(ResourceKind::File, 0),
        }))
    }

    fn protect(&self, layer: &Entry) -> Result<(), IoFailure> {
        let file = open_layer(layer, OFlags::RDONLY)?;
        set_mode(&file, SEALED_MODE, layer.path())
    }
}

/// Opens a layer file that is there. Nothing is done to what lies behind a link that took its place meanwhile.
pub(super) fn open_layer(layer: &Entry, flags: OFlags) -> Result<File, IoFailure> {
    layer.open(flags | OFlags::NOFOLLOW, 0)
}

/// Sets the mode of a file that is open: its name could stand for another one by now.
pub(super) fn set_mode(file: &File, mode: u32, path: &Path) -> Result<(), IoFailure> {
    attempt("chmod", path, || file.set_permissions(Permissions::from_mode(mode)))
}

impl Disk {
    /// The file system, until `stop` is set.
    pub(crate) fn new(stop: Arc<AtomicBool>) -> Self {
        Self { stop }
    }

    /// Allocates every block now: a full disk must be an error here, not a SIGBUS in the middle of the job. What is in
    /// the file stays.
    pub(super) fn allocate(&self, file: &File, bytes: u64, path: &Path) -> Result<(), IoFailure> {
        for start in (0..bytes).step_by(ALLOCATED_BYTES as usize) {
            let length = ALLOCATED_BYTES.min(bytes - start);
            loop {
                self.proceed("fallocate", path)?;
                let allocated = attempt("fallocate", path, || {
                    rustix::fs::fallocate(file, FallocateFlags::empty(), start, length)
                });
                match allocated {
                    Ok(()) => break,
                    Err(failure) if failure.source.kind() == io::ErrorKind::Interrupted => {}
                    // Some file systems cannot allocate ahead; writing zeros does the same, slowly (posix_fallocate(3)).
                    Err(failure) if failure.source.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error()) => {
                        return self.write_zeros(file, bytes, path);
                    }
                    Err(failure) => return Err(failure),
                }
            }
        }
        Ok(())
    }

    /// Fills a file up to this length; one that has it has been filled already.
    fn write_zeros(&self, mut file: &File, bytes: u64, path: &Path) -> Result<(), IoFailure> {
        let found_bytes = attempt("stat", path, || file.metadata())?.len();
        attempt("lseek", path, || file.seek(SeekFrom::End(0)))?;
        for start in (found_bytes..bytes).step_by(ZEROED_BYTES as usize) {
            self.proceed("write", path)?;
            let mut zeros = io::repeat(0).take(ZEROED_BYTES.min(bytes - start));
            attempt("write", path, || io::copy(&mut zeros, &mut file))?;
            // As it goes, so that the one sync at the end, which cannot be abandoned, has little left to do.
            attempt("fdatasync", path, || rustix::fs::fdatasync(file))?;
        }
        attempt("lseek", path, || file.rewind())
    }

    fn proceed(&self, call: &'static str, path: &Path) -> Result<(), IoFailure> {
        if !self.stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(IoFailure {
            call,
            path: path.to_owned(),
            source: io::ErrorKind::Interrupted.into(),
        })
    }
}

/// Opens a file of this length to be read.
pub(super) fn open_to_read(layer: &Entry, bytes: u64) -> Result<Box<dyn LayerFile>> {
    let path = layer.path();
    let file = present(layer, open_layer(layer, OFlags::RDONLY))?;
    check_length(path, attempt("stat", path, || file.metadata())?.len(), bytes)?;
    // As in `Disk::open`: what is compared with a record is what the disk has.
    sync_file(&file, path)?;
    drop_cached(&file, path)?;
    Ok(Box::new(ReadFile {
        path: path.to_owned(),
        file,
        _registration: register(ResourceKind::File, 0),
    }))
}

/// A file that nobody here writes.
struct ReadFile {
    path: PathBuf,
    file: File,
    _registration: Registration,
}

impl ReadFile {
    fn refuse(&self, call: &'static str) -> Result<(), IoFailure> {
        Err(IoFailure {
            call,
            path: self.path.clone(),
            source: Errno::ROFS.into(),
        })
    }
}

impl LayerFile for ReadFile {
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), IoFailure> {
        attempt("pread", &self.path, || self.file.read_exact_at(bytes, offset))
    }

    fn write(&mut self, _: u64, _: &[u8]) -> Result<(), IoFailure> {
        self.refuse("write")
    }

    fn sync(&mut self, _: Range<u64>) -> Result<(), IoFailure> {
        self.refuse("fsync")
    }

    fn release(&mut self, _: Range<u64>) -> Result<(), IoFailure> {
        Ok(())
    }
}

struct MappedFile {
    path: PathBuf,
    file: File,
    mapping: WritableMapping,
    _registration: Registration,
}

impl MappedFile {
    /// A range of offsets, checked against the length that is mapped.
    fn mapped(&self, range: &Range<u64>, call: &'static str) -> Result<Range<usize>, IoFailure> {
        let length = self.mapping.len();
        let end = usize::try_from(range.end).ok().filter(|&end| end <= length);
        let range = end.map(|end| range.start as usize..end);
        range.ok_or_else(|| IoFailure {
            call,
            path: self.path.clone(),
            source: io::ErrorKind::UnexpectedEof.into(),
        })
    }
}

impl LayerFile for MappedFile {
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), IoFailure> {
        // Coherent with the mapping: both are the page cache (mmap(2), MAP_SHARED).
        attempt("pread", &self.path, || self.file.read_exact_at(bytes, offset))
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), IoFailure> {
        let range = self.mapped(&(offset..offset + bytes.len() as u64), "write to mapping")?;
        attempt("write to mapping", &self.path, || {
            self.mapping.bytes_mut()[range].copy_from_slice(bytes);
            io::Result::Ok(())
        })
    }

    fn sync(&mut self, range: Range<u64>) -> Result<(), IoFailure> {
        let range = self.mapped(&range, "msync")?;
        attempt("msync", &self.path, || self.mapping.sync(range))
    }

    fn release(&mut self, range: Range<u64>) -> Result<(), IoFailure> {
        let range = self.mapped(&range, "madvise")?;
        attempt("madvise", &self.path, || self.mapping.release(range))
    }
}
