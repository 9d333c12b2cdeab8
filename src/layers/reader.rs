//! The files of a sealed key's nodes, mapped read-only.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::shelf::{Content, NodeFile, Place, Places, Shelf, Unusable};
use super::{check_length, present};
use crate::error::Result;
use crate::failure::{IoFailure, attempt};
use crate::files::Entry;
use crate::files::drop_cached;
use crate::mapping::ReadableMapping;
use crate::plan::{LAYER_HEADER_BYTES, Plan};
use crate::resources::{Registration, ResourceKind, register};
use crate::units::{Level, NodeIndex, Slice};

/// Nodes of a sealed key, by their mappings alone, which stay when the files are closed: a service of a thousand keys would
/// otherwise hold tens of thousands of descriptors. Needs neither the secret nor the checkpoint store.
#[derive(Debug)]
pub struct LayerReader {
    files: Vec<MappedFile>,
    places: Places,
}

/// The files of a sealed key's nodes, open, from which nodes are read without the mappings.
#[derive(Debug)]
pub(crate) struct LayerFiles {
    /// None for a file that cannot be used, which only `open_usable` lets pass.
    files: Vec<Option<OpenFile>>,
    /// What each of them is.
    pub(crate) on_disk: Vec<NodeFile>,
    places: Places,
}

/// What is done with a file before it is mapped.
type Prepare = fn(&File, &Path) -> Result<(), IoFailure>;

const AS_CACHED: Prepare = |_, _| Ok(());

#[derive(Debug)]
struct MappedFile {
    path: PathBuf,
    mapping: ReadableMapping,
}

#[derive(Debug)]
struct OpenFile {
    mapped: MappedFile,
    file: File,
    _registration: Registration,
}

impl LayerFiles {
    /// Maps every file with nodes of a key and checks headers and lengths.
    ///
    /// # Errors
    /// [`Error`](crate::Error) names the file that is missing, of the wrong length, or of another key.
    pub(crate) fn open(layers: &Entry, plan: &Plan, binding: &[u8; 32]) -> Result<Self> {
        let (files, unusable) = Self::open_each(layers, plan, binding, AS_CACHED)?;
        match unusable.into_iter().next() {
            Some(unusable) => Err(unusable.error),
            None => Ok(files),
        }
    }

    /// Maps every file with nodes of a key that can be used, and names all that cannot. What is read is what the disk has, and
    /// not what is cached of it.
    ///
    /// # Errors
    /// [`Error`](crate::Error) if it cannot be told which files there are.
    pub(crate) fn open_usable(layers: &Entry, plan: &Plan, binding: &[u8; 32]) -> Result<(Self, Vec<Unusable>)> {
        Self::open_each(layers, plan, binding, drop_cached)
    }

    fn open_each(layers: &Entry, plan: &Plan, binding: &[u8; 32], prepare: Prepare) -> Result<(Self, Vec<Unusable>)> {
        let shelf = Shelf::of(layers, plan, binding)?;
        let mut unusable: Vec<Unusable> = shelf.faults().collect();
        let mut open = |file: &NodeFile| {
            let opened = OpenFile::open(file, prepare);
            let note = |error| {
                unusable.push(Unusable {
                    entry: file.entry.clone(),
                    level: file.content.level(),
                    error,
                });
            };
            opened.map_err(note).ok()
        };
        let files = Self {
            files: shelf.files.iter().map(&mut open).collect(),
            on_disk: shelf.files,
            places: shelf.places,
        };
        Ok((files, unusable))
    }

    /// Whether all files that have these nodes can be used.
    pub(crate) fn has(&self, slice: &Slice) -> bool {
        let places = self.places.all(slice);
        places.is_some_and(|mut places| places.all(|place| self.file(place.file).is_some()))
    }

    /// The file with a run of nodes, or with the first of them; also one that cannot be used.
    pub(crate) fn file_of(&self, slice: &Slice) -> Option<&NodeFile> {
        let first = self.places.all(slice)?.next()?;
        self.on_disk.get(first.file)
    }

