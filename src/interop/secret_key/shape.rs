//! The shape of a secret key: which nodes it holds, from a few numbers that a file states. Everything else in the file has
//! one possible value then.

use super::recognition::schemes;
use super::{leanvm, ssz};
use crate::plan::Geometry;
use crate::units::{EpochRange, Level, NodeIndex, Slice};
use keymill_xmss::scheme::{KeyForms, Scheme};

/// One of the three trees of a secret key of leanSig. A key of leanVM has a top tree alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tree {
    /// The upper levels, over the whole interval, fillers included.
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

/// Lifetime, digest length, interval, lowest level of the top tree, and the window of a secret key that has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyShape {
    log_lifetime: u8,
    digest_bytes: usize,
    stored: EpochRange,
    bottom_level: Level,
    /// Index of the left bottom tree, of a key that has bottom trees.
    left_index: Option<u64>,
}

/// Where the file of a key in a set has what the key is known by, and where it ends.
pub(crate) struct Places {
    pub(crate) prf_key: u64,
    pub(crate) parameter: u64,
    pub(crate) root: u64,
    pub(crate) end: u64,
}

impl KeyShape {
    /// The places in the file of a key set, which is in SSZ, or for leanVM in postcard.
    pub(crate) fn places(&self) -> Places {
        match self.key_forms() {
            KeyForms::Leansig => ssz::places(self),
            KeyForms::Leanvm | KeyForms::Unknown => leanvm::places_in_postcard(self),
        }
    }

    /// The shape of a key over `stored`. In forms of leanSig, these are whole bottom trees and at least two, and the window
    /// begins with the one that holds `epoch`, or with the last but one.
    pub(crate) fn of_key(scheme: &Scheme, stored: EpochRange, epoch: u64) -> Self {
        let (log_lifetime, digest_bytes) = (scheme.log_lifetime(), scheme.digest_bytes());
        match scheme.family().key_forms() {
            KeyForms::Leansig => {
                let bottom_level = log_lifetime / 2;
                let last = (stored.end >> bottom_level) - 2;
                let left_index = Some((epoch >> bottom_level).min(last));
                let bottom_level = Level(bottom_level);
                Self {
                    log_lifetime,
                    digest_bytes,
                    stored,
                    bottom_level,
                    left_index,
                }
            }
            KeyForms::Leanvm | KeyForms::Unknown => Self::top_alone(log_lifetime, digest_bytes, stored),
        }
    }

    /// The shape of a key of leanVM, which has the upper half of those levels that its epochs fill.
    pub(super) fn top_alone(log_lifetime: u8, digest_bytes: usize, stored: EpochRange) -> Self {
        let filled = stored.count().next_power_of_two().trailing_zeros();
        Self {
            log_lifetime,
            digest_bytes,
            stored,
            bottom_level: Level(filled.div_ceil(2) as u8),
            left_index: None,
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
            bottom_level: Level(bottom_level),
            left_index: Some(left_index),
        })
    }

    /// In whose forms the key is kept.
    pub fn key_forms(&self) -> KeyForms {
        match self.left_index {
            Some(_) => KeyForms::Leansig,
            None => KeyForms::Leanvm,
        }
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

    /// Index of the first bottom tree of the window, among those of the whole lifetime; `None` of a key without bottom trees.
    pub fn left_index(&self) -> Option<u64> {
        self.left_index
    }

    /// The epochs of the window: those that can sign without computing another bottom tree. `None` of a key without bottom
    /// trees, all of whose epochs sign alike.
    pub fn window(&self) -> Option<EpochRange> {
        let left = self.left_index?;
        Some(EpochRange {
            start: left << self.bottom_level.0,
            end: (left + 2) << self.bottom_level.0,
        })
    }

    /// The lowest level of the top tree, and that of the roots of the bottom trees.
    pub fn bottom_level(&self) -> Level {
        self.bottom_level
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
            Tree::Right => self.left_index.map(|left| left + 1),
        };
        let Some(index) = index else {
            return Vec::new();
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
        match (node.0 >> (bottom - level.0)).checked_sub(self.left_index?) {
            Some(0) => Some(Tree::Left),
            Some(1) => Some(Tree::Right),
            _ => None,
        }
    }
}

/// The depth, if there are schemes with it.
pub(super) fn checked_depth(depth: u64) -> Result<u8, String> {
    let known = schemes(KeyForms::Leansig).map(Scheme::log_lifetime);
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
    let schemes = schemes(KeyForms::Leansig).filter(|scheme| scheme.log_lifetime() == log_lifetime);
    let mut lengths: Vec<usize> = schemes.map(Scheme::digest_bytes).collect();
    lengths.sort_unstable();
    lengths.dedup();
    lengths
}
