//! From the nodes of one level to those of the next: hashes of their children, and fillers.

use super::{Fillers, Geometry};
use crate::hash::Kernel;
use crate::units::{Level, NodeIndex, Slice};

/// What a level is folded with.
#[derive(Clone, Copy)]
pub struct Fold<'a> {
    kernel: &'a dyn Kernel,
    geometry: &'a Geometry,
    fillers: &'a Fillers,
}

impl<'a> Fold<'a> {
    /// Of a key with this tree and these hash functions.
    pub fn new(kernel: &'a dyn Kernel, geometry: &'a Geometry, fillers: &'a Fillers) -> Self {
        Self {
            kernel,
            geometry,
            fillers,
        }
    }

    /// The stored nodes that the computed nodes of a slice above the leaves are the hashes of.
    pub fn children(&self, slice: &Slice) -> Slice {
        let computed = self.geometry.computed(slice).nodes;
        Slice {
            level: Level(slice.level.0 - 1),
            nodes: 2 * computed.start..2 * computed.end,
        }
    }

    /// Puts the fillers of a slice into their places among its digests, and gives the others: which nodes they are, and the
    /// room for their digests.
    pub fn computed<'d>(&self, slice: &Slice, digests: &'d mut [u8]) -> (Slice, &'d mut [u8]) {
        self.fillers.put(slice, digests);
        let computed = self.geometry.computed(slice);
        let place = slice.place(&computed.nodes, self.fillers.digest_bytes());
        (computed, &mut digests[place])
    }

    /// Fills in the digests of a slice, given those of its [`children`](Self::children). Allocates nothing.
    pub fn fold(&self, slice: &Slice, children: &[u8], digests: &mut [u8]) {
        let (computed, parents) = self.computed(slice, digests);
        let first = NodeIndex(computed.nodes.start);
        self.kernel.parents(slice.level, first, children, parents);
    }

    /// The digests of a slice, given those of its [`children`](Self::children).
    pub fn folded(&self, slice: &Slice, children: &[u8]) -> Vec<u8> {
        let mut digests = vec![0; slice.count() * self.fillers.digest_bytes()];
        self.fold(slice, children, &mut digests);
        digests
    }

    /// The first node of a slice that is not the hash of its children. Fillers are not looked at.
    pub fn first_wrong(&self, slice: &Slice, children: &[u8], digests: &[u8]) -> Option<NodeIndex> {
        let digest_bytes = self.fillers.digest_bytes();
        let computed = self.geometry.computed(slice);
        let digests = &digests[slice.place(&computed.nodes, digest_bytes)];
        first_wrong(self.kernel, &computed, children, digests, digest_bytes)
    }
}

/// The first node of a slice without fillers that is not the hash of its children.
pub fn first_wrong(
    kernel: &dyn Kernel,
    slice: &Slice,
    children: &[u8],
    digests: &[u8],
    digest_bytes: usize,
) -> Option<NodeIndex> {
    let mut hashed = vec![0; digests.len()];
    kernel.parents(slice.level, NodeIndex(slice.nodes.start), children, &mut hashed);
    let mut pairs = hashed
        .chunks_exact(digest_bytes)
        .zip(digests.chunks_exact(digest_bytes));
    let at = pairs.position(|(hashed, found)| hashed != found)?;
    Some(NodeIndex(slice.nodes.start + at as u64))
}
