//! The lowest levels of a part of the tree, computed from the secret: for nodes that a trimmed key does not store, and to
//! hold stored ones against the secret.

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use crate::keydir::Manifest;
use crate::plan::Batches;
use crate::units::{BatchIndex, Epoch, Level, NodeIndex, Slice};
use crate::workers::Workers;
use keymill_xmss::arena::ArenaOverflow;
use keymill_xmss::hash::{Kernel, PrfKey};

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
    levels: Vec<GrownLevel>,
    digest_bytes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct GrownLevel {
    first: u64,
    digests: Vec<u8>,
}

impl SubtreeSource<'_> {
    /// Computes the slices of a block from the leaves up to the level `top`; the leaves on all workers, or in a task of
    /// rayon's on its thread alone.
    pub(crate) fn grow(&self, blocks: &Batches, block: BatchIndex, top: Level) -> Result<Subtree, ArenaOverflow> {
        let mut subtree = Subtree {
            levels: Vec::new(),
            digest_bytes: self.manifest.scheme().digest_bytes(),
        };
        for level in (0..=top.0).map(Level) {
            let nodes = blocks.slice(block, level);
            let slice = Slice { level, nodes };
            let digests = match subtree.levels.last() {
                None => self.digests(&slice, |first, leaves| self.leaves(first, leaves)),
                Some(below) => self.digests(&slice, |first, parents| {
                    self.kernel.parents(level, NodeIndex(first), &below.digests, parents);
                    Ok(())
                }),
            }?;
            let first = slice.nodes.start;
            subtree.levels.push(GrownLevel { first, digests });
        }
        Ok(subtree)
    }

    /// A slice with its fillers, of which `compute` makes the nodes that are none, given the first of them.
    fn digests(
        &self,
        slice: &Slice,
        compute: impl FnOnce(u64, &mut [u8]) -> Result<(), ArenaOverflow>,
    ) -> Result<Vec<u8>, ArenaOverflow> {
        let digest_bytes = self.manifest.scheme().digest_bytes();
        let computed = self.manifest.plan().geometry().computed(slice).nodes;
        let offset = |node: u64| (node - slice.nodes.start) as usize * digest_bytes;
        let mut digests = vec![0; offset(slice.nodes.end)];
        compute(
            computed.start,
            &mut digests[offset(computed.start)..offset(computed.end)],
        )?;
        self.manifest.fillers().put(slice, &mut digests);
        Ok(digests)
    }

    fn leaves(&self, first: u64, leaves: &mut [u8]) -> Result<(), ArenaOverflow> {
        let lanes = self.kernel.lanes();
        let block_bytes = lanes * self.manifest.scheme().digest_bytes();
        let compute = |(block, leaves): (usize, &mut [u8])| {
            let first = Epoch((first + (block * lanes) as u64) as u32);
            self.workers
                .with_arena(|arena| self.kernel.leaves(self.prf_key, first, leaves, arena))
        };
        // Who waits for others in a task of rayon's takes up another task meanwhile, on the same stack: as many paths as are asked
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
        let level = self.levels.get(usize::from(level.0))?;
        let position = usize::try_from(node.0.checked_sub(level.first)?).ok()?;
        level.digests.chunks_exact(self.digest_bytes).nth(position)
    }

    /// The digests of its highest level.
    pub(crate) fn top(&self) -> &[u8] {
        self.levels.last().map_or(&[], |level| &level.digests)
    }
}
