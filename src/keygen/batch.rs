//! Computing one batch: its leaves, block by block, and the levels above them.

use std::path::Path;

use memmap2::MmapMut;

use super::cancel::CancelHandle;
use super::progress::{Event, Progress};
use crate::failure::{IoFailure, attempt};
use crate::keydir::Manifest;
use crate::resources::{Registration, ResourceKind, register};
use crate::units::{BatchIndex, Epoch, Level, Slice};
use keymill_xmss::arena::{Arena, ArenaOverflow};
use keymill_xmss::hash::{Kernel, PrfKey};

/// Everything that is needed to compute any batch of a key.
pub(crate) struct BatchComputer<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) kernel: &'a dyn Kernel,
    pub(crate) prf_key: &'a PrfKey,
    pub(crate) cancel: &'a CancelHandle,
    pub(crate) progress: &'a dyn Progress,
}

/// Room for the slices of one batch, from the leaves upward, without gaps.
#[derive(Default)]
pub(super) struct BatchBuffer {
    pub(super) batch: BatchIndex,
    /// Blocks of leaves that are not in it yet.
    blocks_left: usize,
    /// A mapping, so that its memory goes back to the operating system when it is freed: an allocator would keep it.
    memory: Option<(MmapMut, Registration)>,
}

impl BatchBuffer {
    #[track_caller]
    pub(super) fn new(bytes: usize) -> Result<Self, IoFailure> {
        let mut buffer = Self::default();
        buffer.renew(bytes)?;
        Ok(buffer)
    }

    /// Gets memory for a buffer that has none.
    #[track_caller]
    pub(super) fn renew(&mut self, bytes: usize) -> Result<(), IoFailure> {
        let mapping = attempt("mmap", Path::new("anonymous memory"), || MmapMut::map_anon(bytes))?;
        self.memory = Some((mapping, register(ResourceKind::Buffer, bytes as u64)));
        Ok(())
    }

    /// Gives its memory back.
    pub(super) fn free(&mut self) {
        self.memory = None;
    }

    /// Begins another batch, of so many blocks.
    pub(super) fn begin(&mut self, batch: BatchIndex, blocks: usize) {
        self.batch = batch;
        self.blocks_left = blocks;
    }

    #[cfg(test)]
    pub(super) fn fill(&mut self, byte: u8) {
        self.bytes_mut().fill(byte);
    }

    fn bytes(&self) -> &[u8] {
        match &self.memory {
            Some((mapping, _)) => mapping,
            None => &[],
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.memory {
            Some((mapping, _)) => mapping,
            None => &mut [],
        }
    }

    /// The slices of the batch that are stored, with their bytes.
    pub(super) fn slices(&self, manifest: &Manifest) -> impl Iterator<Item = (Slice, &[u8])> {
        let plan = manifest.plan();
        let digest_bytes = plan.scheme().digest_bytes();
        let mut rest = self.bytes();
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
    /// Number of blocks in a batch. A block has as many epochs as the kernel has lanes; the last one can have fewer.
    pub(super) fn blocks(&self, batch: BatchIndex) -> usize {
        let epochs = self.manifest.plan().batches().epochs(batch).count() as usize;
        epochs.div_ceil(self.kernel.lanes())
    }

    /// Computes the leaves of a block.
    pub(super) fn leaves<'m>(
        &self,
        batch: BatchIndex,
        block: usize,
        arena: &'m Arena,
    ) -> Result<&'m [u8], ArenaOverflow> {
        let epochs = self.manifest.plan().batches().epochs(batch);
        let lanes = self.kernel.lanes() as u64;
        let first = epochs.start + block as u64 * lanes;
        let count = lanes.min(epochs.end - first);
        let leaves = arena.slice(count as usize * self.manifest.scheme().digest_bytes(), 0)?;
        self.kernel.leaves(self.prf_key, Epoch(first as u32), leaves, arena)?;
        self.progress.event(Event::Computed { epochs: count });
        Ok(leaves)
    }

    /// Puts the leaves of a block into their place, and says whether they were the last.
    pub(super) fn place(&self, buffer: &mut BatchBuffer, block: usize, leaves: &[u8]) -> bool {
        let batch = buffer.batch;
        let slice = self.slice(batch, Level(0));
        let (digests, _) = buffer.bytes_mut().split_at_mut(self.slice_bytes(&slice));
        let (_, computed) = self.manifest.fold(self.kernel).computed(&slice, digests);
        let offset = block * self.kernel.lanes() * self.manifest.scheme().digest_bytes();
        computed[offset..][..leaves.len()].copy_from_slice(leaves);
        buffer.blocks_left -= 1;
        buffer.blocks_left == 0
    }

    /// Computes the levels above the leaves, when all of these are in their places.
    pub(super) fn fold(&self, buffer: &mut BatchBuffer) {
        let batch = buffer.batch;
        let fold = self.manifest.fold(self.kernel);
        let leaves_bytes = self.slice_bytes(&self.slice(batch, Level(0)));
        let (mut lower, mut rest) = buffer.bytes_mut().split_at_mut(leaves_bytes);
        for level in self.manifest.plan().batches().levels().skip(1) {
            let slice = self.slice(batch, level);
            let (upper, after) = rest.split_at_mut(self.slice_bytes(&slice));
            fold.fold(&slice, lower, upper);
            (lower, rest) = (upper, after);
        }
    }

    fn slice(&self, batch: BatchIndex, level: Level) -> Slice {
        let nodes = self.manifest.plan().batches().slice(batch, level);
        Slice { level, nodes }
    }

    fn slice_bytes(&self, slice: &Slice) -> usize {
        slice.count() * self.manifest.scheme().digest_bytes()
    }
}
