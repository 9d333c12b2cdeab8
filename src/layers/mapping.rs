//! Memory mappings of layer files: the only unsafe code of the program.

#![expect(
    unsafe_code,
    reason = "mapping a file is unsafe whatever is done with it; each use says why it is sound here"
)]

use std::fs::File;
use std::io;
use std::ops::Range;

use memmap2::{Advice, Mmap, MmapMut, MmapOptions, UncheckedAdvice};

use crate::resources::{Registration, ResourceKind, register};

/// A writable shared mapping of a whole file.
#[derive(Debug)]
pub(super) struct WritableMapping {
    map: MmapMut,
    _registration: Registration,
}

impl WritableMapping {
    /// Maps a file that this process has under its exclusive key directory lock.
    #[track_caller]
    pub(super) fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the bytes must not change under the slices we hand out. Layer files are written only by the holder of
        // the directory's LOCK, which is this process, and only through this mapping. They are allocated in full before
        // they are mapped and never truncated by us, so that no page lies past the end or lacks a block; someone who
        // truncates the file by hand gets SIGBUS (mmap(2)), a kill like any other.
        let map = unsafe { MmapOptions::new().map_mut(file) }?;
        // It is written through and never read, so read-ahead would only cost memory.
        map.advise(Advice::Random)?;
        Ok(Self {
            _registration: register(ResourceKind::Mapping, map.len() as u64),
            map,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.map
    }

    /// msync(MS_SYNC) of the pages that hold `range`.
    pub(super) fn sync(&self, range: Range<usize>) -> io::Result<()> {
        self.map.flush_range(range.start, range.end - range.start)
    }

    /// Drops the pages that `range` touches from resident memory. They stay in the page cache.
    pub(super) fn release(&self, range: Range<usize>) -> io::Result<()> {
        let page = rustix::param::page_size();
        let first = range.start - range.start % page;
        let last = range.end.next_multiple_of(page).min(self.map.len());
        // SAFETY: MADV_DONTNEED may discard private modifications. This mapping is shared and file-backed, so the next
        // access finds the same bytes again in the page cache or on disk (madvise(2)).
        unsafe {
            self.map
                .unchecked_advise_range(UncheckedAdvice::DontNeed, first, last - first)
        }
    }
}

/// A read-only mapping of a whole file.
#[derive(Debug)]
pub(super) struct ReadableMapping {
    map: Mmap,
    _registration: Registration,
}

impl ReadableMapping {
    /// Maps a file of a sealed key.
    #[track_caller]
    pub(super) fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the bytes must not change under the slices we hand out. The files of a sealed key are immutable: they
        // are made read-only when it is sealed, and only a repair writes them afterwards, and only where they are
        // damaged. Should that or another program write them while they are mapped, a slice yields other bytes, on which
        // nothing here depends for memory safety. A file is mapped only if it has its right length, which a repair never
        // changes; should another program truncate it, or the disk fail to give a page, an access gets SIGBUS.
        let map = unsafe { Mmap::map(file) }?;
        // A path touches one node in each file, far from the last one.
        map.advise(Advice::Random)?;
        Ok(Self {
            _registration: register(ResourceKind::Mapping, map.len() as u64),
            map,
        })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Drops all pages from resident memory. They stay in the page cache.
    pub(super) fn release(&self) -> io::Result<()> {
        // SAFETY: MADV_DONTNEED may discard private modifications. This mapping is read-only, so the next access finds the
        // same bytes again in the page cache or on disk (madvise(2)).
        unsafe { self.map.unchecked_advise(UncheckedAdvice::DontNeed) }
    }
}
