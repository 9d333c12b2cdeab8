//! A disk with a write cache: what was not synced reaches it in part, or not at all, when the power goes.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io::{Error, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::error::Result;
use crate::failure::{IoFailure, attempt};
use crate::files::Entry;
use crate::layers::{LayerFile, Medium, check_length, present};
use keymill_reference::Numbers;

/// The kernel writes and syncs whole pages.
const PAGE_BYTES: usize = 4096;
/// Pieces in which a disk writes: all of one arrives, or nothing.
const PIECE_BYTES: [usize; 2] = [512, 4096];

/// Layer files in memory: as programs see them, and as they would be found after a power cut.
#[derive(Clone)]
pub(super) struct PowerCutMedium {
    disk: Arc<Mutex<Disk>>,
}

struct Disk {
    numbers: Numbers,
    files: Vec<Content>,
    /// Which name stands for which file, for programs and on the disk.
    names: BTreeMap<OsString, usize>,
    durable_names: BTreeMap<OsString, usize>,
    /// Syncs that succeed before one fails.
    syncs_left: Option<usize>,
}

#[derive(Clone, Default)]
struct Content {
    volatile: Vec<u8>,
    durable: Vec<u8>,
    /// Pages that the kernel holds for clean although the disk does not have them: those of a sync that failed.
    given_up: BTreeSet<usize>,
}

impl PowerCutMedium {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            disk: Arc::new(Mutex::new(Disk {
                numbers: Numbers(seed),
                files: Vec::new(),
                names: BTreeMap::new(),
                durable_names: BTreeMap::new(),
                syncs_left: None,
            })),
        }
    }

    /// The same disk once more, for another course of things.
    pub(super) fn copy(&self, seed: u64) -> Self {
        let disk = self.disk.lock().unwrap();
        Self {
            disk: Arc::new(Mutex::new(Disk {
                numbers: Numbers(seed),
                files: disk.files.clone(),
                names: disk.names.clone(),
                durable_names: disk.durable_names.clone(),
                syncs_left: None,
            })),
        }
    }

    /// The power goes, and comes back: nothing is known any more but what the disk has.
    pub(super) fn cut(&self) {
        let mut disk = self.disk.lock().unwrap();
        let Disk { numbers, files, .. } = &mut *disk;
        for file in files {
            let piece_bytes = PIECE_BYTES[numbers.below(2) as usize];
            // Of some files nothing arrives, of others all, of most a part.
            let arrive_of_four = numbers.below(5);
            file.write_back(piece_bytes, || numbers.below(4) < arrive_of_four);
            if file.durable.len() != file.volatile.len() {
                let lengths = [0, file.volatile.len() / 2, file.volatile.len()];
                file.durable.resize(lengths[numbers.below(3) as usize], 0);
            }
            file.volatile.clone_from(&file.durable);
            file.given_up.clear();
        }
        disk.cut_names();
    }

    /// Lets the n-th sync from now fail, counted from zero: the cache keeps the bytes, the disk does not get them, and the
    /// pages are clean.
    pub(super) fn fail_sync(&self, n: usize) {
        self.disk.lock().unwrap().syncs_left = Some(n);
    }

    /// Flips a bit of what the disk has, which nothing in the cache hides.
    pub(super) fn damage(&self, path: &Path, offset: usize) {
        let mut disk = self.disk.lock().unwrap();
        let file = disk.names[name(path)];
        disk.files[file].durable[offset] ^= 1;
        disk.files[file].volatile[offset] ^= 1;
    }

    /// The bytes of a file, as a program sees them.
    pub(super) fn bytes(&self, path: &Path) -> Vec<u8> {
        let disk = self.disk.lock().unwrap();
        disk.files[disk.names[name(path)]].volatile.clone()
    }

    /// The bytes of a file that a power cut at this moment could not take any more.
    pub(super) fn durable_bytes(&self, path: &Path) -> Vec<u8> {
        let disk = self.disk.lock().unwrap();
        disk.files[disk.durable_names[name(path)]].durable.clone()
    }
}

/// All files are in one directory, whatever that is called.
fn name(path: &Path) -> &OsStr {
    path.file_name().unwrap()
}

impl Disk {
    /// Of each name that was made or replaced and not synced, the old state or the new one is found.
    fn cut_names(&mut self) {
        let changed: Vec<_> = self.names.keys().chain(self.durable_names.keys()).cloned().collect();
        for name in changed {
            let (old, new) = (self.durable_names.get(&name).copied(), self.names.get(&name).copied());
            let found = if self.numbers.below(2) == 0 { old } else { new };
            match found {
                Some(file) => self.durable_names.insert(name, file),
                None => self.durable_names.remove(&name),
            };
        }
        self.names = self.durable_names.clone();
    }
}

impl Content {
    /// Lets the pieces arrive for which `arrives` says so. A file that has never been synced has its full length or none.
    fn write_back(&mut self, piece_bytes: usize, mut arrives: impl FnMut() -> bool) {
        self.durable.resize(self.volatile.len(), 0);
        let pieces = self.durable.chunks_mut(piece_bytes).enumerate();
        for ((number, durable), volatile) in pieces.zip(self.volatile.chunks(piece_bytes)) {
            let is_clean = self.given_up.contains(&(number * piece_bytes / PAGE_BYTES));
            if !is_clean && durable != volatile && arrives() {
                durable.copy_from_slice(volatile);
            }
        }
    }

