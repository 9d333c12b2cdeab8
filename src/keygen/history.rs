//! What a job tells posterity: samples of itself at its commits, how it ended, and which batches it had to compute again.
//!
//! It goes into the writes that are made anyway, so it costs no sync, and cannot fail alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::KeygenError;
use crate::memory::ProcessMemory;
use crate::plan::MemoryPlan;
use crate::state::{
    HistoryChange, KeyHistory, Marks, ProgressRecord, Run, RunCommand, RunEnd, Sample, StateError, Store,
};
use crate::time::steady_unix_ms;
use crate::units::BatchIndex;

/// Most samples of a key over its whole life. When there are as many, every second one goes.
pub(super) const SAMPLES_MAX: usize = 1024;
/// Most runs that are told apart. The first and the last sample of each is kept, so this is well below the half.
pub(super) const RUNS_MAX: usize = 256;
/// Least time between two samples of a new key. A job of a second has a few of them, and one of a week no more than fit.
pub(super) const INTERVAL_MS: u64 = 250;
/// No batch has been begun.
const NONE: u64 = u64::MAX;

impl From<&KeygenError> for RunEnd {
    fn from(error: &KeygenError) -> Self {
        match error {
            KeygenError::Interrupted => Self::Interrupted,
            KeygenError::MemoryShort { .. } => Self::OutOfBudget,
            _ => Self::Failed,
        }
    }
}

/// A sample that stands in the store: enough of it to decide whether it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kept {
    number: u64,
    run: u64,
    unix_ms: u64,
}

/// The history of a key while a run adds to it.
pub(crate) struct History {
    /// This run.
    run: Run,
    /// Those before.
    runs: Vec<Run>,
    samples: Vec<Kept>,
    redone: Marks,
    damaged: Marks,
    /// What the last job had begun that did not end in order.
    begun_by_crashed: Option<u64>,
    begun: Arc<AtomicU64>,
    planned_bytes: u64,
    budget_bytes: u64,
    written_before: u64,
    /// What is to be written; kept for its room.
    changes: Vec<HistoryChange>,
}

impl History {
    /// Begins a run, and says so in the store.
    pub(crate) fn begin(store: &Store, command: RunCommand, memory: &MemoryPlan) -> Result<Self, StateError> {
        let (known, numbers) = store.history()?.unwrap_or_default();
        let KeyHistory {
            samples,
            runs,
            redone,
            damaged,
        } = known;
        let kept = |(sample, number): (Sample, u64)| Kept {
            number,
            run: sample.run,
            unix_ms: sample.unix_ms,
        };
        // All the room that they ever take, so that a commit allocates nothing.
        let mut kept_samples = Vec::with_capacity(samples.len().max(SAMPLES_MAX));
        kept_samples.extend(samples.into_iter().zip(numbers).map(kept));
        let last = runs.last();
        let run = Run {
            number: last.map_or(0, |last| last.number.saturating_add(last.runs)),
            runs: 1,
            command,
            started_unix_ms: steady_unix_ms(),
            seen_unix_ms: steady_unix_ms(),
            end: None,
            begun: None,
            epochs: 0,
            peak_bytes: 0,
            interval_ms: last.map_or(INTERVAL_MS, |last| last.interval_ms.max(INTERVAL_MS)),
            written_bytes: last.map_or(0, |last| last.written_bytes),
        };
        let job_before = runs.iter().rev().find(|run| run.command == RunCommand::Keygen);
        let crashed = job_before.filter(|run| matches!(run.end, None | Some(RunEnd::Failed)));
        let mut history = Self {
            begun_by_crashed: crashed.and_then(|run| run.begun),
            samples: kept_samples,
            redone,
            damaged,
            begun: Arc::new(AtomicU64::new(NONE)),
            planned_bytes: memory.anonymous_bytes,
            budget_bytes: memory.budget.as_ref().map_or(0, |budget| budget.bytes),
            written_before: run.written_bytes,
            run,
            runs,
            changes: Vec::new(),
        };
        history.tell_oldest_together();
        history.write(store)?;
        Ok(history)
    }

    /// Batches as they are handed out to workers; how far that is belongs to what a commit notes.
    pub(crate) fn handing_out<I: Iterator<Item = BatchIndex>>(
        &self,
        batches: I,
    ) -> impl Iterator<Item = BatchIndex> + use<I> {
        let begun = Arc::clone(&self.begun);
        batches.inspect(move |batch| begun.store(batch.0, Ordering::Relaxed))
    }

    /// Notes batches that did not match, before they lose their records.
    pub(crate) fn note_damaged(
        &mut self,
        store: &Store,
        batches: impl Iterator<Item = BatchIndex>,
    ) -> Result<(), StateError> {
        let mut changed = false;
        batches.for_each(|batch| changed |= self.damaged.insert(batch));
        if changed {
            self.changes.push(HistoryChange::Damaged(self.damaged.clone()));
            self.write(store)?;
        }
        Ok(())
    }

    /// Notes which of the batches that are not done were in flight when the job before this one ended without order.
    pub(crate) fn note_redone(
        &mut self,
        store: &Store,
        pending: impl Iterator<Item = BatchIndex>,
    ) -> Result<(), StateError> {
        let Some(begun) = self.begun_by_crashed.take() else {
            return Ok(());
        };
        let mut changed = false;
        for batch in pending.take_while(|batch| batch.0 <= begun) {
            changed |= !self.damaged.contains(batch) && self.redone.insert(batch);
        }
        if changed {
            self.changes.push(HistoryChange::Redone(self.redone.clone()));
            self.write(store)?;
        }
        Ok(())
    }

