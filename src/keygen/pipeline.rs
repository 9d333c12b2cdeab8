//! Batches are computed in one stream, and committed in groups: while one group is written, synced and committed, the
//! workers are on the next.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::ThreadPool;
use rayon::iter::{ParallelBridge, ParallelIterator};

use super::KeygenError;
use super::batch::{BatchBuffer, BatchComputer};
use super::committer::Committer;
use crate::plan::MemoryPlan;
use crate::units::BatchIndex;

/// One is computed, one is committed.
const GROUPS: usize = 2;

/// Computes and commits batches. Returns the number of epochs that it committed.
pub(crate) fn run(
    computer: &BatchComputer<'_>,
    pool: &ThreadPool,
    memory: &MemoryPlan,
    batches: impl Iterator<Item = BatchIndex> + Send,
    committer: Committer<'_>,
) -> Result<u64, KeygenError> {
    let plan = computer.manifest.plan();
    let (to_commit, complete) = channel::<BatchBuffer>();
    let (to_reuse, free) = channel::<BatchBuffer>();
    for _ in 0..GROUPS * memory.group_batches {
        // The receiver lives in this function.
        let _ = to_reuse.send(BatchBuffer::new(plan.batch_bytes()));
    }
    let blocks = Blocks {
        computer,
        batches,
        free,
        open: None,
    };
    std::thread::scope(|scope| {
        let committer = scope.spawn(move || committer.commit_all(&complete, &to_reuse, memory.group_batches));
        pool.install(|| compute_all(computer, blocks, &to_commit));
        // The committer ends when nobody can send to it any more.
        drop(to_commit);
        match committer.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Feeds the committer until there is nothing left, the job is cancelled, or the committer is gone after an error.
fn compute_all(
    computer: &BatchComputer<'_>,
    blocks: Blocks<'_, impl Iterator<Item = BatchIndex> + Send>,
    to_commit: &Sender<BatchBuffer>,
) {
    let outcome = blocks.par_bridge().try_for_each_init(Vec::new, |leaves, block| {
        computer.leaves(block.of.batch, block.number, leaves);
        match block.of.place(computer, block.number, leaves) {
            Some(mut buffer) => {
                computer.fold(&mut buffer);
                to_commit.send(buffer)
            }
            None => Ok(()),
        }
    });
    // A committer that is gone says itself why.
    drop(outcome);
}

/// A batch whose leaves are being computed, by any number of workers.
struct OpenBatch {
    batch: BatchIndex,
    filling: Mutex<Filling>,
}

struct Filling {
    /// None once all leaves are in it.
    buffer: Option<BatchBuffer>,
    blocks_left: usize,
}

impl OpenBatch {
    fn new(computer: &BatchComputer<'_>, buffer: BatchBuffer) -> Self {
        Self {
            batch: buffer.batch,
            filling: Mutex::new(Filling {
                blocks_left: computer.blocks(buffer.batch),
                buffer: Some(buffer),
            }),
        }
    }

    /// Takes the leaves of a block, and gives the buffer when no other block is missing.
    fn place(&self, computer: &BatchComputer<'_>, number: usize, leaves: &[u8]) -> Option<BatchBuffer> {
        // A worker that panics takes the whole job with it.
        let mut filling = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        computer.place(filling.buffer.as_mut()?, number, leaves);
        filling.blocks_left -= 1;
        match filling.blocks_left {
            0 => filling.buffer.take(),
            _ => None,
        }
    }
}

/// A block of leaves that a worker is to compute.
struct Block {
    of: Arc<OpenBatch>,
    number: usize,
}

/// All blocks of all batches, in order: a worker that is done with a block goes on with the next, whichever batch it is of.
/// Where there is no free buffer, it waits for the committer.
struct Blocks<'a, B> {
    computer: &'a BatchComputer<'a>,
    batches: B,
    free: Receiver<BatchBuffer>,
    /// The batch that is handed out, and its next block.
    open: Option<(Arc<OpenBatch>, usize)>,
}

impl<B: Iterator<Item = BatchIndex>> Iterator for Blocks<'_, B> {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        if self.computer.cancel.is_cancelled() {
            return None;
        }
        let (of, number) = match self.open.take() {
            Some(open) => open,
            None => {
                let batch = self.batches.next()?;
                let mut buffer = self.free.recv().ok()?;
                buffer.batch = batch;
                (Arc::new(OpenBatch::new(self.computer, buffer)), 0)
            }
        };
        if number + 1 < self.computer.blocks(of.batch) {
            self.open = Some((Arc::clone(&of), number + 1));
        }
        Some(Block { of, number })
    }
}
