//! Batches are computed in one stream, and committed in groups: while one group is written, synced and committed, the
//! workers are on the next.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::ThreadPool;
use rayon::iter::{ParallelBridge, ParallelIterator};

use super::KeygenError;
use super::batch::{BatchBuffer, BatchComputer};
use super::progress::{Event, Progress};
use crate::keydir::Manifest;
use crate::layers::{LayerWriter, Touched};
use crate::plan::MemoryPlan;
use crate::state::{BatchRecord, ProgressRecord, Store};
use crate::time::unix_ms;
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

/// The side of the pipeline that writes. Any error here ends the job: a sync that failed once may seem to succeed when
/// it is repeated, although the data is gone (docs/DURABILITY.md).
pub(crate) struct Committer<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) writer: &'a mut LayerWriter,
    pub(crate) store: &'a Store,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) record: ProgressRecord,
}

impl Committer<'_> {
    fn commit_all(
        mut self,
        complete: &Receiver<BatchBuffer>,
        to_reuse: &Sender<BatchBuffer>,
        group_batches: usize,
    ) -> Result<u64, KeygenError> {
        let mut group = Vec::with_capacity(group_batches);
        for buffer in complete {
            group.push(buffer);
            if group.len() == group_batches {
                self.commit(&group)?;
                // Nobody may be waiting for them any more.
                group.drain(..).for_each(|buffer| drop(to_reuse.send(buffer)));
            }
        }
        // What is left at the end, or when the job is cancelled.
        self.commit(&group)?;
        Ok(self.record.run_epochs)
    }

    /// Write, sync, commit, release: in this order, see docs/DURABILITY.md.
    fn commit(&mut self, group: &[BatchBuffer]) -> Result<(), KeygenError> {
        if group.is_empty() {
            return Ok(());
        }
        let mut touched = Touched::default();
        let mut records = Vec::with_capacity(group.len());
        let mut epochs = 0;
        for buffer in group {
            let mut slice_crc32 = Vec::new();
            for (slice, bytes) in buffer.slices(self.manifest) {
                self.writer.write(&slice, bytes)?;
                touched.add(&slice);
                slice_crc32.push(crc32fast::hash(bytes));
            }
            records.push((buffer.batch, BatchRecord { slice_crc32 }));
            epochs += self.manifest.plan().batches().epochs(buffer.batch).count();
        }
        touched.sync(self.writer)?;
        self.record.batches_done += records.len() as u64;
        self.record.run_epochs += epochs;
        self.record.committed_unix_ms = unix_ms();
        self.store.commit_batches(&records, &self.record)?;
        touched.release(self.writer)?;
        self.progress.event(Event::Committed { epochs });
        Ok(())
    }
}
