//! What layer files are kept on: a disk, or in tests something that fails on purpose.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use super::mapping::WritableMapping;
use crate::failure::{IoFailure, Named};

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
    /// Makes a file of this length with every byte allocated, beginning with `header`, and makes it durable. A file
    /// that was there before is replaced.
    fn create(&self, path: &Path, bytes: u64, header: &[u8]) -> Result<(), IoFailure>;

    /// Opens a file for writing.
    fn open(&self, path: &Path) -> Result<Box<dyn LayerFile>, IoFailure>;
}

/// The file system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Disk;

impl Medium for Disk {
    fn create(&self, path: &Path, bytes: u64, header: &[u8]) -> Result<(), IoFailure> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)
            .named("open", path)?;
        allocate(&file, bytes, path)?;
        (&file).write_all(header).named("write", path)?;
        file.sync_all().named("fsync", path)
    }

    fn open(&self, path: &Path) -> Result<Box<dyn LayerFile>, IoFailure> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .named("open", path)?;
        let mapping = WritableMapping::new(&file).named("mmap", path)?;
        Ok(Box::new(MappedFile {
            path: path.to_owned(),
            file,
            mapping,
        }))
    }
}

/// Allocates every block now: a full disk must be an error here, not a SIGBUS in the middle of the job.
fn allocate(file: &File, bytes: u64, path: &Path) -> Result<(), IoFailure> {
    loop {
        match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes) {
            Err(Errno::INTR) => {}
            // Some file systems cannot allocate ahead; writing zeros does the same, slowly (posix_fallocate(3)).
            Err(Errno::OPNOTSUPP) => return write_zeros(file, bytes).named("write", path),
            result => return result.named("fallocate", path),
        }
    }
}

fn write_zeros(mut file: &File, bytes: u64) -> io::Result<()> {
    let written = io::copy(&mut io::Read::take(io::repeat(0), bytes), &mut file)?;
    debug_assert_eq!(written, bytes);
    io::Seek::rewind(&mut file)
}

struct MappedFile {
    path: PathBuf,
    file: File,
    mapping: WritableMapping,
}

impl MappedFile {
    /// A range of offsets, checked against the length that is mapped.
    fn mapped(&self, range: &Range<u64>, call: &'static str) -> Result<Range<usize>, IoFailure> {
        let length = self.mapping.len();
        let end = usize::try_from(range.end).ok().filter(|&end| end <= length);
        end.map(|end| range.start as usize..end)
            .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
            .named(call, &self.path)
    }
}

impl LayerFile for MappedFile {
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), IoFailure> {
        // Coherent with the mapping: both are the page cache (mmap(2), MAP_SHARED).
        self.file.read_exact_at(bytes, offset).named("pread", &self.path)
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), IoFailure> {
        let range = self.mapped(&(offset..offset + bytes.len() as u64), "write to mapping")?;
        self.mapping.bytes_mut()[range].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self, range: Range<u64>) -> Result<(), IoFailure> {
        let range = self.mapped(&range, "msync")?;
        self.mapping.sync(range).named("msync", &self.path)
    }

    fn release(&mut self, range: Range<u64>) -> Result<(), IoFailure> {
        let range = self.mapped(&range, "madvise")?;
        self.mapping.release(range).named("madvise", &self.path)
    }
}