    /// Reads a run of nodes into `bytes` without the mapping, so that a disk that fails to give a page is an error; an
    /// empty result if the key does not store all of them.
    pub(crate) fn read(&self, slice: &Slice, bytes: &mut Vec<u8>) -> Result<()> {
        bytes.clear();
        for Place { file, bytes: range } in self.places.all(slice).into_iter().flatten() {
            let Some(OpenFile { mapped, file, .. }) = self.file(file) else {
                bytes.clear();
                return Ok(());
            };
            let before = bytes.len();
            bytes.resize(before + (range.end - range.start) as usize, 0);
            attempt("pread", &mapped.path, || {
                file.read_exact_at(&mut bytes[before..], range.start)
            })?;
        }
        Ok(())
    }

    /// Reads bytes of one of the files, if it can be used.
    pub(crate) fn read_bytes(&self, file: usize, offset: u64, bytes: &mut [u8]) -> Result<()> {
        match self.file(file) {
            Some(OpenFile { mapped, file, .. }) => {
                Ok(attempt("pread", &mapped.path, || file.read_exact_at(bytes, offset))?)
            }
            None => Ok(()),
        }
    }

    /// Whether this one of the files can be used.
    pub(crate) fn is_usable(&self, file: usize) -> bool {
        self.file(file).is_some()
    }

    fn file(&self, file: usize) -> Option<&OpenFile> {
        self.files.get(file)?.as_ref()
    }
}

impl LayerReader {
    /// Maps every file with nodes of a key, one after the other, and checks headers and lengths.
    ///
    /// # Errors
    /// As [`LayerFiles::open`].
    pub(crate) fn open(layers: &Entry, plan: &Plan, binding: &[u8; 32]) -> Result<Self> {
        let shelf = Shelf::of(layers, plan, binding)?;
        if let Some(unusable) = shelf.faults().next() {
            return Err(unusable.error);
        }
        let files = shelf
            .files
            .iter()
            .map(|file| Ok(OpenFile::open(file, AS_CACHED)?.mapped));
        Ok(Self {
            files: files.collect::<Result<_>>()?,
            places: shelf.places,
        })
    }

    /// The digest of a node; `None` if the key does not store it.
    pub fn node(&self, level: Level, node: NodeIndex) -> Option<&[u8]> {
        let nodes = node.0..node.0.checked_add(1)?;
        self.bytes(&self.places.place(&Slice { level, nodes })?)
    }

    /// Appends the digests of a run of nodes; `None` if the key does not store all of them.
    pub fn append(&self, slice: &Slice, digests: &mut Vec<u8>) -> Option<()> {
        for place in self.places.all(slice)? {
            digests.extend_from_slice(self.bytes(&place)?);
        }
        Some(())
    }

    /// The file that has a node.
    pub(crate) fn file_of(&self, level: Level, node: NodeIndex) -> Option<&Path> {
        let nodes = node.0..node.0.checked_add(1)?;
        let place = self.places.place(&Slice { level, nodes })?;
        Some(&self.files.get(place.file)?.path)
    }

    fn bytes(&self, place: &Place) -> Option<&[u8]> {
        let file = self.files.get(place.file)?;
        let bytes = &place.bytes;
        file.mapping.bytes().get(bytes.start as usize..bytes.end as usize)
    }

    /// How many files are mapped.
    pub(crate) fn mappings(&self) -> usize {
        self.files.len()
    }

    /// Gives up the memory of all nodes that were read.
    pub(crate) fn release(&self) -> Result<()> {
        let mut files = self.files.iter();
        files.try_for_each(|file| Ok(attempt("madvise", &file.path, || file.mapping.release())?))
    }
}

impl OpenFile {
    fn open(NodeFile { entry, content }: &NodeFile, prepare: Prepare) -> Result<Self> {
        let path = entry.path();
        let file = present(entry, entry.open_to_read())?;
        let bytes = attempt("stat", path, || file.metadata())?.len();
        check_length(path, bytes, Content::file_bytes(content))?;
        prepare(&file, path)?;
        let mapping = attempt("mmap", path, || ReadableMapping::new(&file))?;
        content.check_page(&mapping.bytes()[..LAYER_HEADER_BYTES as usize], path)?;
        let path = path.to_owned();
        Ok(Self {
            mapped: MappedFile { path, mapping },
            file,
            _registration: register(ResourceKind::File, 0),
        })
    }
}
