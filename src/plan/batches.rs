//! Batches: the aligned blocks of epochs that are computed, written and checkpointed as one.

use std::ops::Range;

use crate::units::{BatchIndex, EpochRange, Level};
use keymill_xmss::tree::Geometry;

/// A whole batch has `2^BATCH_LEVELS` = 1,024 epochs, and folds this many levels of its own.
const BATCH_LEVELS: u8 = 10;

/// How a geometry falls into batches.
///
/// A batch owns the nodes above its epochs up to the level of its root. Below that level it also owns the fillers beside
/// them, since a batch begins and ends at even indices there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batches {
    geometry: Geometry,
    root_level: Level,
    indices: Range<u64>,
}

impl Batches {
    /// The batches of a geometry.
    pub fn new(geometry: Geometry) -> Self {
        let root_level = Level(BATCH_LEVELS.min(geometry.root_level().0));
        Self::with_roots_at(root_level, geometry)
    }

    /// The blocks of epochs below each node of another level: as batches, but of `2^root_level` epochs.
    pub(crate) fn with_roots_at(root_level: Level, geometry: Geometry) -> Self {
        let epochs = geometry.epochs();
        let indices = epochs.start >> root_level.0..((epochs.end - 1) >> root_level.0) + 1;
        Self {
            geometry,
            root_level,
            indices,
        }
    }

    /// The geometry behind.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Level of the batches' own roots: 10, or the tree's root if that is lower.
    pub fn root_level(&self) -> Level {
        self.root_level
    }

    /// Number of batches.
    pub fn count(&self) -> u64 {
        self.indices.end - self.indices.start
    }

    /// The first batch, and the one past the last.
    pub fn indices(&self) -> Range<u64> {
        self.indices.clone()
    }

    /// All batches in order.
    pub fn all(&self) -> impl ExactSizeIterator<Item = BatchIndex> + use<> {
        let first = self.indices.start;
        // A lifetime has at most 2^22 batches.
        (0..self.count() as usize).map(move |i| BatchIndex(first + i as u64))
    }

    /// Position of a batch, counted from the first of this key; `None` if it is not one of them.
    pub fn position(&self, batch: BatchIndex) -> Option<usize> {
        self.indices
            .contains(&batch.0)
            .then(|| (batch.0 - self.indices.start) as usize)
    }

    /// The epochs of the key that lie in a batch.
    pub fn epochs(&self, batch: BatchIndex) -> EpochRange {
        let block = self.block(batch, Level(0));
        let epochs = self.geometry.epochs();
        EpochRange {
            start: block.start.max(epochs.start),
            end: block.end.min(epochs.end),
        }
    }

    /// Levels that a batch computes, from the leaves to its root.
    pub fn levels(&self) -> impl DoubleEndedIterator<Item = Level> + Clone + use<> {
        (0..=self.root_level.0).map(Level)
    }

    /// Those of its levels that a batch writes, from the lowest that is stored to its root.
    pub fn stored_levels(&self) -> impl ExactSizeIterator<Item = Level> + Clone + use<> {
        let lowest = self.geometry.lowest_stored().0;
        (0..self.root_level.0 + 1 - lowest).map(move |above| Level(lowest + above))
    }

    /// The nodes of `level` that a batch owns, one contiguous piece of the level's file if it has one.
    pub fn slice(&self, batch: BatchIndex, level: Level) -> Range<u64> {
        let block = self.block(batch, level);
        if level == self.root_level {
            return block;
        }
        let stored = &self.geometry.level(level).stored;
        block.start.max(stored.start)..block.end.min(stored.end)
    }

    /// Nodes in all slices of a whole batch.
    pub fn nodes_max(&self) -> usize {
        (2 << self.root_level.0) - 1
    }

    /// Nodes in those slices of a whole batch that are stored.
    pub fn stored_nodes_max(&self) -> usize {
        (2 << (self.root_level.0 - self.geometry.lowest_stored().0)) - 1
    }

    fn block(&self, batch: BatchIndex, level: Level) -> Range<u64> {
        let height = self.root_level.0 - level.0;
        batch.0 << height..(batch.0 + 1) << height
    }
}
