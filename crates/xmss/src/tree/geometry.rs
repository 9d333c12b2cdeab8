//! Which nodes a key stores at each level, for any interval (docs/SCHEMES.md, "Tree").

use std::ops::Range;

use crate::units::{Epoch, EpochRange, Level, NodeIndex, Slice};

/// The nodes of one level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelSpan {
    /// The level.
    pub level: Level,
    /// Nodes that are computed: leaves, or parents of the level below.
    pub computed: Range<u64>,
    /// Nodes that are stored, unless the level is trimmed: the computed ones, and a filler on either side where a sibling
    /// is missing.
    pub stored: Range<u64>,
}

impl LevelSpan {
    fn new(level: Level, computed: Range<u64>) -> Self {
        let stored = computed.start & !1..computed.end.next_multiple_of(2);
        Self {
            level,
            computed,
            stored,
        }
    }

    /// Number of stored nodes.
    pub fn stored_count(&self) -> u64 {
        self.stored.end - self.stored.start
    }

    /// The fillers, in drawing order: before the computed nodes, then after them.
    pub fn fillers(&self) -> impl Iterator<Item = NodeIndex> + use<> {
        let before = self.stored.start..self.computed.start;
        let after = self.computed.end..self.stored.end;
        before.chain(after).map(NodeIndex)
    }
}

/// The shape of a key's tree: every level from the leaves to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geometry {
    epochs: EpochRange,
    levels: Vec<LevelSpan>,
    lowest_stored: Level,
}

impl Geometry {
    /// The tree over `epochs`, a non-empty range within a lifetime of `2^log_lifetime`, `log_lifetime <= 32`.
    pub fn new(log_lifetime: u8, epochs: EpochRange) -> Self {
        let mut span = LevelSpan::new(Level(0), epochs.as_range());
        let mut levels = Vec::with_capacity(usize::from(log_lifetime) + 1);
        for _ in 0..log_lifetime {
            let parents = span.stored.start / 2..span.stored.end / 2;
            let above = LevelSpan::new(span.level.up(), parents);
            levels.push(std::mem::replace(&mut span, above));
        }
        levels.push(span);
        Self {
            epochs,
            levels,
            lowest_stored: Level(0),
        }
    }

    /// The same tree, of which levels below this one are computed but not stored.
    pub fn trimmed(self, lowest_stored: Level) -> Self {
        Self { lowest_stored, ..self }
    }

    /// What lies above a run of its epochs, up to the level `top`: the nodes whose leaves are all in the run, and the fillers
    /// beside them where the run begins or ends with the tree. Where it does not, it has to at a multiple of `2^top`.
    pub fn part(&self, epochs: EpochRange, top: Level) -> Self {
        let of_level = |span: &LevelSpan| {
            let level = span.level.0;
            let start = if epochs.start == self.epochs.start {
                span.stored.start
            } else {
                epochs.start >> level
            };
            let end = if epochs.end == self.epochs.end {
                span.stored.end
            } else {
                epochs.end >> level
            };
            LevelSpan {
                level: span.level,
                computed: span.computed.start.max(start)..span.computed.end.min(end),
                stored: start..end,
            }
        };
        Self {
            epochs,
            levels: self.levels[..=usize::from(top.0)].iter().map(of_level).collect(),
            lowest_stored: self.lowest_stored,
        }
    }

    /// The stored interval.
    pub fn epochs(&self) -> EpochRange {
        self.epochs
    }

    /// Level of the root.
    pub fn root_level(&self) -> Level {
        Level((self.levels.len() - 1) as u8)
    }

    /// The span of a level that is not above the root.
    pub fn level(&self, level: Level) -> &LevelSpan {
        &self.levels[usize::from(level.0)]
    }

    /// The part of a slice that is not filler.
    pub fn computed(&self, slice: &Slice) -> Slice {
        let computed = &self.level(slice.level).computed;
        // Of a slice with fillers only there is nothing, at one of its ends.
        let start = computed.start.clamp(slice.nodes.start, slice.nodes.end);
        Slice {
            level: slice.level,
            nodes: start..computed.end.clamp(start, slice.nodes.end),
        }
    }

    /// All levels, from the leaves upward.
    pub fn levels(&self) -> &[LevelSpan] {
        &self.levels
    }

    /// The lowest level that is stored: 0, unless the key is trimmed.
    pub fn lowest_stored(&self) -> Level {
        self.lowest_stored
    }

    /// The levels that have a layer file.
    pub fn stored_levels(&self) -> &[LevelSpan] {
        &self.levels[usize::from(self.lowest_stored.0)..]
    }

    /// All fillers in drawing order: level by level from the lowest.
    pub fn fillers(&self) -> impl Iterator<Item = (Level, NodeIndex)> + '_ {
        self.levels
            .iter()
            .flat_map(|span| span.fillers().map(|node| (span.level, node)))
    }

    /// The authentication path of `epoch`: the sibling at every level below the root.
    pub fn path(&self, epoch: Epoch) -> impl Iterator<Item = (Level, NodeIndex)> {
        (0..self.root_level().0).map(move |level| {
            let node = NodeIndex(u64::from(epoch.0) >> level);
            (Level(level), node.sibling())
        })
    }
}
