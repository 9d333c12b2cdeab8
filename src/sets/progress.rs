//! What the making of a set tells of itself, for one display of all of its keys.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::keygen::{Event, Progress};

/// Something that happened to a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetEvent {
    /// Before the first key.
    Begun {
        /// Keys of the whole set.
        keys: u64,
        /// Keys that are finished already.
        keys_finished: u64,
        /// Epochs that each of them stores.
        epochs_a_key: u64,
    },
    /// Epochs of a key that an earlier run had left unfinished.
    Found {
        /// How many.
        epochs: u64,
    },
    /// Leaves of this many more epochs were computed. Sent often, from worker threads.
    Computed {
        /// Epochs since the last such event.
        epochs: u64,
    },
    /// A key and all of its files are on disk.
    KeyFinished,
}

/// Receives a set's events, from several threads.
pub trait SetProgress: Sync {
    /// Takes note of an event. Must return soon.
    fn event(&self, event: SetEvent);
}

/// Ignores every event.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSetProgress;

impl SetProgress for NoSetProgress {
    fn event(&self, _event: SetEvent) {}
}

/// Hands the events of one key to its set, such that in the end each of its epochs was counted once.
pub(super) struct OfKey<'a> {
    set: &'a dyn SetProgress,
    is_begun: AtomicBool,
    epochs_left: AtomicU64,
}

impl<'a> OfKey<'a> {
    pub(super) fn new(set: &'a dyn SetProgress, epochs: u64) -> Self {
        Self {
            set,
            is_begun: AtomicBool::new(false),
            epochs_left: AtomicU64::new(epochs),
        }
    }

    /// Takes so many epochs of those that were not counted yet; batches that are made twice have no more.
    fn take(&self, epochs: u64) -> u64 {
        let rest = |left: u64| Some(left.saturating_sub(epochs));
        let left = self
            .epochs_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest);
        left.map_or(0, |left| left.min(epochs))
    }

    /// The key is sealed: counts what no event has told of.
    pub(super) fn sealed(&self) {
        let epochs = self.take(u64::MAX);
        self.set.event(SetEvent::Found { epochs });
    }
}

impl Progress for OfKey<'_> {
    fn event(&self, event: Event) {
        match event {
            Event::Computed { epochs } => {
                let epochs = self.take(epochs);
                self.set.event(SetEvent::Computed { epochs });
            }
            Event::Resuming { epochs_done, .. } if !self.is_begun.swap(true, Ordering::Relaxed) => {
                let epochs = self.take(epochs_done);
                self.set.event(SetEvent::Found { epochs });
            }
            _ => {}
        }
    }
}