    /// What a commit is to write beside its records.
    pub(crate) fn note(
        &mut self,
        store: &Store,
        progress: &ProgressRecord,
        in_flight_batches: usize,
    ) -> &[HistoryChange] {
        self.changes.clear();
        // Where there is no /proc, nothing is known.
        let memory = ProcessMemory::read().unwrap_or_default();
        let begun = self.begun.load(Ordering::Relaxed);
        self.run.begun = (begun != NONE).then_some(begun);
        self.run.epochs = progress.run_epochs;
        self.seen(store, progress.committed_unix_ms, &memory);
        let sample = Sample {
            run: self.run.number,
            unix_ms: progress.committed_unix_ms,
            run_epochs: progress.run_epochs,
            batches_done: progress.batches_done,
            anonymous_bytes: memory.anonymous_bytes,
            file_bytes: memory.file_bytes,
            planned_bytes: self.planned_bytes,
            budget_bytes: self.budget_bytes,
            in_flight_batches: in_flight_batches as u64,
            written_bytes: self.run.written_bytes,
        };
        if self.samples.last().is_none_or(|last| last.run != self.run.number) {
            // From here on the rate is counted.
            let start = Sample {
                unix_ms: progress.run_started_unix_ms,
                run_epochs: 0,
                ..sample
            };
            self.keep(start);
        }
        self.keep(sample);
        self.changes.push(HistoryChange::Run(self.run.clone()));
        &self.changes
    }

    /// Notes how the run ended.
    pub(crate) fn end(&mut self, store: &Store, end: RunEnd) -> Result<(), StateError> {
        self.run.end = Some(end);
        self.seen(store, steady_unix_ms(), &ProcessMemory::read().unwrap_or_default());
        self.changes.clear();
        self.write(store)
    }

    /// Notes how the run ended, if that is still possible: what ended it is told already, and it may be the store.
    pub(crate) fn end_early(&mut self, store: &Store, end: RunEnd) {
        if let Err(error) = self.end(store, end) {
            tracing::debug!("how this run ended is not remembered: {error}");
        }
    }

    fn seen(&mut self, store: &Store, unix_ms: u64, memory: &ProcessMemory) {
        self.run.seen_unix_ms = unix_ms;
        self.run.peak_bytes = memory.peak_bytes;
        self.run.written_bytes = self.written_before.saturating_add(store.written_bytes());
    }

    fn write(&mut self, store: &Store) -> Result<(), StateError> {
        self.changes.push(HistoryChange::Run(self.run.clone()));
        store.write_history(&self.changes)?;
        self.changes.clear();
        Ok(())
    }

    /// Keeps a sample: in the place of the last one if the one before that is not long ago. So the last one is always that
    /// of the last commit, however the run ends.
    fn keep(&mut self, sample: Sample) {
        let is_soon =
            |before: &Kept| before.run == sample.run && before.unix_ms.abs_diff(sample.unix_ms) < self.run.interval_ms;
        let mut newest = self.samples.iter().rev();
        let last = newest.next().filter(|last| last.run == sample.run).copied();
        let number = match (last, newest.next()) {
            (Some(last), Some(before)) if is_soon(before) => {
                self.samples.pop();
                last.number
            }
            _ => self.samples.last().map_or(0, |last| last.number.saturating_add(1)),
        };
        self.samples.push(Kept {
            number,
            run: sample.run,
            unix_ms: sample.unix_ms,
        });
        self.changes.push(HistoryChange::Sample(number, sample));
        if self.samples.len() >= SAMPLES_MAX {
            self.thin_out();
        }
    }

    /// Drops every second sample, but never the first or the last of a run: between them it was interrupted.
    fn thin_out(&mut self) {
        self.run.interval_ms = self.run.interval_ms.saturating_mul(2);
        let told = |sample: Kept| {
            let after = self.runs.partition_point(|run| run.number <= sample.run);
            // This run is not among them, and has a number of its own.
            self.runs[..after]
                .last()
                .filter(|run| sample.run - run.number < run.runs)
                .map(|run| run.number)
        };
        let ends: Vec<bool> = (0..self.samples.len())
            .map(|at| {
                let differs = |other: Option<&Kept>| other.is_none_or(|other| told(*other) != told(self.samples[at]));
                differs(at.checked_sub(1).and_then(|before| self.samples.get(before)))
                    || differs(self.samples.get(at + 1))
            })
            .collect();
        let (mut ends, mut stays) = (ends.into_iter(), true);
        let changes = &mut self.changes;
        self.samples.retain(|sample| {
            if ends.next().unwrap_or(true) {
                return true;
            }
            stays = !stays;
            if !stays {
                changes.push(HistoryChange::RemoveSample(sample.number));
            }
            stays
        });
    }

    /// Tells the two oldest runs as one until there are few enough.
    fn tell_oldest_together(&mut self) {
        while self.runs.len() >= RUNS_MAX {
            let second = self.runs.remove(1);
            let both = self.runs[0].followed_by(&second);
            self.changes.push(HistoryChange::RemoveRun(second.number));
            self.changes.push(HistoryChange::Run(both.clone()));
            self.runs[0] = both;
        }
    }
}
