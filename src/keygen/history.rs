//! Records how a key was made, for `report`: samples of the job at its commits, how it ended, and which batches it had to
//! compute again. It listens to the job, and the job does not wait for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::progress::{Event, Progress};
use crate::error::{Error, Reason};
use crate::files::Entry;
use crate::history::{HistoryFile, KeyHistory, Line, Marks, Run, RunCommand, RunEnd, Sample};
use crate::memory::ProcessMemory;
use crate::plan::MemoryPlan;
use crate::time::steady_unix_ms;
use crate::units::BatchIndex;

/// No batch has been begun.
const NONE: u64 = u64::MAX;

impl From<&Error> for RunEnd {
    fn from(error: &Error) -> Self {
        match error.reason() {
            Reason::Interrupted => Self::Interrupted,
            Reason::OutOfMemory => Self::OutOfBudget,
            _ => Self::Failed,
        }
    }
}

/// The history of a key while a run adds to it. It passes on all that it hears.
pub(crate) struct History<'a> {
    next: &'a dyn Progress,
    planned_bytes: u64,
    budget_bytes: u64,
    /// What the last job had begun that did not end in order.
    begun_by_crashed: Option<u64>,
    begun: AtomicU64,
    again: Mutex<Again>,
    told: Mutex<Told>,
}

/// Batches that are computed more than once. Workers add to them, so they are not locked while something is written.
struct Again {
    redone: Marks,
    damaged: Marks,
    is_told: bool,
}

/// What is in the file of this run, and the file.
struct Told {
    run: Run,
    /// When it began to compute; none as soon as it has committed.
    computing_since: Option<u64>,
    written_before: u64,
    file: HistoryFile,
}

impl<'a> History<'a> {
    /// Begins a run, and says so in the file.
    pub(crate) fn begin(file: Entry, command: RunCommand, memory: &MemoryPlan, next: &'a dyn Progress) -> Self {
        let (file, known) = HistoryFile::open(file);
        let KeyHistory {
            runs, redone, damaged, ..
        } = known;
        let last = runs.last();
        let now = steady_unix_ms();
        let run = Run {
            number: last.map_or(0, |last| last.number.saturating_add(last.runs)),
            runs: 1,
            command,
            started_unix_ms: now,
            seen_unix_ms: now,
            end: None,
            begun: None,
            epochs: 0,
            peak_bytes: 0,
            written_bytes: last.map_or(0, |last| last.written_bytes),
        };
        let job_before = runs.iter().rev().find(|run| run.command == RunCommand::Keygen);
        let crashed = job_before.filter(|run| matches!(run.end, None | Some(RunEnd::Failed)));
        let history = Self {
            next,
            planned_bytes: memory.anonymous_bytes,
            budget_bytes: memory.budget.as_ref().map_or(0, |budget| budget.bytes),
            begun_by_crashed: crashed.and_then(|run| run.begun),
            begun: AtomicU64::new(NONE),
            again: Mutex::new(Again {
                redone,
                damaged,
                is_told: true,
            }),
            told: Mutex::new(Told {
                computing_since: None,
                written_before: run.written_bytes,
                run,
                file,
            }),
        };
        history.told().file.add([Line::Run(run)]);
        history
    }

    /// Notes how the run ended.
    pub(crate) fn end(&self, end: RunEnd) {
        self.tell_marks();
        let mut told = self.told();
        let Told { run, file, .. } = &mut *told;
        run.end = Some(end);
        run.seen_unix_ms = steady_unix_ms();
        // Where there is no /proc, nothing is known.
        run.peak_bytes = ProcessMemory::read().unwrap_or_default().peak_bytes;
        file.add_last([Line::Run(*run)]);
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        // What another thread that panicked has left is for people alone.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn again(&self) -> MutexGuard<'_, Again> {
        self.again.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a batch that a worker begins.
    fn note_begun(&self, batch: BatchIndex) {
        self.begun.store(batch.0, Ordering::Relaxed);
        if self.begun_by_crashed.is_some_and(|begun| batch.0 <= begun) {
            let mut again = self.again();
            if !again.damaged.contains(batch) && again.redone.insert(batch) {
                again.is_told = false;
            }
        }
    }

    /// Notes a batch that did not match.
    fn note_damaged(&self, batch: BatchIndex) {
        let mut again = self.again();
        if again.damaged.insert(batch) {
            again.is_told = false;
        }
    }

    fn tell_marks(&self) {
        let mut again = self.again();
        if again.is_told {
            return;
        }
        again.is_told = true;
        let (redone, damaged) = (again.redone.clone(), again.damaged.clone());
        drop(again);
        self.told().file.add([Line::Redone(&redone), Line::Damaged(&damaged)]);
    }

    fn note_commit(&self, epochs: u64, batches_done: u64, in_flight_batches: u64, store_bytes: u64) {
        self.tell_marks();
        let memory = ProcessMemory::read().unwrap_or_default();
        let begun = self.begun.load(Ordering::Relaxed);
        let mut told = self.told();
        let Told {
            run,
            computing_since,
            written_before,
            file,
        } = &mut *told;
        run.begun = (begun != NONE).then_some(begun);
        run.epochs = run.epochs.saturating_add(epochs);
        run.seen_unix_ms = steady_unix_ms();
        run.peak_bytes = memory.peak_bytes;
        run.written_bytes = written_before.saturating_add(store_bytes);
        let sample = Sample {
            run: run.number,
            unix_ms: run.seen_unix_ms,
            run_epochs: run.epochs,
            batches_done,
            anonymous_bytes: memory.anonymous_bytes,
            file_bytes: memory.file_bytes,
            planned_bytes: self.planned_bytes,
            budget_bytes: self.budget_bytes,
            in_flight_batches,
            written_bytes: run.written_bytes,
        };
        // From there on the rate is counted.
        let start = computing_since.take().map(|unix_ms| Sample {
            unix_ms,
            run_epochs: 0,
            ..sample
        });
        let samples = start.into_iter().chain([sample]).map(Line::Sample);
        file.add(samples.chain([Line::Run(*run)]));
    }
}

impl Progress for History<'_> {
    fn event(&self, event: Event) {
        match event {
            Event::Begun { batch } => self.note_begun(batch),
            Event::Damaged { batch } => self.note_damaged(batch),
            Event::Phase(_) => self.tell_marks(),
            Event::Resuming { .. } => {
                let mut told = self.told();
                if told.run.epochs == 0 {
                    told.computing_since = Some(steady_unix_ms());
                }
            }
            Event::Committed {
                epochs,
                batches_done,
                batches_in_flight_max,
                store_bytes,
            } => self.note_commit(epochs, batches_done, batches_in_flight_max, store_bytes),
            Event::Computed { .. } | Event::Governed { .. } => {}
        }
        self.next.event(event);
    }
}
