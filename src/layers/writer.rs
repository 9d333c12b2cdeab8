//! All files with nodes of a key, open for writing.

use std::ops::Range;

use super::medium::open_to_read;
use super::shelf::{ADOPTED_PARTS_MAX, NodeFile, Places, Shelf};
use super::{LayerFile, Medium};
use crate::error::{Error, Result};
use crate::failure::{FailureKind, IoFailure};
use crate::files::Entry;
use crate::plan::{LAYER_HEADER_BYTES, LevelSpan, Plan};
use crate::units::{EpochRange, Slice};

/// Nodes that are synced in one call. A level of a large key has gigabytes, and a call in flight cannot be abandoned.
const SYNC_NODES: u64 = 1 << 17;

/// Writes, syncs and reads back nodes of any level.
pub(crate) struct LayerWriter {
    /// None in the place of a part that was forgotten.
    files: Vec<Option<Box<dyn LayerFile>>>,
    places: Places,
    /// Parts that the key has adopted, and their files.
    adopted: Vec<(EpochRange, usize)>,
}

impl LayerWriter {
    /// Opens every file with nodes of the plan and checks headers and lengths.
    pub(crate) fn open(medium: &dyn Medium, layers: &Entry, plan: &Plan, binding: &[u8; 32]) -> Result<Self> {
        let shelf = Shelf::of(layers, plan, binding)?;
        if let Some(unusable) = shelf.faults().next() {
            return Err(unusable.error);
        }
        let files = shelf.files.iter().map(|file| opened(medium, file).map(Some));
        Ok(Self {
            files: files.collect::<Result<_>>()?,
            places: shelf.places,
            adopted: Vec::new(),
        })
    }

    /// Opens the layer files of a key that adopts its parts, and those parts that are there: some may be missing, and one whose
    /// header or length is wrong counts as missing. What parts have is only read.
    pub(crate) fn open_to_adopt(medium: &dyn Medium, layers: &Entry, plan: &Plan, binding: &[u8; 32]) -> Result<Self> {
        let shelf = Shelf::of(layers, plan, binding)?;
        let (parts, ordinary): (Vec<_>, Vec<_>) = shelf.files.into_iter().partition(|file| file.part().is_some());
        let files = ordinary.iter().map(|file| opened(medium, file).map(Some));
        let mut writer = Self {
            files: files.collect::<Result<_>>()?,
            places: Places::of(plan, &ordinary),
            adopted: Vec::new(),
        };
        for part in parts.into_iter().take(ADOPTED_PARTS_MAX) {
            match writer.adopt(&part) {
                Err(error) if error.kind() == FailureKind::Directory => {}
                adopted => adopted?,
            }
        }
        Ok(writer)
    }

    /// Takes in the file of a part, which is in its place.
    ///
    /// # Errors
    /// [`Error`] if its header or its length is wrong.
    pub(crate) fn adopt(&mut self, file: &NodeFile) -> Result<()> {
        let Some(part) = file.part() else {
            return Ok(());
        };
        let epochs = part.epochs();
        self.expel(epochs);
        let open = open_to_read(&file.entry, file.content.file_bytes())?;
        check_page(open.as_ref(), file)?;
        self.places.add(self.files.len(), &file.content);
        self.adopted.push((epochs, self.files.len()));
        self.files.push(Some(open));
        Ok(())
    }

    /// Forgets a part that turned out to be wrong.
    pub(crate) fn expel(&mut self, epochs: EpochRange) {
        let (expelled, kept) = std::mem::take(&mut self.adopted)
            .into_iter()
            .partition(|(part, _)| *part == epochs);
        self.adopted = kept;
        let expelled: Vec<(EpochRange, usize)> = expelled;
        for (_, file) in expelled {
            self.places.remove(file);
            self.files[file] = None;
        }
    }

    /// How many parts are adopted.
    pub(crate) fn adopted(&self) -> usize {
        self.adopted.len()
    }

    /// Epochs of a part that is adopted and has some of these too.
    pub(crate) fn overlapping(&self, epochs: EpochRange) -> Option<EpochRange> {
        let mut adopted = self.adopted.iter().map(|(part, _)| *part);
        adopted.find(|part| part.start < epochs.end && epochs.start < part.end)
    }

