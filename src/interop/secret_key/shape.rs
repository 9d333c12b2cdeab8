//! The shape of a secret key: which nodes it holds, from a few numbers that a file states. Everything else in the file has
//! one possible value then.

use super::recognition::schemes;
use crate::plan::Geometry;
use crate::units::{EpochRange, Level, NodeIndex, Slice};
use keymill_xmss::scheme::Scheme;

/// One of the three trees of a secret key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tree {
    /// The upper half of all levels, over the whole interval, fillers included.
    Top,
    /// The lower half of all levels, below the first of the two roots of the window.
    Left,
    /// The same below the second one.
    Right,
}

impl Tree {
    pub(crate) const ALL: [Self; 3] = [Self::Top, Self::Left, Self::Right];
}

impl std::fmt::Display for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Top => "top tree",
            Self::Left => "left bottom tree",
            Self::Right => "right bottom tree",
        })
    }
}

/// Lifetime, digest length, interval and window of a secret key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyShape {
    log_lifetime: u8,
    digest_bytes: usize,
    stored: EpochRange,
    left_index: u64,
}

impl KeyShape {
    /// The shape of a key over `stored`, whole bottom trees and at least two, whose window begins with the bottom tree
    /// that holds `epoch`, or with the last but one.
    pub(crate) fn of_key(scheme: &Scheme, stored: EpochRange, epoch: u64) -> Self {
        let bottom_level = scheme.log_lifetime() / 2;
        Self {
            log_lifetime: scheme.log_lifetime(),
            digest_bytes: scheme.digest_bytes(),
            stored,
            left_index: (epoch >> bottom_level).min((stored.end >> bottom_level) - 2),
        }
    }

    /// The shape that a file claims; an error says which claim cannot be.
    pub(super) fn claimed(
        log_lifetime: u8,
        digest_bytes: usize,
        stored: EpochRange,
        left_index: u64,
    ) -> Result<Self, String> {
        let bottom_level = log_lifetime / 2;
        let trees = stored.start >> bottom_level..stored.end >> bottom_level;
        // The right one is stored as well.
        if left_index < trees.start || left_index > trees.end - 2 {
            return Err(format!(
                "the index of the left bottom tree is {left_index}, but the key has the bottom trees {} to {}",
                trees.start,
                trees.end - 1
            ));
        }
        Ok(Self {
            log_lifetime,
            digest_bytes,
            stored,
            left_index,
        })
    }

    /// The lifetime is 2 to this power.
    pub fn log_lifetime(&self) -> u8 {
        self.log_lifetime
    }

    /// Bytes of a digest.
    pub fn digest_bytes(&self) -> usize {
        self.digest_bytes
    }

    /// The epochs of the key.
    pub fn stored(&self) -> EpochRange {
        self.stored
    }

    /// Index of the first bottom tree of the window, among those of the whole lifetime.
    pub fn left_index(&self) -> u64 {
        self.left_index
    }

    /// The epochs of the window: those that can sign without computing another bottom tree.
    pub fn window(&self) -> EpochRange {
        EpochRange {
            start: self.left_index << self.bottom_level().0,
            end: (self.left_index + 2) << self.bottom_level().0,
        }
    }

    /// Level of the roots of the bottom trees, the lowest of the top tree.
    pub fn bottom_level(&self) -> Level {
        Level(self.log_lifetime / 2)
    }

    /// The tree over all epochs of the key.
    pub(crate) fn geometry(&self) -> Geometry {
        Geometry::new(self.log_lifetime, self.stored)
    }

    /// The nodes of a tree, level by level upward.
    pub(crate) fn slices(&self, tree: Tree) -> Vec<Slice> {
        let bottom = self.bottom_level().0;
        let index = match tree {
            Tree::Top => {
                let geometry = self.geometry();
                let spans = geometry.levels()[usize::from(bottom)..].iter();
                let slice = |span: &crate::plan::LevelSpan| Slice {
                    level: span.level,
                    nodes: span.stored.clone(),
                };
                return spans.map(slice).collect();
            }
            Tree::Left => self.left_index,
            Tree::Right => self.left_index + 1,
        };
        let slice = |level: u8| Slice {
            level: Level(level),
            nodes: index << (bottom - level)..(index + 1) << (bottom - level),
        };
        (0..=bottom).map(slice).collect()
    }

    /// Which tree holds a node, if one does. The roots of the bottom trees are held twice; this gives the top tree.
    pub(super) fn tree_of(&self, level: Level, node: NodeIndex) -> Option<Tree> {
        let bottom = self.bottom_level().0;
        if level.0 >= bottom {
            let geometry = self.geometry();
            let is_stored = level <= geometry.root_level() && geometry.level(level).stored.contains(&node.0);
            return is_stored.then_some(Tree::Top);
        }
        match (node.0 >> (bottom - level.0)).checked_sub(self.left_index) {
            Some(0) => Some(Tree::Left),
            Some(1) => Some(Tree::Right),
            _ => None,
        }
    }
}

/// The depth, if there are schemes with it.
pub(super) fn checked_depth(depth: u64) -> Result<u8, String> {
    let known = schemes().map(Scheme::log_lifetime);
    known.clone().find(|&log| u64::from(log) == depth).ok_or_else(|| {
        let mut known: Vec<u8> = known.collect();
        known.sort_unstable();
        known.dedup();
        format!("the depth of the tree is {depth}, but no scheme has it: there are {known:?}")
    })
}

/// The interval, if it is whole bottom trees, two or more, within the lifetime.
pub(super) fn checked_interval(log_lifetime: u8, start: u64, count: u64) -> Result<EpochRange, String> {
    let tree_epochs: u64 = 1 << (log_lifetime / 2);
    let end = start.checked_add(count).filter(|&end| end <= 1 << log_lifetime);
    let is_whole = start.is_multiple_of(tree_epochs) && count.is_multiple_of(tree_epochs) && count >= 2 * tree_epochs;
    match end {
        Some(end) if is_whole => Ok(EpochRange { start, end }),
        _ => Err(format!(
            "the interval of {count} epochs from {start} is not two or more whole bottom trees of {tree_epochs} epochs \
             within the lifetime of 2^{log_lifetime}"
        )),
    }
}

/// The digest lengths of the schemes of a lifetime.
pub(super) fn digest_lengths(log_lifetime: u8) -> Vec<usize> {
    let schemes = schemes().filter(|scheme| scheme.log_lifetime() == log_lifetime);
    let mut lengths: Vec<usize> = schemes.map(Scheme::digest_bytes).collect();
    lengths.sort_unstable();
    lengths.dedup();
    lengths
}
