//! Pieces: the runs of nodes above the batches that are folded in one go and share one checksum.

use std::ops::Range;

use crate::units::{Level, Slice};

/// Nodes of a piece; the last one of a level can be shorter.
const PIECE_NODES: u64 = 1024;

/// How many pieces so many nodes are cut into.
pub fn piece_count(nodes: u64) -> u64 {
    nodes.div_ceil(PIECE_NODES)
}

/// A run of nodes of a level, cut into pieces.
pub fn pieces(level: Level, nodes: Range<u64>) -> impl Iterator<Item = Slice> {
    let end = nodes.end;
    nodes.step_by(PIECE_NODES as usize).map(move |start| Slice {
        level,
        nodes: start..(start + PIECE_NODES).min(end),
    })
}
