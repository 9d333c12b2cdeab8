//! Tweak integers: what separates every hash of a key from every other (docs/SCHEMES.md, "Tweaks"; eprint 2025/055,
//! section 5).
//!
//! A tweak is an integer that is absorbed as its two low-first base-p digits; here are the integers.

use crate::units::{Epoch, Level, NodeIndex};

/// Distance between the tweaks of two neighbouring positions of a chain.
pub(crate) const CHAIN_POSITION_STRIDE: u64 = 1 << 8;
/// Distance between the tweaks of two neighbouring chains of an epoch.
pub(crate) const CHAIN_INDEX_STRIDE: u64 = 1 << 16;

const TREE_SEPARATOR: u64 = 0x01;
const MESSAGE_SEPARATOR: u64 = 0x02;

/// The step of chain 0 into position 0, from which all chain tweaks of the epoch are counted.
pub(crate) fn chain_base(epoch: Epoch) -> u64 {
    u64::from(epoch.0) << 24
}

/// Node `index` of `level`; the leaf hash of an epoch is node `epoch` of level 0.
pub(crate) fn tree_node(level: Level, index: NodeIndex) -> u64 {
    (u64::from(level.0) << 40) | (index.0 << 8) | TREE_SEPARATOR
}

/// The message hash of an epoch.
pub(crate) fn message(epoch: Epoch) -> u64 {
    (u64::from(epoch.0) << 8) | MESSAGE_SEPARATOR
}
