//! Memory mappings: of layer files, and the page that tells a process from those that are forked from it. With the border to C
//! (`src/capi`), the only unsafe code.

#![expect(
    unsafe_code,
    reason = "to map memory and to advise the kernel of it is unsafe in itself; each use says why it is sound here"
)]

use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{Advice, Mmap, MmapMut, MmapOptions, MmapRaw, UncheckedAdvice};

use crate::resources::{Registration, ResourceKind, register};

/// A writable shared mapping of a whole file.
#[derive(Debug)]
pub(crate) struct WritableMapping {
    map: MmapMut,
    _registration: Registration,
}

impl WritableMapping {
    /// Maps a file that this process has under its exclusive key directory lock.
    #[track_caller]
    pub(crate) fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the bytes must not change under the slices we hand out. Layer files are written only by the holder of
        // the directory's LOCK, which is this process, and only through this mapping; of an adopted part that was made elsewhere
        // the maker could still be writing, and then a slice yields other bytes. They are allocated in full before
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

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.map
    }

    /// msync(MS_SYNC) of the pages that hold `range`.
    pub(crate) fn sync(&self, range: Range<usize>) -> io::Result<()> {
        self.map.flush_range(range.start, range.end - range.start)
    }

    /// Drops the pages that `range` touches from resident memory. They stay in the page cache.
    pub(crate) fn release(&self, range: Range<usize>) -> io::Result<()> {
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
pub(crate) struct ReadableMapping {
    map: Mmap,
    _registration: Registration,
}

impl ReadableMapping {
    /// Maps a file of a sealed key.
    #[track_caller]
    pub(crate) fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the bytes must not change under the slices we hand out. The files of a sealed key are immutable: they
        // are made read-only when it is sealed, and only a repair writes them afterwards, and only where they are
        // damaged. Should that or another program, such as the maker of an adopted part, write them while they are mapped, a slice yields other bytes, on which
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

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Drops all pages from resident memory. They stay in the page cache.
    pub(crate) fn release(&self) -> io::Result<()> {
        // SAFETY: MADV_DONTNEED may discard private modifications. This mapping is read-only, so the next access finds the
        // same bytes again in the page cache or on disk (madvise(2)).
        unsafe { self.map.unchecked_advise(UncheckedAdvice::DontNeed) }
    }
}

/// Anonymous memory that a computation fills with values of one kind, and that goes back to the kernel the moment it is
/// dropped: the allocator would keep as much for itself from then on (mallopt(3), M_MMAP_THRESHOLD).
#[derive(Debug)]
pub(crate) struct Scratch<T> {
    map: MmapMut,
    count: usize,
    _items: PhantomData<T>,
    _registration: Registration,
}

impl<T: Copy> Scratch<T> {
    /// Memory for so many copies of a value.
    #[track_caller]
    pub(crate) fn filled(count: usize, value: T) -> io::Result<Self> {
        let bytes = count.checked_mul(size_of::<T>()).ok_or(io::ErrorKind::OutOfMemory)?;
        if align_of::<T>() > rustix::param::page_size() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let mut map = MmapMut::map_anon(bytes.max(1))?;
        let first = map.as_mut_ptr().cast::<T>();
        for index in 0..count {
            // SAFETY: a mapping begins with a page, so the pointer is aligned, and it has room for `count` items, of which this
            // is one. Nothing is dropped that is written over.
            unsafe { first.add(index).write(value) };
        }
        Ok(Self {
            _registration: register(ResourceKind::Arena, bytes as u64),
            map,
            count,
            _items: PhantomData,
        })
    }

    pub(crate) fn items_mut(&mut self) -> &mut [T] {
        // SAFETY: `filled` has written `count` items there, aligned. They are `Copy`, so they own nothing, and are reached through
        // this slice alone, for as long as `self` is borrowed.
        unsafe { std::slice::from_raw_parts_mut(self.map.as_mut_ptr().cast::<T>(), self.count) }
    }
}

/// A process, told from those that it was forked from and from those that are forked from it. Its number is not enough: a
/// child in another PID namespace can have the same one, and so can a later process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// How many forks lie between it and the first of its ancestors that asked; 0 where the kernel does not tell.
    generation: u64,
    number: u32,
}

impl Process {
    /// The process that calls.
    pub(crate) fn current() -> Self {
        Self {
            generation: generation(),
            number: std::process::id(),
        }
    }

    /// Its number, as its own PID namespace has it.
    pub(crate) fn number(self) -> u32 {
        self.number
    }
}

/// The generation of this process stands in a page that a fork leaves empty in the child.
fn generation() -> u64 {
    static PAGE: OnceLock<Option<MmapRaw>> = OnceLock::new();
    /// A fork copies it, so a child counts on from where its parent was.
    static GENERATIONS: AtomicU64 = AtomicU64::new(0);
    let Some(page) = PAGE.get_or_init(wiped_page) else {
        return 0;
    };
    // SAFETY: the mapping begins with a page, so the pointer is aligned and leads to eight bytes that can be written. They are
    // there as long as the process, since the static is never dropped, and they are reached through this atomic alone.
    let generation = unsafe { AtomicU64::from_ptr(page.as_mut_ptr().cast()) };
    match generation.load(Ordering::Relaxed) {
        0 => {
            let next = GENERATIONS.fetch_add(1, Ordering::Relaxed) + 1;
            let written = generation.compare_exchange(0, next, Ordering::Relaxed, Ordering::Relaxed);
            written.map_or_else(|other| other, |_| next)
        }
        known => known,
    }
}

/// A page that is empty in every child (madvise(2), MADV_WIPEONFORK); none where the kernel refuses it, as before Linux 4.14.
fn wiped_page() -> Option<MmapRaw> {
    let page = MmapOptions::new().len(rustix::param::page_size()).map_anon().ok()?;
    let page = MmapRaw::from(page);
    // SAFETY: the range is a private anonymous mapping of our own, of which nothing was written yet. The advice changes
    // nothing in this process; in a child the page holds zeros, which are a valid value of the integer that it is used as.
    let advised = unsafe {
        rustix::mm::madvise(
            page.as_mut_ptr().cast(),
            page.len(),
            rustix::mm::Advice::LinuxWipeOnFork,
        )
    };
    advised.ok().map(|()| page)
}
