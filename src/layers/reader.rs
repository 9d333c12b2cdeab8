//! The layer files of a sealed key, mapped read-only.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{Header, check_length, layer_file, present};
use crate::error::{Error, Result};
use crate::failure::{IoFailure, attempt};
use crate::files::Entry;
use crate::files::drop_cached;
use crate::mapping::ReadableMapping;
use crate::plan::{Geometry, LAYER_HEADER_BYTES};
use crate::resources::{Registration, ResourceKind, register};
use crate::units::{KeyId, Level, NodeIndex, Slice};

/// Nodes of a sealed key, by their mappings alone, which stay when the files are closed: a service of a thousand keys would
/// otherwise hold tens of thousands of descriptors. Needs neither the secret nor the checkpoint store.
#[derive(Debug)]
pub struct LayerReader {
    /// One a level; none for a level that is trimmed.
    layers: Vec<Option<MappedLayer>>,
}

/// The layer files of a sealed key, open, from which nodes are read without the mappings.
#[derive(Debug)]
pub(crate) struct LayerFiles {
    /// One a level; none for a level that is trimmed, and for a file that cannot be used, which only `open_usable` lets pass.
    layers: Vec<Option<OpenLayer>>,
}

/// What is done with a file before it is mapped.
type Prepare = fn(&File, &Path) -> Result<(), IoFailure>;

#[derive(Debug)]
struct MappedLayer {
    path: PathBuf,
    mapping: ReadableMapping,
    header: Header,
}

#[derive(Debug)]
struct OpenLayer {
    mapped: MappedLayer,
    file: File,
    _registration: Registration,
}

impl LayerFiles {
    /// Maps every layer file of a key and checks headers and lengths.
    ///
    /// # Errors
    /// [`Error`] names the file that is missing, of the wrong length, or of another key.
    pub(crate) fn open(layers: &Entry, geometry: &Geometry, digest_bytes: usize, key_id: KeyId) -> Result<Self> {
        let as_cached: Prepare = |_, _| Ok(());
        let (reader, unusable) = Self::open_each(layers, geometry, digest_bytes, key_id, as_cached);
        match unusable.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(reader),
        }
    }

    /// Maps every layer file of a key that can be used, and names all that cannot. What is read is what the disk has, and
    /// not what is cached of it.
    pub(crate) fn open_usable(
        layers: &Entry,
        geometry: &Geometry,
        digest_bytes: usize,
        key_id: KeyId,
    ) -> (Self, Vec<(Level, Error)>) {
        Self::open_each(layers, geometry, digest_bytes, key_id, drop_cached)
    }

    fn open_each(
        layers: &Entry,
        geometry: &Geometry,
        digest_bytes: usize,
        key_id: KeyId,
        prepare: Prepare,
    ) -> (Self, Vec<(Level, Error)>) {
        let mut unusable = Vec::new();
        let mut found = Vec::new();
        found.resize_with(usize::from(geometry.lowest_stored().0), || None);
        for span in geometry.stored_levels() {
            let file = layer_file(layers, span.level);
            let opened = OpenLayer::open(&file, Header::new(key_id, span, digest_bytes), prepare);
            found.push(opened.map_err(|error| unusable.push((span.level, error))).ok());
        }
        (Self { layers: found }, unusable)
    }

    /// Closes the files, and keeps their mappings.
    pub(crate) fn mapped(self) -> LayerReader {
        let layers = self.layers.into_iter();
        LayerReader {
            layers: layers.map(|layer| Some(layer?.mapped)).collect(),
        }
    }

    /// Whether the file of this level can be used.
    pub(crate) fn has(&self, level: Level) -> bool {
        self.layer(level).is_some()
    }

    /// Reads a run of nodes into `bytes` without the mapping, so that a disk that fails to give a page is an error; an
    /// empty result if the key does not store all of them.
    pub(crate) fn read(&self, slice: &Slice, bytes: &mut Vec<u8>) -> Result<()> {
        bytes.clear();
        let layer = self.layer(slice.level);
        let Some((layer, place)) = layer.and_then(|layer| Some((layer, layer.mapped.header.place(&slice.nodes)?)))
        else {
            return Ok(());
        };
        bytes.resize((place.end - place.start) as usize, 0);
        let read = || layer.file.read_exact_at(bytes, place.start);
        Ok(attempt("pread", &layer.mapped.path, read)?)
    }

    fn layer(&self, level: Level) -> Option<&OpenLayer> {
        self.layers.get(usize::from(level.0))?.as_ref()
    }
}

impl LayerReader {
    /// The digest of a node; `None` if the key does not store it.
    pub fn node(&self, level: Level, node: NodeIndex) -> Option<&[u8]> {
        self.slice(&Slice {
            level,
            nodes: node.0..node.0.checked_add(1)?,
        })
    }

    /// The digests of a run of nodes; `None` if the key does not store all of them.
    pub fn slice(&self, slice: &Slice) -> Option<&[u8]> {
        let layer = self.layers.get(usize::from(slice.level.0))?.as_ref()?;
        let place = layer.header.place(&slice.nodes)?;
        layer.mapping.bytes().get(place.start as usize..place.end as usize)
    }

    /// How many files are mapped.
    pub(crate) fn mappings(&self) -> usize {
        self.layers.iter().flatten().count()
    }

    /// Gives up the memory of all nodes that were read.
    pub(crate) fn release(&self) -> Result<()> {
        let mut layers = self.layers.iter().flatten();
        layers.try_for_each(|layer| Ok(attempt("madvise", &layer.path, || layer.mapping.release())?))
    }
}

impl OpenLayer {
    fn open(layer: &Entry, header: Header, prepare: Prepare) -> Result<Self> {
        let path = layer.path();
        let file = present(layer, layer.open_to_read())?;
        let bytes = attempt("stat", path, || file.metadata())?.len();
        check_length(path, bytes, header.file_bytes())?;
        prepare(&file, path)?;
        let mapping = attempt("mmap", path, || ReadableMapping::new(&file))?;
        header.check_page(&mapping.bytes()[..LAYER_HEADER_BYTES as usize], path)?;
        let path = path.to_owned();
        Ok(Self {
            mapped: MappedLayer { path, mapping, header },
            file,
            _registration: register(ResourceKind::File, 0),
        })
    }
}
