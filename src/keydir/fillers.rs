//! The digests that stand in for missing siblings at the edges of the interval.

use crate::plan::Plan;
use crate::units::{Level, NodeIndex, Slice};

/// All fillers of a key, in drawing order: level by level from the lowest, before the interval and then after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fillers {
    places: Vec<(Level, NodeIndex)>,
    digests: Vec<u8>,
    digest_bytes: usize,
}

impl Fillers {
    pub(crate) fn new(plan: &Plan, digests: Vec<u8>) -> Self {
        Self {
            places: plan.geometry().fillers().collect(),
            digests,
            digest_bytes: plan.scheme().digest_bytes(),
        }
    }

    /// The digests in drawing order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.digests.chunks_exact(self.digest_bytes)
    }

    /// The fillers of one level, with their places.
    pub fn of_level(&self, level: Level) -> impl Iterator<Item = (NodeIndex, &[u8])> {
        let placed = self.places.iter().zip(self.iter());
        placed
            .filter(move |((at, _), _)| *at == level)
            .map(|((_, node), digest)| (*node, digest))
    }

    /// Puts the fillers of a slice into their places among its bytes.
    pub(crate) fn put(&self, slice: &Slice, bytes: &mut [u8]) {
        for (node, digest) in self.of_level(slice.level) {
            if slice.nodes.contains(&node.0) {
                let offset = (node.0 - slice.nodes.start) as usize * digest.len();
                bytes[offset..offset + digest.len()].copy_from_slice(digest);
            }
        }
    }

    /// Whether the fillers of a slice are in their places among its bytes.
    pub(crate) fn are_in(&self, slice: &Slice, bytes: &[u8]) -> bool {
        let mut of_slice = self
            .of_level(slice.level)
            .filter(|(node, _)| slice.nodes.contains(&node.0));
        of_slice.all(|(node, digest)| {
            let offset = (node.0 - slice.nodes.start) as usize * digest.len();
            bytes[offset..].starts_with(digest)
        })
    }

    pub(crate) fn digests(&self) -> &[u8] {
        &self.digests
    }
}
