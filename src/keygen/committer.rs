//! The side of the pipeline that writes: groups of batches to the layer files, and their records to the store.

use std::sync::mpsc::{Receiver, Sender};

use super::KeygenError;
use super::batch::BatchBuffer;
use super::history::History;
use super::progress::{Event, Progress};
use crate::keydir::Manifest;
use crate::layers::{LayerWriter, Touched};
use crate::state::{BatchRecord, ProgressRecord, Store};
use crate::time::unix_ms;

/// Commits what the workers have computed. Any error here ends the job: a sync that failed once may seem to succeed when
/// it is repeated, although the data is gone (docs/DURABILITY.md).
pub(crate) struct Committer<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) writer: &'a mut LayerWriter,
    pub(crate) store: &'a Store,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) history: &'a mut History,
    pub(crate) record: ProgressRecord,
}

impl Committer<'_> {
    pub(super) fn commit_all(
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
        let history = self.history.note(self.store, &self.record);
        self.store.commit_batches_recording(&records, &self.record, history)?;
        touched.release(self.writer)?;
        self.progress.event(Event::Committed { epochs });
        Ok(())
    }
}
