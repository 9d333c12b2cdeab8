//! The digests that stand in for missing siblings at the edges of the interval.

use super::Geometry;
use crate::units::{Level, NodeIndex, Slice};

/// All fillers of a key, in drawing order: level by level from the lowest, before the interval and then after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fillers {
    places: Vec<(Level, NodeIndex)>,
    digests: Vec<u8>,
    digest_bytes: usize,
}

impl Fillers {
    /// The fillers of a tree, from their digests in drawing order.
    pub fn new(geometry: &Geometry, digest_bytes: usize, digests: Vec<u8>) -> Self {
        Self {
            places: geometry.fillers().collect(),
            digests,
            digest_bytes,
        }
    }

    /// The digests in drawing order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.digests.chunks_exact(self.digest_bytes)
    }

    /// The same, without gaps.
    pub fn digests(&self) -> &[u8] {
        &self.digests
    }

    /// Bytes of each digest.
    pub fn digest_bytes(&self) -> usize {
        self.digest_bytes
    }

    /// The fillers of one level, with their places.
    pub fn of_level(&self, level: Level) -> impl Iterator<Item = (NodeIndex, &[u8])> {
        let placed = self.places.iter().zip(self.iter());
        placed
            .filter(move |((at, _), _)| *at == level)
            .map(|((_, node), digest)| (*node, digest))
    }

    /// Puts the fillers of a slice into their places among its digests.
    pub fn put(&self, slice: &Slice, digests: &mut [u8]) {
        for (node, digest) in self.of_slice(slice) {
            digests[slice.place(&(node.0..node.0 + 1), self.digest_bytes)].copy_from_slice(digest);
        }
    }

    /// Whether the fillers of a slice are in their places among its digests.
    pub fn are_in(&self, slice: &Slice, digests: &[u8]) -> bool {
        self.of_slice(slice).all(|(node, digest)| {
            let place = slice.place(&(node.0..node.0 + 1), self.digest_bytes);
            digests[place.start..].starts_with(digest)
        })
    }

    fn of_slice(&self, slice: &Slice) -> impl Iterator<Item = (NodeIndex, &[u8])> {
        let fillers = self.of_level(slice.level);
        fillers.filter(|(node, _)| slice.nodes.contains(&node.0))
    }
}
