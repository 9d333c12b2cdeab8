//! The rounds of a job: check what is there, compute what is missing, commit it, and check again.

use super::batch::BatchComputer;
use super::committer::Committer;
use super::done_set::DoneSet;
use super::error::disk_unreliable;
use super::governor::Governor;
use super::group_size::GroupSize;
use super::in_flight::InFlight;
use super::pipeline;
use super::progress::{Event, Phase};
use crate::error::Result;
use crate::files::parent_of;
use crate::layers::LayerWriter;
use crate::plan::MemoryPlan;
use crate::state::{ProgressRecord, Store};
use crate::time::steady_unix_ms;
use crate::workers::Workers;

/// Times that batches are computed before the disk is given up.
const ROUNDS_MAX: u32 = 3;

/// What a check found.
pub(crate) struct Checked {
    /// Batches that are not computed.
    pub(crate) kept: DoneSet,
    /// Batches that are on disk with their record.
    pub(crate) batches_done: u64,
}

/// What batches are computed and committed with.
pub(crate) struct Rounds<'a> {
    pub(crate) computer: &'a BatchComputer<'a>,
    pub(crate) memory: &'a MemoryPlan,
    pub(crate) workers: &'a Workers,
    pub(crate) store: &'a Store,
}

impl Rounds<'_> {
    /// Computes and commits whatever `check` does not find, and lets it check again, until it finds every batch. Gives the
    /// number of epochs that were computed.
    pub(crate) fn fill(
        &self,
        writer: &mut LayerWriter,
        mut check: impl FnMut(&LayerWriter) -> Result<Checked>,
    ) -> Result<u64> {
        let plan = self.computer.manifest.plan();
        let batches = plan.batches();
        let in_flight = InFlight::new(GroupSize::new(self.memory.group_bounds()), plan.batch_bytes())?;
        let mut record = ProgressRecord::default();
        for _round in 0..ROUNDS_MAX {
            let Checked { kept, batches_done } = check(writer)?;
            if kept.count() == batches.count() {
                return Ok(record.run_epochs);
            }
            record.batches_done = batches_done;
            self.compute(writer, &in_flight, &kept, &mut record)?;
        }
        Err(disk_unreliable(parent_of(self.store.path()), ROUNDS_MAX))
    }

    /// Computes and commits the batches that are not kept.
    fn compute(
        &self,
        writer: &mut LayerWriter,
        in_flight: &InFlight,
        kept: &DoneSet,
        record: &mut ProgressRecord,
    ) -> Result<()> {
        let BatchComputer {
            manifest,
            cancel,
            progress,
            ..
        } = *self.computer;
        let plan = manifest.plan();
        let pending = || kept.pending(plan.batches());
        progress.event(Event::Phase(Phase::Generating));
        let missing: u64 = pending().map(|batch| plan.batches().epochs(batch).count()).sum();
        let epochs = plan.stored().count();
        progress.event(Event::Resuming {
            epochs,
            epochs_done: epochs - missing,
        });
        if record.run_epochs == 0 {
            // Checking what is there says nothing about the rate of the run.
            record.run_started_unix_ms = steady_unix_ms();
        }
        let committer = Committer {
            manifest,
            writer,
            store: self.store,
            progress,
            record: record.clone(),
            workers: self.workers,
        };
        let governor = Governor {
            memory: self.memory,
            in_flight,
            cancel,
            progress,
        };
        let pending = pending();
        record.run_epochs =
            governor.watch(|| pipeline::run(self.computer, self.workers, in_flight, pending, committer))?;
        cancel.proceed()
    }
}
