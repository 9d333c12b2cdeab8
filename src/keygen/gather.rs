//! A key whose batches were made elsewhere: they are put in, and what follows is that of every job.

use super::cancel::CancelHandle;
use super::committer::arena_record;
use super::done_set::DoneSet;
use super::job::{KeygenJob, Summary};
use super::progress::{Event, Phase, Progress};
use super::recovery;
use crate::error::Result;
use crate::files::Entry;
use crate::keydir::Manifest;
use crate::layers::{DirtyNodes, LayerWriter, NodeFile, levels_in_parts};
use crate::state::{BatchRecord, ProgressRecord, Store};
use crate::time::steady_unix_ms;
use crate::units::{BatchIndex, EpochRange, Slice};
use crate::workers::Workers;
use keymill_xmss::hash::{Kernel, PrfKey};

/// A batch with the digests of its slices, from the lowest level that is stored upward.
pub(crate) struct GatheredBatch {
    pub(crate) batch: BatchIndex,
    pub(crate) slices: Vec<Vec<u8>>,
}

/// The key that batches are put into, and what they can be compared with.
pub(crate) struct Gathering<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) kernel: &'a dyn Kernel,
    pub(crate) prf_key: &'a PrfKey,
    pub(crate) workers: &'a Workers,
    pub(crate) cancel: &'a CancelHandle,
    pub(crate) progress: &'a dyn Progress,
    /// The directory for the files of parts, if the key adopts them.
    pub(crate) adopted_parts: Option<&'a Entry>,
    writer: &'a mut LayerWriter,
    store: &'a Store,
    /// Batches that are there.
    kept: DoneSet,
    record: ProgressRecord,
    touched: DirtyNodes,
}

/// What came of it.
pub(crate) struct Gathered<T> {
    /// What putting batches in has given; none for a key that was sealed before.
    pub(crate) told: Option<T>,
    /// Epochs whose batches are still missing, run by run.
    pub(crate) missing: Vec<EpochRange>,
    /// The key is finished.
    pub(crate) summary: Option<Summary>,
}

impl Gathering<'_> {
    /// Takes back what was put in of something that is wrong in the end: what has no record is not in the key.
    pub(crate) fn forget(&mut self, put_in: &[BatchIndex]) -> Result<()> {
        let batches = self.manifest.plan().batches();
        let positions = put_in.iter().filter_map(|batch| batches.position(*batch));
        positions.for_each(|position| self.kept.remove(position));
        let keys = put_in.iter().map(|batch| Ok(Store::batch_key(*batch)));
        self.store.remove_batches(keys).map(drop)
    }

    /// Takes in the file of a part that was moved to its place. What is in it becomes a part of the key as its batches are committed.
    pub(crate) fn adopt(&mut self, file: &NodeFile) -> Result<()> {
        self.writer.adopt(file)
    }

    /// How many parts are adopted.
    pub(crate) fn adopted(&self) -> usize {
        self.writer.adopted()
    }

    /// Forgets the file of a part, which is wrong or not done with: no record stands for what is in it.
    pub(crate) fn expel(&mut self, epochs: EpochRange) -> Result<()> {
        let height = self.manifest.plan().batches().root_level().0;
        let batches: Vec<BatchIndex> = (epochs.start >> height..((epochs.end - 1) >> height) + 1)
            .map(BatchIndex)
            .collect();
        self.forget(&batches)?;
        self.writer.expel(epochs);
        Ok(())
    }

    /// Epochs of a part that is adopted and has some of these too.
    pub(crate) fn overlapping(&self, epochs: EpochRange) -> Option<EpochRange> {
        self.writer.overlapping(epochs)
    }

    /// Whether every batch of these epochs is in the key.
    pub(crate) fn has_all(&self, epochs: EpochRange) -> bool {
        let batches = self.manifest.plan().batches();
        let height = batches.root_level().0;
        let mut indices = epochs.start >> height..((epochs.end - 1) >> height) + 1;
        indices.all(|batch| {
            let position = batches.position(BatchIndex(batch));
            position.is_some_and(|position| self.kept.has(position))
        })
    }

    /// Writes the nodes of some batches, makes them durable, and then commits their records: the order of every commit
    /// (docs/DURABILITY.md).
    pub(crate) fn commit(&mut self, group: &[GatheredBatch]) -> Result<()> {
        let batches = self.manifest.plan().batches();
        self.touched.clear();
        let mut records = Vec::with_capacity(group.len());
        let mut epochs = 0;
        // What the files of adopted parts have is durable and in its place.
        let passed_over = match self.adopted_parts {
            Some(_) => levels_in_parts(self.manifest.plan()),
            None => 0..0,
        };
        for GatheredBatch { batch, slices } in group {
            let mut slice_crc32 = Vec::with_capacity(slices.len());
            for (level, bytes) in batches.stored_levels().zip(slices) {
                slice_crc32.push(crc32fast::hash(bytes));
                if passed_over.contains(&level.0) {
                    continue;
                }
                let nodes = batches.slice(*batch, level);
                let slice = Slice { level, nodes };
                self.writer.write(&slice, bytes)?;
                self.touched.add(&slice);
            }
            records.push((*batch, BatchRecord { slice_crc32 }));
            // Parts may overlap.
            let position = batches.position(*batch).filter(|position| !self.kept.has(*position));
            if let Some(position) = position {
                self.kept.insert(position);
                epochs += batches.epochs(*batch).count();
            }
        }
        self.touched.sync(self.writer)?;
        self.record.batches_done = self.kept.count();
        self.record.committed_unix_ms = steady_unix_ms();
        self.store.commit_batches(&records, &self.record)?;
        self.touched.release(self.writer)?;
        self.progress.event(Event::Computed { epochs });
        self.progress.event(Event::Committed {
            epochs,
            batches_done: self.record.batches_done,
            batches_in_flight_max: group.len() as u64,
            store_bytes: self.store.written_bytes(),
        });
        Ok(())
    }
}