    /// Whether the key has a place for all of these nodes.
    pub(crate) fn has(&self, slice: &Slice) -> bool {
        self.places.all(slice).is_some()
    }

    /// Reads a slice, as written so far, into `bytes`, which becomes as long as the slice.
    pub(crate) fn read(&self, slice: &Slice, bytes: &mut Vec<u8>) -> Result<()> {
        bytes.clear();
        for place in self.places.all(slice).ok_or_else(|| no_place(slice))? {
            let before = bytes.len();
            bytes.resize(before + (place.bytes.end - place.bytes.start) as usize, 0);
            let file = self
                .files
                .get(place.file)
                .and_then(Option::as_ref)
                .ok_or_else(forgotten)?;
            file.read(place.bytes.start, &mut bytes[before..])?;
        }
        Ok(())
    }

    /// Writes a slice; not durable before [`sync`](Self::sync).
    pub(crate) fn write(&mut self, slice: &Slice, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        self.each_place(slice, |file, place| {
            let (run, behind) = rest.split_at((place.end - place.start) as usize);
            rest = behind;
            file.write(place.start, run)
        })
    }

    /// Writes bytes of one of the files, in the order in which [`Shelf`] has them, and makes them durable.
    pub(crate) fn write_bytes(&mut self, file: usize, offset: u64, bytes: &[u8]) -> Result<()> {
        let file = open_file(&mut self.files, file)?;
        file.write(offset, bytes)?;
        Ok(file.sync(offset..offset + bytes.len() as u64)?)
    }

    /// Makes a slice durable.
    pub(crate) fn sync(&mut self, slice: &Slice) -> Result<()> {
        self.each_place(slice, |file, place| file.sync(place))
    }

    /// Makes a whole level durable, a piece at a time, as long as `proceed` lets it.
    pub(crate) fn sync_level(&mut self, span: &LevelSpan, proceed: impl Fn() -> Result<()>) -> Result<()> {
        let (level, stored) = (span.level, &span.stored);
        for start in stored.clone().step_by(SYNC_NODES as usize) {
            proceed()?;
            let nodes = start..(start + SYNC_NODES).min(stored.end);
            self.sync(&Slice { level, nodes })?;
        }
        Ok(())
    }

    /// Gives up the memory of a synced slice.
    pub(crate) fn release(&mut self, slice: &Slice) -> Result<()> {
        self.each_place(slice, |file, place| file.release(place))
    }

    /// Does something with each file that has nodes of a slice, and tells where they are in it.
    fn each_place(
        &mut self,
        slice: &Slice,
        mut operation: impl FnMut(&mut dyn LayerFile, Range<u64>) -> Result<(), IoFailure>,
    ) -> Result<()> {
        let Self { files, places, .. } = self;
        for place in places.all(slice).ok_or_else(|| no_place(slice))? {
            operation(open_file(files, place.file)?, place.bytes)?;
        }
        Ok(())
    }
}

fn open_file(files: &mut [Option<Box<dyn LayerFile>>], file: usize) -> Result<&mut dyn LayerFile> {
    match files.get_mut(file) {
        Some(Some(file)) => Ok(file.as_mut()),
        _ => Err(forgotten()),
    }
}

fn no_place(slice: &Slice) -> Error {
    Error::directory(format!(
        "no layer file has the nodes {:?} of level {}",
        slice.nodes, slice.level
    ))
}

fn opened(medium: &dyn Medium, file: &NodeFile) -> Result<Box<dyn LayerFile>> {
    let open = medium.open(&file.entry, file.content.file_bytes())?;
    check_page(open.as_ref(), file)?;
    Ok(open)
}

fn forgotten() -> Error {
    Error::directory("a part was forgotten that is still read or written")
}

fn check_page(open: &dyn LayerFile, file: &NodeFile) -> Result<()> {
    let mut page = [0; LAYER_HEADER_BYTES as usize];
    open.read(0, &mut page)?;
    file.content.check_page(&page, file.entry.path())
}
