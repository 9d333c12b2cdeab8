//! What a key remembers of how it was made: samples of its runs, the runs themselves, and which batches were computed more
//! than once. For people alone: nothing is recovered from it, and a key without it is whole.

mod file;
mod marks;
#[cfg(test)]
mod tests;

#[cfg(feature = "serve")]
pub(crate) use file::latest;
#[cfg(any(test, fuzzing))]
pub(crate) use file::reread;
pub(crate) use file::{HistoryFile, of_key, replace_all};
pub use marks::{MarkedRange, Marks};
use serde::{Deserialize, Serialize};

/// Most samples of a key over its whole life. When there are more, those that follow another one soon go.
const SAMPLES_MAX: usize = 1024;
/// Most runs that are told apart. The first and the last sample of each is kept, so this is well below the half.
const RUNS_MAX: usize = 256;
/// Least time between two samples when some have to go; twice as much as long as there are too many.
const INTERVAL_MS: u64 = 250;

/// A job at one of its commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Number of its run.
    pub run: u64,
    /// When it was taken, in milliseconds since 1970.
    pub unix_ms: u64,
    /// Epochs that the run had committed.
    pub run_epochs: u64,
    /// Batches that all runs together had committed.
    pub batches_done: u64,
    /// Resident anonymous memory of the process, in bytes.
    pub anonymous_bytes: u64,
    /// Resident pages of files, in bytes.
    pub file_bytes: u64,
    /// Most anonymous memory that was planned for the run, in bytes.
    pub planned_bytes: u64,
    /// Memory that the run might hold before it had to end, in bytes; 0 if there was no such budget.
    pub budget_bytes: u64,
    /// Batches that could be in flight.
    pub in_flight_batches: u64,
    /// Bytes that all runs together had given to the checkpoint store.
    pub written_bytes: u64,
}

/// What was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunCommand {
    /// The job that makes the key.
    Keygen,
    /// A repair.
    Repair,
}

/// How a run ended that had the time to say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// It did all that there was to do.
    Finished,
    /// It was asked to stop.
    Interrupted,
    /// It reached its memory budget.
    OutOfBudget,
    /// It met an error.
    Failed,
}

/// One run on a key, or the oldest ones together when there were very many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Number of the run, or of the first of those that are told together; the first of all is 0.
    pub number: u64,
    /// How many runs are told together.
    pub runs: u64,
    /// What was run.
    pub command: RunCommand,
    /// When it began, in milliseconds since 1970.
    pub started_unix_ms: u64,
    /// When it was last heard of, in milliseconds since 1970.
    pub seen_unix_ms: u64,
    /// How it ended; none if it is running or was killed.
    pub end: Option<RunEnd>,
    /// The highest batch that workers had begun at its last commit.
    pub begun: Option<u64>,
    /// Epochs that it committed.
    pub epochs: u64,
    /// Most resident memory of its process, in bytes.
    pub peak_bytes: u64,
    /// Bytes that all runs together had given to the checkpoint store.
    pub written_bytes: u64,
}

impl Run {
    /// This run, and the next one, told as one.
    fn followed_by(&self, next: &Self) -> Self {
        Self {
            number: self.number,
            runs: self.runs.saturating_add(next.runs),
            started_unix_ms: self.started_unix_ms,
            epochs: self.epochs.saturating_add(next.epochs),
            peak_bytes: self.peak_bytes.max(next.peak_bytes),
            ..*next
        }
    }
}

/// Everything that is remembered of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyHistory {
    /// In the order in which they were taken.
    pub samples: Vec<Sample>,
    /// From the first to the last.
    pub runs: Vec<Run>,
    /// Batches that were in flight when a run ended without order, and were begun again.
    pub redone: Marks,
    /// Batches that a check found not to match their checksums or the tree, whether or not they were computed again.
    pub damaged: Marks,
}

/// A line of a history's file. Of several about the same run, and of several sets of marks, the last one holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line<M = Marks> {
    Run(Run),
    Sample(Sample),
    Redone(M),
    Damaged(M),
}

impl KeyHistory {
    /// Takes note of the next line, if it can follow those before.
    fn take(&mut self, line: Line) -> bool {
        match line {
            Line::Run(run) => match self.runs.last_mut() {
                _ if run.runs == 0 => return false,
                Some(last) if run.number < last.number => return false,
                Some(last) if run.number == last.number => *last = run,
                _ => self.runs.push(run),
            },
            Line::Sample(sample) if self.samples.last().is_some_and(|last| sample.run < last.run) => return false,
            Line::Sample(sample) => self.samples.push(sample),
            Line::Redone(marks) => self.redone = marks,
            Line::Damaged(marks) => self.damaged = marks,
        }
        true
    }

    /// All of it, in as few lines as say it.
    fn lines(&self) -> impl Iterator<Item = Line<&Marks>> {
        let redone = Some(&self.redone).filter(|marks| !marks.ranges().is_empty());
        let damaged = Some(&self.damaged).filter(|marks| !marks.ranges().is_empty());
        let marks = redone.map(Line::Redone).into_iter().chain(damaged.map(Line::Damaged));
        let runs = self.runs.iter().copied().map(Line::Run);
        let samples = self.samples.iter().copied().map(Line::Sample);
        runs.chain(samples).chain(marks)
    }

    /// Keeps it within bounds: the oldest of very many runs are told as one, and samples are thinned out.
    fn bound(&mut self) {
        if let Some(surplus) = self.runs.len().checked_sub(RUNS_MAX).filter(|surplus| *surplus > 0) {
            let oldest = self.runs.drain(..=surplus).reduce(|both, next| both.followed_by(&next));
            self.runs.splice(0..0, oldest);
        }
        let mut interval_ms = INTERVAL_MS;
        while self.samples.len() > SAMPLES_MAX && interval_ms < u64::MAX {
            self.thin_out(interval_ms);
            interval_ms = interval_ms.saturating_mul(2);
        }
    }

    /// Drops samples that follow another one soon, but never the first or the last of a run: between them it was interrupted.
    fn thin_out(&mut self, interval_ms: u64) {
        let told = |sample: &Sample| self.runs.partition_point(|run| run.number <= sample.run);
        let told: Vec<usize> = self.samples.iter().map(told).collect();
        let (mut at, mut kept_unix_ms) = (0, 0);
        self.samples.retain(|sample| {
            let differs = |other: Option<&usize>| other != told.get(at);
            let is_end = differs(at.checked_sub(1).and_then(|before| told.get(before))) || differs(told.get(at + 1));
            let stays = is_end || sample.unix_ms.abs_diff(kept_unix_ms) >= interval_ms;
            if stays {
                kept_unix_ms = sample.unix_ms;
            }
            at += 1;
            stays
        });
    }
}
