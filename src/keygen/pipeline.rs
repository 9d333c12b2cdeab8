//! Groups of batches: one is computed while the one before it is written, synced and committed.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use rayon::ThreadPool;
use rayon::iter::{IntoParallelRefMutIterator, ParallelIterator};

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

type Group = Vec<BatchBuffer>;

/// Computes and commits batches. Returns the number of epochs that it committed.
pub(crate) fn run(
    computer: &BatchComputer<'_>,
    pool: &ThreadPool,
    memory: &MemoryPlan,
    batches: impl Iterator<Item = BatchIndex>,
    committer: Committer<'_>,
) -> Result<u64, KeygenError> {
    let plan = computer.manifest.plan();
    let (to_commit, committing) = sync_channel::<Group>(1);
    let (to_reuse, free) = channel::<Group>();
    for _ in 0..GROUPS {
        let buffers = (0..memory.group_batches).map(|_| BatchBuffer::new(plan.batch_bytes()));
        // The receiver lives in this function.
        let _ = to_reuse.send(buffers.collect());
    }
    std::thread::scope(|scope| {
        let committer = scope.spawn(move || committer.commit_all(&committing, &to_reuse));
        compute_all(computer, pool, batches, &free, &to_commit);
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
    pool: &ThreadPool,
    mut batches: impl Iterator<Item = BatchIndex>,
    free: &Receiver<Group>,
    to_commit: &SyncSender<Group>,
) {
    while let Ok(mut group) = free.recv() {
        let mut named = 0;
        for (buffer, batch) in group.iter_mut().zip(&mut batches) {
            buffer.batch = batch;
            named += 1;
        }
        let (used, unused) = group.split_at_mut(named);
        unused.iter_mut().for_each(|buffer| buffer.complete = false);
        if used.is_empty() || computer.cancel.is_cancelled() {
            return;
        }
        pool.install(|| used.par_iter_mut().for_each(|buffer| computer.compute(buffer)));
        if to_commit.send(group).is_err() {
            return;
        }
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
    fn commit_all(mut self, groups: &Receiver<Group>, to_reuse: &Sender<Group>) -> Result<u64, KeygenError> {
        while let Ok(group) = groups.recv() {
            self.commit(&group)?;
            // Nobody may be waiting for it any more.
            let _ = to_reuse.send(group);
        }
        Ok(self.record.run_epochs)
    }

    /// Write, sync, commit, release: in this order, see docs/DURABILITY.md.
    fn commit(&mut self, group: &[BatchBuffer]) -> Result<(), KeygenError> {
        let mut touched = Touched::default();
        let mut records = Vec::with_capacity(group.len());
        let mut epochs = 0;
        for buffer in group.iter().filter(|buffer| buffer.complete) {
            let mut slice_crc32 = Vec::new();
            for (slice, bytes) in buffer.slices(self.manifest) {
                self.writer.write(&slice, bytes)?;
                touched.add(&slice);
                slice_crc32.push(crc32fast::hash(bytes));
            }
            records.push((buffer.batch, BatchRecord { slice_crc32 }));
            epochs += self.manifest.plan().batches().epochs(buffer.batch).count();
        }
        if records.is_empty() {
            return Ok(());
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
