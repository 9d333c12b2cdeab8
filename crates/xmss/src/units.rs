//! Newtypes for indices, so that an epoch is never taken for a node.

use std::fmt;
use std::ops::Range;

/// Index of a one-time key within a key's lifetime, `0 <= epoch < 2^h`, `h <= 32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u32);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Level of the tree: leaves are level 0, the root is level `h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(pub u8);

impl Level {
    /// The level above.
    pub fn up(self) -> Self {
        Level(self.0 + 1)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Index of a node within its level, counted from the left edge of the whole lifetime (not of the stored interval).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub u64);

impl NodeIndex {
    /// The node that shares this node's parent.
    pub fn sibling(self) -> Self {
        NodeIndex(self.0 ^ 1)
    }
}

impl fmt::Display for NodeIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A half-open range of epochs `[start, end)`; `end` can be `2^32`, one past the last possible epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EpochRange {
    /// First epoch of the range.
    pub start: u64,
    /// One past the last epoch of the range.
    pub end: u64,
}

impl EpochRange {
    /// Number of epochs in the range.
    pub fn count(self) -> u64 {
        self.end - self.start
    }

    /// Whether `epoch` lies in the range.
    pub fn contains(self, epoch: Epoch) -> bool {
        (self.start..self.end).contains(&u64::from(epoch.0))
    }

    /// The range as a standard one.
    pub fn as_range(self) -> Range<u64> {
        self.start..self.end
    }
}

impl fmt::Display for EpochRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.start, self.end)
    }
}

/// A run of nodes of one level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The level.
    pub level: Level,
    /// Node indices, as counted in the whole tree.
    pub nodes: Range<u64>,
}

impl Slice {
    /// Number of nodes.
    pub fn count(&self) -> usize {
        (self.nodes.end - self.nodes.start) as usize
    }

    /// Where the digests of some of its nodes are among those of all of them, in bytes.
    pub fn place(&self, nodes: &Range<u64>, digest_bytes: usize) -> Range<usize> {
        let offset = |node: u64| (node - self.nodes.start) as usize * digest_bytes;
        offset(nodes.start)..offset(nodes.end)
    }
}

/// The fingerprint of a key's one-time keys. Keys with the same one have the same one-time keys, whatever their interval,
/// fillers and public key are; so what one of them has signed counts for the others as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}