impl KeygenJob {
    /// Lets `gather` put in batches that were made elsewhere, checks all that are there then, and seals the key if none is missing.
    ///
    /// # Errors
    /// [`Error`](crate::Error); what was committed is kept.
    pub(crate) fn gather<T>(
        self,
        kernel: &dyn Kernel,
        progress: &dyn Progress,
        gather: impl FnOnce(&mut Gathering<'_>) -> Result<T>,
    ) -> Result<Gathered<T>> {
        self.put_in(kernel, progress, gather)
            .map_err(|error| self.cancel.or_reason(error))
    }

    fn put_in<T>(
        &self,
        kernel: &dyn Kernel,
        progress: &dyn Progress,
        gather: impl FnOnce(&mut Gathering<'_>) -> Result<T>,
    ) -> Result<Gathered<T>> {
        let manifest = self.prepared.key.manifest();
        let Some((memory, locked)) = &self.prepared.work else {
            return Ok(Gathered {
                told: None,
                missing: Vec::new(),
                summary: Some(self.summary(manifest, None)),
            });
        };
        let prf_key = self.prepared.key.prf_key()?;
        let plan = manifest.plan();
        let parts = locked.adopted_parts(plan.trim());
        let adopted_parts = if parts.exists()? { Some(&parts) } else { None };
        let open = match adopted_parts {
            Some(_) => LayerWriter::open_to_adopt,
            None => LayerWriter::open,
        };
        let mut writer = open(self.medium.as_ref(), &locked.layers(), plan, &manifest.binding())?;
        let store = Store::open_with(&locked.state(), &manifest.binding(), memory.store)?;
        let workers = Workers::start(memory.threads, memory.arena_bytes)?;
        progress.event(Event::Phase(Phase::Checking));
        let kept = recovery::check_batches(plan, &writer, &store, &self.cancel, progress)?;
        let epochs = plan.stored().count();
        let missing: u64 = missing_epochs(manifest, &kept).iter().map(|run| run.count()).sum();
        progress.event(Event::Phase(Phase::Generating));
        let epochs_done = epochs - missing;
        progress.event(Event::Resuming { epochs, epochs_done });
        let told = gather(&mut Gathering {
            manifest,
            kernel,
            prf_key: &prf_key,
            workers: &workers,
            cancel: &self.cancel,
            progress,
            record: ProgressRecord {
                batches_done: kept.count(),
                run_started_unix_ms: steady_unix_ms(),
                ..ProgressRecord::default()
            },
            kept,
            adopted_parts,
            writer: &mut writer,
            store: &store,
            touched: DirtyNodes::default(),
        })?;
        progress.event(Event::Phase(Phase::Checking));
        let kept = recovery::check_batches(plan, &writer, &store, &self.cancel, progress)?;
        let missing = missing_epochs(manifest, &kept);
        let told = Some(told);
        if !missing.is_empty() {
            let summary = None;
            return Ok(Gathered { told, missing, summary });
        }
        let sealed = self.finish_tree(locked, kernel, &mut writer, &store, progress)?;
        let summary = Some(self.summary(&sealed, Some((0, arena_record(&workers)))));
        Ok(Gathered { told, missing, summary })
    }
}

/// The epochs of the batches that are not in a set, run by run.
fn missing_epochs(manifest: &Manifest, kept: &DoneSet) -> Vec<EpochRange> {
    let batches = manifest.plan().batches();
    let mut missing: Vec<EpochRange> = Vec::new();
    for batch in kept.pending(batches) {
        let epochs = batches.epochs(batch);
        match missing.last_mut() {
            Some(run) if run.end == epochs.start => run.end = epochs.end,
            _ => missing.push(epochs),
        }
    }
    missing
}
