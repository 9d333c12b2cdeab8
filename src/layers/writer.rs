//! All layer files of a key, open for writing.

use std::ops::Range;

use super::{Header, LayerFile, Medium, layer_file};
use crate::error::{Error, Result};
use crate::files::Entry;
use crate::plan::{LAYER_HEADER_BYTES, LevelSpan, Plan};
use crate::units::{KeyId, Level, Slice};

/// Nodes that are synced in one call. A level of a large key has gigabytes, and a call in flight cannot be abandoned.
const SYNC_NODES: u64 = 1 << 17;

struct OpenLayer {
    file: Box<dyn LayerFile>,
    header: Header,
}

/// Writes, syncs and reads back nodes of any level.
pub(crate) struct LayerWriter {
    layers: Vec<OpenLayer>,
    /// Level of the first of them.
    lowest: Level,
}

impl LayerWriter {
    /// Opens every layer file of the plan and checks headers and lengths.
    pub(crate) fn open(medium: &dyn Medium, directory: &Entry, plan: &Plan, key_id: KeyId) -> Result<Self> {
        let digest_bytes = plan.scheme().digest_bytes();
        let mut layers = Vec::new();
        for span in plan.geometry().stored_levels() {
            let layer = layer_file(directory, span.level);
            let header = Header::new(key_id, span, digest_bytes);
            let file = medium.open(&layer, header.file_bytes())?;
            let mut page = [0; LAYER_HEADER_BYTES as usize];
            file.read(0, &mut page)?;
            header.check_page(&page, layer.path())?;
            layers.push(OpenLayer { file, header });
        }
        Ok(Self {
            layers,
            lowest: plan.trim(),
        })
    }

    /// Reads a slice, as written so far, into `bytes`, which becomes as long as the slice.
    pub(crate) fn read(&self, slice: &Slice, bytes: &mut Vec<u8>) -> Result<()> {
        let (layer, place) = self.place(slice)?;
        bytes.resize((place.end - place.start) as usize, 0);
        Ok(self.layers[layer].file.read(place.start, bytes)?)
    }

    /// Writes a slice; not durable before [`sync`](Self::sync).
    pub(crate) fn write(&mut self, slice: &Slice, bytes: &[u8]) -> Result<()> {
        let (layer, place) = self.place(slice)?;
        Ok(self.layers[layer].file.write(place.start, bytes)?)
    }

    /// Makes a slice durable.
    pub(crate) fn sync(&mut self, slice: &Slice) -> Result<()> {
        let (layer, place) = self.place(slice)?;
        Ok(self.layers[layer].file.sync(place)?)
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
        let (layer, place) = self.place(slice)?;
        Ok(self.layers[layer].file.release(place)?)
    }

    /// Where a slice is: in which file, and where there.
    fn place(&self, slice: &Slice) -> Result<(usize, Range<u64>)> {
        let position = slice.level.0.checked_sub(self.lowest.0).map(usize::from);
        let place = position.and_then(|position| {
            let place = self.layers.get(position)?.header.place(&slice.nodes)?;
            Some((position, place))
        });
        place.ok_or_else(|| {
            Error::directory(format!(
                "no layer file has the nodes {:?} of level {}",
                slice.nodes, slice.level
            ))
        })
    }
}
