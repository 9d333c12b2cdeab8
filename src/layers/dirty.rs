//! What a group of batches has written and not yet synced: one range of nodes a level.

use std::ops::Range;

use super::LayerWriter;
use crate::error::Result;
use crate::units::{Level, Slice};

/// The range that slices span, level by level. Batches of a group mostly follow each other; after damage there can be
/// gaps, in which nothing is dirty.
#[derive(Debug, Default)]
pub(crate) struct DirtyNodes {
    ranges: Vec<Option<Range<u64>>>,
}

impl DirtyNodes {
    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.ranges.fill(None);
    }

    /// Adds a slice.
    pub(crate) fn add(&mut self, slice: &Slice) {
        let level = usize::from(slice.level.0);
        if self.ranges.len() <= level {
            self.ranges.resize(level + 1, None);
        }
        let nodes = slice.nodes.clone();
        self.ranges[level] = Some(match self.ranges[level].take() {
            Some(range) => range.start.min(nodes.start)..range.end.max(nodes.end),
            None => nodes,
        });
    }

    /// Makes everything touched durable.
    pub(crate) fn sync(&self, writer: &mut LayerWriter) -> Result<()> {
        self.slices().try_for_each(|slice| writer.sync(&slice))
    }

    /// Gives up the memory of everything touched.
    pub(crate) fn release(&self, writer: &mut LayerWriter) -> Result<()> {
        self.slices().try_for_each(|slice| writer.release(&slice))
    }

    fn slices(&self) -> impl Iterator<Item = Slice> + '_ {
        self.ranges.iter().enumerate().filter_map(|(level, range)| {
            let nodes = range.clone()?;
            let level = Level(level as u8);
            Some(Slice { level, nodes })
        })
    }
}
