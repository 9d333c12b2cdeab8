//! Computing one batch: its leaves, in parallel, and the levels above them.

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use super::cancel::CancelHandle;
use super::progress::{Event, Progress};
use crate::hash::{Kernel, PrfKey};
use crate::keydir::Manifest;
use crate::units::{BatchIndex, Epoch, Level, NodeIndex, Slice};

/// Everything that is needed to compute any batch of a key.
pub(crate) struct BatchComputer<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) kernel: &'a dyn Kernel,
    pub(crate) prf_key: &'a PrfKey,
    pub(crate) cancel: &'a CancelHandle,
    pub(crate) progress: &'a dyn Progress,
}

/// Room for the slices of one batch, from the leaves upward, without gaps.
pub(super) struct BatchBuffer {
    pub(super) batch: BatchIndex,
    /// Whether every node has been computed; a cancelled batch is never written.
    pub(super) complete: bool,
    bytes: Vec<u8>,
}

impl BatchBuffer {
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            batch: BatchIndex(0),
            complete: false,
            bytes: vec![0; bytes],
        }
    }

    /// The slices of the batch that are stored, with their bytes.
    pub(super) fn slices(&self, manifest: &Manifest) -> impl Iterator<Item = (Slice, &[u8])> {
        let plan = manifest.plan();
        let digest_bytes = plan.scheme().digest_bytes();
        let mut rest = &self.bytes[..];
        let slices = plan.batches().levels().map(move |level| {
            let nodes = plan.batches().slice(self.batch, level);
            let length = (nodes.end - nodes.start) as usize * digest_bytes;
            let (bytes, after) = rest.split_at(length);
            rest = after;
            (Slice { level, nodes }, bytes)
        });
        slices.skip(usize::from(plan.trim().0))
    }
}

impl BatchComputer<'_> {
    /// Fills the buffer with the batch that it names. Returns at once, leaving it incomplete, when the job is cancelled.
    pub(super) fn compute(&self, buffer: &mut BatchBuffer) {
        buffer.complete = false;
        let batch = buffer.batch;
        let root_level = self.manifest.plan().batches().root_level();
        let (mut lower, mut rest) = self.split(batch, Level(0), &mut buffer.bytes);
        self.leaves(batch, lower);
        let mut level = Level(0);
        while level < root_level {
            if self.cancel.is_cancelled() {
                return;
            }
            level = level.up();
            let (upper, after) = self.split(batch, level, rest);
            self.parents(batch, level, lower, upper);
            (lower, rest) = (upper, after);
        }
        buffer.complete = !self.cancel.is_cancelled();
    }

    fn leaves(&self, batch: BatchIndex, slice: &mut [u8]) {
        let epochs = self.manifest.plan().batches().epochs(batch);
        let leaves = self.computed_part(batch, Level(0), slice);
        let lanes = self.kernel.lanes();
        let digest_bytes = self.manifest.scheme().digest_bytes();
        leaves
            .par_chunks_mut(lanes * digest_bytes)
            .enumerate()
            .for_each(|(block, leaves)| {
                if self.cancel.is_cancelled() {
                    return;
                }
                let first = Epoch((epochs.start + (block * lanes) as u64) as u32);
                self.kernel.leaves(self.prf_key, first, leaves);
                let epochs = (leaves.len() / digest_bytes) as u64;
                self.progress.event(Event::Computed { epochs });
            });
    }

    fn parents(&self, batch: BatchIndex, level: Level, children: &[u8], slice: &mut [u8]) {
        let plan = self.manifest.plan();
        let below = plan.batches().slice(batch, Level(level.0 - 1));
        let first = NodeIndex(below.start / 2);
        let parents = self.computed_part(batch, level, slice);
        self.kernel.parents(level, first, children, parents);
    }

    /// Puts the fillers of a slice into their places and gives what is left between them.
    fn computed_part<'s>(&self, batch: BatchIndex, level: Level, slice: &'s mut [u8]) -> &'s mut [u8] {
        let plan = self.manifest.plan();
        if level == plan.batches().root_level() {
            return slice;
        }
        let digest_bytes = plan.scheme().digest_bytes();
        let nodes = plan.batches().slice(batch, level);
        let offset = |node: u64| (node - nodes.start) as usize * digest_bytes;
        for (node, digest) in self.manifest.fillers().of_level(level) {
            if nodes.contains(&node.0) {
                slice[offset(node.0)..][..digest_bytes].copy_from_slice(digest);
            }
        }
        let computed = &plan.geometry().level(level).computed;
        let first = nodes.start.max(computed.start);
        let end = nodes.end.min(computed.end);
        &mut slice[offset(first)..offset(end)]
    }

    fn split<'s>(&self, batch: BatchIndex, level: Level, bytes: &'s mut [u8]) -> (&'s mut [u8], &'s mut [u8]) {
        let plan = self.manifest.plan();
        let nodes = plan.batches().slice(batch, level);
        let length = (nodes.end - nodes.start) as usize * plan.scheme().digest_bytes();
        bytes.split_at_mut(length)
    }
}
