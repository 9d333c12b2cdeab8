//! What a job tells of itself while it runs.

use crate::plan::BatchIndex;

/// The parts of a job, in order. Checking comes twice: on what an earlier run left, and on everything before the seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Comparing what is on disk with its checksums.
    Checking,
    /// Computing leaves and the levels of each batch.
    Generating,
    /// Folding the levels above the batches.
    Folding,
    /// Writing root and public key.
    Sealing,
}

/// Something that happened in a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A phase begins.
    Phase(Phase),
    /// Before generating: how many epochs the key has and how many of them are done already.
    Resuming {
        /// Epochs of the stored interval.
        epochs: u64,
        /// Epochs whose batches are committed.
        epochs_done: u64,
    },
    /// Leaves of this many more epochs were computed. Sent often, from worker threads.
    Computed {
        /// Epochs since the last such event.
        epochs: u64,
    },
    /// A worker begins a batch.
    Begun {
        /// The batch.
        batch: BatchIndex,
    },
    /// This many more epochs are on disk with their checkpoint.
    Committed {
        /// Epochs of the group.
        epochs: u64,
        /// Batches of the key that are on disk with their checkpoint now.
        batches_done: u64,
        /// Batches that there are buffers for now.
        batches_in_flight_max: u64,
        /// Bytes that this process has given to the checkpoint store.
        store_bytes: u64,
    },
    /// How much memory is held, of the limit that is nearest. Sent about four times a second while batches are made,
    /// unless there is no limit.
    Governed {
        /// What is held, clean page cache not counted.
        held_bytes: u64,
        /// What may be held.
        limit_bytes: u64,
        /// Batches that there are buffers for now.
        batches_in_flight_max: u64,
    },
    /// A committed batch does not match its checksums and is computed again.
    Damaged {
        /// The batch.
        batch: BatchIndex,
    },
}

/// Receives a job's events, from several threads.
pub trait Progress: Sync {
    /// Takes note of an event. Is called on the job's hot path, so must return soon.
    fn event(&self, event: Event);
}

/// Ignores every event.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn event(&self, _event: Event) {}
}
