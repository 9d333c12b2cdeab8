//! Newtypes for the indices that run through the whole program, so that an epoch is never taken for a node.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

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

/// Index of a batch: the epochs `[batch * batch_epochs, (batch + 1) * batch_epochs)`, counted from epoch 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchIndex(pub u64);

impl fmt::Display for BatchIndex {
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

/// The identifier of a key: the same in its manifest and in the header of each of its layer files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyId(pub [u8; 16]);

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
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

/// How far a ledger of signed epochs is: in its head, and in the mark beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LedgerExtent {
    /// Epochs below it that have no entry are not known to be unused.
    pub(crate) first_epoch: u64,
    /// Number of entries.
    pub(crate) spent: u64,
    /// Highest epoch with an entry.
    pub(crate) highest: Option<u32>,
    /// The hashes of all entries, xored. It finds accidents; whoever can write entries can also make them fit.
    pub(crate) digest: [u8; 32],
}

impl LedgerExtent {
    /// The first epoch that is above everything that it knows.
    #[cfg_attr(not(feature = "keygen"), expect(dead_code, reason = "the ledger belongs to the job"))]
    pub(crate) fn above_all_known(&self) -> u64 {
        let above = self.highest.map_or(0, |epoch| u64::from(epoch) + 1);
        above.max(self.first_epoch)
    }
}
