//! What is told of a job to those who watch many: the figures `keymill_job_*`.

use keymill::Reason;

use super::exposition::{Exposition, Kind};
use super::{Memory, PHASES, Snapshot};

/// The phase before the first that a job tells of.
const OPENING: &str = "opening";

/// How a job stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JobState {
    /// It has not ended; or its process was killed, and did not come to say so.
    #[default]
    Running,
    /// All is done.
    Finished,
    /// It was asked to stop.
    Interrupted,
    /// It reached its memory budget.
    OutOfMemory,
    /// It met an error.
    Failed,
}

impl JobState {
    const ALL: [(Self, &str); 5] = [
        (Self::Running, "running"),
        (Self::Finished, "finished"),
        (Self::Interrupted, "interrupted"),
        (Self::OutOfMemory, "out_of_memory"),
        (Self::Failed, "failed"),
    ];

    /// How a job stands that has ended so.
    fn of<T>(outcome: &keymill::Result<T>) -> Self {
        match outcome.as_ref().map_err(keymill::Error::reason) {
            Ok(_) => Self::Finished,
            Err(Reason::Interrupted) => Self::Interrupted,
            Err(Reason::OutOfMemory) => Self::OutOfMemory,
            Err(_) => Self::Failed,
        }
    }
}

/// What is known of a job.
#[derive(Clone, Copy, Debug, Default)]
pub struct JobFigures {
    pub state: JobState,
    phase: Option<&'static str>,
    epochs: Option<u64>,
    epochs_done: u64,
    epochs_per_second: f64,
    /// Of one key, and not of a set.
    of_key: Option<KeyFigures>,
    /// Of a set, the keys that are finished and all of them.
    keys: Option<(u64, u64)>,
    resident_bytes: u64,
    anonymous_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct KeyFigures {
    epochs_committed: u64,
    commits: u64,
    layer_bytes: u64,
    store_bytes: u64,
    damaged_batches: u64,
    held_bytes: u64,
    limit_bytes: u64,
}

impl JobFigures {
    /// Takes note of how far the job is.
    pub fn note(&mut self, snapshot: &Snapshot, memory: &Memory) {
        let counts = &snapshot.counts;
        let of_key = KeyFigures {
            epochs_committed: snapshot.epochs_committed,
            commits: counts.commits,
            layer_bytes: (counts.epochs_written as f64 * snapshot.bytes_per_epoch) as u64,
            store_bytes: counts.store_bytes,
            damaged_batches: counts.damaged,
            held_bytes: counts.held_bytes,
            limit_bytes: counts.limit_bytes,
        };
        *self = Self {
            state: self.state,
            phase: Some(counts.phase),
            epochs: Some(counts.epochs),
            epochs_done: snapshot.epochs_done,
            epochs_per_second: snapshot.epochs_per_second,
            of_key: counts.keys.is_none().then_some(of_key),
            keys: counts.keys,
            resident_bytes: memory.now.resident_bytes,
            anonymous_bytes: memory.now.anonymous_bytes,
        };
    }

    /// Takes note of the end.
    pub fn end<T>(&mut self, outcome: &keymill::Result<T>) {
        self.end_as(JobState::of(outcome));
    }

    /// The job has come to an end that nobody told of.
    pub fn fail(&mut self) {
        self.end_as(JobState::Failed);
    }

    fn end_as(&mut self, state: JobState) {
        self.state = state;
        self.epochs_per_second = 0.0;
        if state == JobState::Finished {
            // Also of what was finished before, of which no event tells.
            let epochs = self.epochs.unwrap_or_default();
            self.epochs_done = epochs;
            if let Some(of_key) = &mut self.of_key {
                of_key.epochs_committed = epochs;
            }
        }
    }

    /// All of them as text, of the job in this directory.
    pub fn text(&self, directory: &str, started_unix_ms: u64, now_unix_ms: u64) -> String {
        let mut out = Exposition::new(&[("directory", directory)]);
        let is = |found: bool| f64::from(u8::from(found));
        out.each(
            Kind::Gauge,
            "keymill_job_state",
            "How the job stands: 1 for the state that it is in",
            JobState::ALL.map(|(state, name)| ([("state", name)], is(state == self.state))),
        );
        let phase = self.phase.unwrap_or(OPENING);
        let phases = [OPENING].into_iter().chain(PHASES.map(|(_, name)| name));
        out.each(
            Kind::Gauge,
            "keymill_job_phase",
            "What the job does, or did when it ended: 1 for its phase",
            phases.map(|name| ([("phase", name)], is(name == phase))),
        );
        for (name, help, unix_ms) in [
            (
                "keymill_job_start_time_seconds",
                "When the job began, since 1970",
                started_unix_ms,
            ),
            (
                "keymill_job_last_update_timestamp_seconds",
                "When these figures were written, since 1970",
                now_unix_ms,
            ),
        ] {
            out.one(Kind::Gauge, name, help, Some(unix_ms as f64 / 1e3));
        }
        self.write_progress(&mut out);
        self.write_memory(&mut out);
        out.into_text()
    }

    fn write_progress(&self, out: &mut Exposition) {
        let mut gauge = |name, help, value| out.one(Kind::Gauge, name, help, value);
        let known = self.epochs.map(|epochs| epochs as f64);
        gauge("keymill_job_epochs", "Epochs that the job is for", known);
        let done = known.map(|_| self.epochs_done as f64);
        gauge("keymill_job_epochs_done", "Epochs whose leaves are computed", done);
        let rate = known.map(|_| self.epochs_per_second);
        gauge(
            "keymill_job_epochs_per_second",
            "Epochs a second, over the last seconds",
            rate,
        );
        let keys = |of: fn((u64, u64)) -> u64| self.keys.map(|keys| of(keys) as f64);
        gauge("keymill_job_keys", "Keys of the set", keys(|(_, all)| all));
        gauge(
            "keymill_job_keys_finished",
            "Keys of the set that are finished",
            keys(|(finished, _)| finished),
        );
        let Some(key) = &self.of_key else { return };
        let committed = Some(key.epochs_committed as f64);
        gauge("keymill_job_epochs_committed", "Epochs that are on disk", committed);
        let mut counter = |name, help, count: u64| out.one(Kind::Counter, name, help, Some(count as f64));
        counter("keymill_job_commits_total", "Commits of this process", key.commits);
        counter(
            "keymill_job_damaged_batches_total",
            "Batches on disk that did not match their checksums",
            key.damaged_batches,
        );
        out.each(
            Kind::Counter,
            "keymill_job_written_bytes_total",
            "Bytes that this process has committed, by where they went",
            [("layers", key.layer_bytes), ("checkpoints", key.store_bytes)]
                .map(|(to, bytes)| ([("to", to)], bytes as f64)),
        );
    }

    fn write_memory(&self, out: &mut Exposition) {
        let known = |bytes: u64| (bytes > 0).then_some(bytes as f64);
        for (name, help, bytes) in [
            (
                "keymill_job_memory_resident_bytes",
                "Memory of the process, pages of files included",
                self.resident_bytes,
            ),
            (
                "keymill_job_memory_anonymous_bytes",
                "Memory of the process without pages of files",
                self.anonymous_bytes,
            ),
            (
                "keymill_job_memory_held_bytes",
                "Memory that counts towards the limit",
                self.of_key.map_or(0, |key| key.held_bytes),
            ),
            (
                "keymill_job_memory_limit_bytes",
                "The limit that it is compared with",
                self.of_key.map_or(0, |key| key.limit_bytes),
            ),
        ] {
            out.one(Kind::Gauge, name, help, known(bytes));
        }
    }
}
