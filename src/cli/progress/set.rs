//! One display for all keys of a set.

use keymill::sets::{SetEvent, SetProgress};
use keymill::{Phase, Plan};

use super::{Event, Progress, Reporter};
use crate::config::ProgressStyle;

impl Reporter {
    /// A reporter for a set whose keys have this plan.
    pub fn for_set(style: ProgressStyle, plan: &Plan) -> Self {
        let reporter = Self::new(style, plan);
        reporter.counts().keys = Some((0, 0));
        Progress::event(&reporter, Event::Phase(Phase::Generating));
        reporter
    }
}

impl SetProgress for Reporter {
    fn event(&self, event: SetEvent) {
        let mut counts = self.counts();
        match event {
            SetEvent::Begun {
                keys,
                keys_finished,
                epochs_a_key,
            } => {
                counts.keys = Some((keys_finished, keys));
                counts.epochs_before = keys_finished * epochs_a_key;
                counts.epochs = keys * epochs_a_key;
            }
            SetEvent::Found { epochs } => counts.epochs_before += epochs,
            SetEvent::Computed { epochs } => counts.computed += epochs,
            SetEvent::KeyFinished => counts.keys = counts.keys.map(|(finished, all)| (finished + 1, all)),
            _ => {}
        }
    }
}
