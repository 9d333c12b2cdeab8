//! The side of the pipeline that writes: groups of batches to the layer files, and their records to the store.

use std::time::Instant;

use super::in_flight::{BufferSlot, InFlight};
use super::progress::{Event, Progress};
use crate::error::Result;
use crate::keydir::Manifest;
use crate::layers::{DirtyNodes, LayerWriter};
use crate::state::{ArenaRecord, BatchRecord, ProgressRecord, Store};
use crate::time::steady_unix_ms;
use crate::units::BatchIndex;
use crate::workers::Workers;

/// Commits what the workers have computed. Any error here ends the job: a sync that failed once may seem to succeed when
/// it is repeated, although the data is gone (docs/DURABILITY.md).
pub(crate) struct Committer<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) writer: &'a mut LayerWriter,
    pub(crate) store: &'a Store,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) record: ProgressRecord,
    pub(crate) workers: &'a Workers,
}

impl Committer<'_> {
    pub(super) fn commit_all(mut self, in_flight: &InFlight) -> Result<u64> {
        // Without a committer the workers have nothing to compute for.
        let _stop = in_flight.stop_when_dropped();
        let mut group = Vec::with_capacity(in_flight.batches_max());
        let mut buffers = GroupBuffers::default();
        let mut committed = Instant::now();
        loop {
            in_flight.next_group(&mut group);
            if group.is_empty() {
                return Ok(self.record.run_epochs);
            }
            let begun = Instant::now();
            self.commit(in_flight, &group, &mut buffers)?;
            let commit = begun.elapsed();
            in_flight.learn(group.len(), commit, committed.elapsed());
            committed = begun + commit;
            in_flight.give_back(&group);
        }
    }

    /// Write, sync, commit, release: in this order, see docs/DURABILITY.md.
    fn commit(
        &mut self,
        in_flight: &InFlight,
        group: &[BufferSlot],
        GroupBuffers { touched, records }: &mut GroupBuffers,
    ) -> Result<()> {
        touched.clear();
        if records.len() < group.len() {
            let slice_crc32 = Vec::new();
            records.resize(group.len(), (BatchIndex(0), BatchRecord { slice_crc32 }));
        }
        let records = &mut records[..group.len()];
        let mut epochs = 0;
        for (&place, (batch, record)) in group.iter().zip(&mut *records) {
            let buffer = in_flight.buffer(place);
            *batch = buffer.batch;
            record.slice_crc32.clear();
            for (slice, bytes) in buffer.slices(self.manifest) {
                self.writer.write(&slice, bytes)?;
                in_flight.add_unsynced(bytes.len());
                touched.add(&slice);
                record.slice_crc32.push(crc32fast::hash(bytes));
            }
            epochs += self.manifest.plan().batches().epochs(buffer.batch).count();
        }
        touched.sync(self.writer)?;
        in_flight.all_is_synced();
        self.record.batches_done += records.len() as u64;
        self.record.run_epochs += epochs;
        self.record.committed_unix_ms = steady_unix_ms();
        let arena = arena_record(self.workers);
        self.store.commit_computed(records, &self.record, Some(&arena))?;
        touched.release(self.writer)?;
        self.progress.event(Event::Committed {
            epochs,
            batches_done: self.record.batches_done,
            batches_in_flight_max: in_flight.batches() as u64,
            store_bytes: self.store.written_bytes(),
        });
        Ok(())
    }
}

/// How full the arenas of these workers were.
pub(super) fn arena_record(workers: &Workers) -> ArenaRecord {
    ArenaRecord {
        high_water_bytes: workers.arena_high_water_bytes() as u64,
        capacity_bytes: workers.arena_capacity_bytes() as u64,
    }
}

/// What a commit collects of its group, kept from one commit to the next.
#[derive(Default)]
struct GroupBuffers {
    touched: DirtyNodes,
    records: Vec<(BatchIndex, BatchRecord)>,
}
