//! One display for all keys of a set.

use std::sync::atomic::Ordering;

use keymill::sets::{SetEvent, SetProgress};
use keymill::{Phase, Plan};

use super::{Event, Keys, Progress, Reporter};
use crate::config::ProgressStyle;

impl Reporter {
    /// A reporter for a set whose keys have this plan.
    pub fn for_set(style: ProgressStyle, plan: &Plan) -> Self {
        let reporter = Self {
            keys: Some(Keys::default()),
            ..Self::new(style, plan)
        };
        Progress::event(&reporter, Event::Phase(Phase::Generating));
        reporter
    }
}

impl SetProgress for Reporter {
    fn event(&self, event: SetEvent) {
        let Some(keys) = &self.keys else { return };
        match event {
            SetEvent::Begun {
                keys: all,
                keys_finished,
                epochs_a_key,
            } => {
                keys.all.store(all, Ordering::Relaxed);
                keys.finished.store(keys_finished, Ordering::Relaxed);
                self.epochs_before
                    .store(keys_finished * epochs_a_key, Ordering::Relaxed);
                self.epochs.store(all * epochs_a_key, Ordering::Relaxed);
            }
            SetEvent::Found { epochs } => {
                self.epochs_before.fetch_add(epochs, Ordering::Relaxed);
            }
            SetEvent::Computed { epochs } => {
                self.computed.fetch_add(epochs, Ordering::Relaxed);
            }
            SetEvent::KeyFinished => {
                keys.finished.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