    fn sync(&mut self, range: Range<usize>) {
        let first = range.start - range.start % PAGE_BYTES;
        let end = range.end.next_multiple_of(PAGE_BYTES).min(self.volatile.len());
        for start in (first..end).step_by(PAGE_BYTES) {
            let page = start..(start + PAGE_BYTES).min(end);
            if !self.given_up.contains(&(start / PAGE_BYTES)) {
                self.durable[page.clone()].copy_from_slice(&self.volatile[page]);
            }
        }
    }

    fn fail_to_sync(&mut self, range: Range<usize>) {
        let pages = range.start / PAGE_BYTES..range.end.div_ceil(PAGE_BYTES);
        self.given_up.extend(pages);
    }
}

impl Medium for PowerCutMedium {
    fn create(&self, layer: &Entry, bytes: u64, header: &[u8]) -> Result<(), IoFailure> {
        let path = layer.path();
        let file = attempt("open", path, || {
            let mut disk = self.disk.lock().unwrap();
            disk.files.push(Content::default());
            let file = disk.files.len() - 1;
            disk.names.insert(name(path).to_owned(), file);
            Ok::<_, Error>(file)
        })?;
        let change = |call, change: &dyn Fn(&mut Content)| {
            attempt(call, path, || {
                change(&mut self.disk.lock().unwrap().files[file]);
                Ok::<_, Error>(())
            })
        };
        change("fallocate", &|content| content.volatile.resize(bytes as usize, 0))?;
        change("write", &|content| {
            content.volatile[..header.len()].copy_from_slice(header);
        })?;
        change("fsync", &|content| content.durable.clone_from(&content.volatile))
    }

    fn sync_names(&self, directory: &Entry) -> Result<(), IoFailure> {
        attempt("fsync", directory.path(), || {
            let mut disk = self.disk.lock().unwrap();
            disk.durable_names = disk.names.clone();
            Ok::<_, Error>(())
        })
    }

    fn open(&self, layer: &Entry, bytes: u64) -> Result<Box<dyn LayerFile>> {
        let path = layer.path();
        let opened = attempt("open", path, || {
            let disk = self.disk.lock().unwrap();
            disk.names
                .get(name(path))
                .copied()
                .ok_or(Error::from(ErrorKind::NotFound))
        });
        let file = present(layer, opened)?;
        // Clean pages stay as they are: somebody else may have them mapped, and then they cannot be dropped.
        attempt("fsync", path, || {
            let content = &mut self.disk.lock().unwrap().files[file];
            content.sync(0..content.volatile.len());
            Ok::<_, Error>(())
        })?;
        let found_bytes = self.disk.lock().unwrap().files[file].volatile.len() as u64;
        check_length(path, found_bytes, bytes)?;
        Ok(Box::new(OpenFile {
            medium: self.clone(),
            path: path.to_owned(),
            file,
        }))
    }

    fn protect(&self, _: &Entry) -> Result<(), IoFailure> {
        Ok(())
    }
}

struct OpenFile {
    medium: PowerCutMedium,
    path: PathBuf,
    file: usize,
}

impl OpenFile {
    fn call(&self, call: &'static str, made: impl FnOnce(&mut Content, &mut Numbers)) -> Result<(), IoFailure> {
        attempt(call, &self.path, || {
            let mut disk = self.medium.disk.lock().unwrap();
            let Disk { numbers, files, .. } = &mut *disk;
            made(&mut files[self.file], numbers);
            Ok::<_, Error>(())
        })
    }
}

impl LayerFile for OpenFile {
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), IoFailure> {
        self.call("pread", |content, _| {
            bytes.copy_from_slice(&content.volatile[offset as usize..][..bytes.len()]);
        })
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), IoFailure> {
        self.call("write to mapping", |content, numbers| {
            // The kernel writes back when it likes, also what is about to be written over.
            if numbers.below(16) == 0 {
                let piece_bytes = PIECE_BYTES[numbers.below(2) as usize];
                content.write_back(piece_bytes, || numbers.below(2) == 0);
            }
            let range = offset as usize..offset as usize + bytes.len();
            content.volatile[range.clone()].copy_from_slice(bytes);
            let pages = range.start / PAGE_BYTES..range.end.div_ceil(PAGE_BYTES);
            content.given_up.retain(|page| !pages.contains(page));
        })
    }

    fn sync(&mut self, range: Range<u64>) -> Result<(), IoFailure> {
        let range = range.start as usize..range.end as usize;
        attempt("msync", &self.path, || {
            let mut disk = self.medium.disk.lock().unwrap();
            let fails = disk.syncs_left == Some(0);
            disk.syncs_left = disk.syncs_left.and_then(|left| left.checked_sub(1));
            let content = &mut disk.files[self.file];
            if fails {
                content.fail_to_sync(range);
                return Err(Error::from(ErrorKind::Other));
            }
            content.sync(range);
            Ok(())
        })
    }

    fn release(&mut self, _: Range<u64>) -> Result<(), IoFailure> {
        self.call("madvise", |_, _| {})
    }
}
