//! The lowest levels of a part of the tree, computed from the secret: for nodes that a trimmed key does not store, and to
//! compare stored ones with the secret.

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use crate::keydir::Manifest;
use crate::plan::Batches;
use crate::units::{BatchIndex, Epoch, Level, NodeIndex, Slice};
use crate::workers::Workers;
use keymill_xmss::arena::ArenaOverflow;
use keymill_xmss::hash::{Kernel, PrfKey};
use keymill_xmss::tree::Nodes;

/// Everything that any node of a key can be computed from.
#[derive(Clone, Copy)]
pub(crate) struct SubtreeSource<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) kernel: &'a dyn Kernel,
    pub(crate) prf_key: &'a PrfKey,
    pub(crate) workers: &'a Workers,
}

/// The nodes above a run of epochs, level by level: as a key that is not trimmed stores them, fillers included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subtree {
    /// From the leaves upward.
    levels: Vec<Nodes>,
}

impl SubtreeSource<'_> {
    /// Computes the slices of a block from the leaves up to the level `top`; the leaves on all workers, or in a task of
    /// rayon's on its thread alone.
    pub(crate) fn grow(&self, blocks: &Batches, block: BatchIndex, top: Level) -> Result<Subtree, ArenaOverflow> {
        let fold = self.manifest.fold(self.kernel);
        let mut subtree = Subtree::default();
        for level in (0..=top.0).map(Level) {
            let nodes = blocks.slice(block, level);
            let slice = Slice { level, nodes };
            let digests = match subtree.levels.last() {
                Some(below) => fold.folded(&slice, &below.digests),
                None => {
                    let mut digests = vec![0; slice.count() * self.manifest.scheme().digest_bytes()];
                    let (computed, leaves) = fold.computed(&slice, &mut digests);
                    self.leaves(computed.nodes.start, leaves)?;
                    digests
                }
            };
            subtree.levels.push(Nodes { slice, digests });
        }
        Ok(subtree)
    }

    fn leaves(&self, first: u64, leaves: &mut [u8]) -> Result<(), ArenaOverflow> {
        let lanes = self.kernel.lanes();
        let block_bytes = lanes * self.manifest.scheme().digest_bytes();
        let compute = |(block, leaves): (usize, &mut [u8])| {
            let first = Epoch((first + (block * lanes) as u64) as u32);
            self.workers
                .with_arena(|arena| self.kernel.leaves(self.prf_key, first, leaves, arena))
        };
        // A thread that waits in a task of rayon's takes up another task meanwhile, on the same stack: as many paths as are asked
        // for at once would lie there one upon the other. Such a thread computes alone; there are others beside it.
        if rayon::current_thread_index().is_some() {
            return leaves.chunks_mut(block_bytes).enumerate().try_for_each(compute);
        }
        self.workers
            .install(|| leaves.par_chunks_mut(block_bytes).enumerate().try_for_each(compute))
    }
}

impl Subtree {
    /// The digest of a node; `None` if it is not in this part of the tree.
    pub(crate) fn node(&self, level: Level, node: NodeIndex) -> Option<&[u8]> {
        self.levels.get(usize::from(level.0))?.get(node)
    }

    /// The digests of its highest level.
    pub(crate) fn top(&self) -> &[u8] {
        self.levels.last().map_or(&[], |level| &level.digests)
    }
}
