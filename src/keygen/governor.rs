//! Keeps a job within its memory: looks at what is held, makes groups smaller when that comes near a limit, and ends the job
//! in order before the kernel would end it without.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::cancel::CancelHandle;
use super::error::memory_short;
use super::in_flight::InFlight;
use super::progress::{Event, Progress};
use crate::error::Result;
use crate::memory::{HeldMemory, Limit, NEARLY_FULL_PERCENT, UsageReader};
use crate::plan::{MemoryPlan, PLANNED_PERCENT};
use crate::workers::{WhenDropped, spawn_scoped};

const SAMPLE_INTERVAL_MS: u64 = 250;
/// Parts of a limit that are held.
const STOP_PERCENT: f64 = 95.0;
const GROW_PERCENT: f64 = PLANNED_PERCENT as f64;
/// Part of its time that some process waits for memory, up to which there is enough of it.
const CALM_PRESSURE_PERCENT: f64 = 10.0;
/// Two seconds and a half of calm, before as many batches again are let into memory.
const CALM_SAMPLES: u32 = 10;
/// Batches that are not to be in memory any more have to be committed before that can be seen.
const SETTLING_SAMPLES: u32 = 2;

/// Whether a limit is so near that the job has to end. A neighbour that writes a file fills a cgroup of version 1 with
/// dirty pages, which does not count.
fn is_at_its_limit(held: &HeldMemory) -> bool {
    let bytes = held.bytes.saturating_sub(held.dirty_bytes);
    100.0 * bytes as f64 / held.limit.bytes.max(1) as f64 >= STOP_PERCENT
}

/// What is to be done about the memory that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Keep,
    /// So many batches may be in memory.
    Shrink(usize),
    Grow(usize),
    Stop,
}

/// Decides from one sample after the other, and from nothing else.
struct Policy {
    most: usize,
    limit: usize,
    calm_samples: u32,
    settling_samples: u32,
}

impl Policy {
    /// For a job with at most so many batches in memory, and now with as many as `limit`.
    fn new(most: usize, limit: usize) -> Self {
        Self {
            most,
            limit,
            calm_samples: 0,
            settling_samples: 0,
        }
    }

    /// For a stream of batches: an earlier one can have ended with fewer of them in memory than there were at first.
    fn of(in_flight: &InFlight) -> Self {
        Self::new(in_flight.batches_max(), in_flight.allowed())
    }

    fn decide(&mut self, held: &HeldMemory, pressure_percent: Option<f64>, in_memory: usize) -> Action {
        let percent = held.percent();
        self.settling_samples = self.settling_samples.saturating_sub(1);
        let is_calm = percent < GROW_PERCENT && pressure_percent.is_none_or(|part| part < CALM_PRESSURE_PERCENT);
        self.calm_samples = if is_calm { self.calm_samples + 1 } else { 0 };
        if is_at_its_limit(held) {
            return Action::Stop;
        }
        if percent >= NEARLY_FULL_PERCENT && self.limit > 1 && self.settling_samples == 0 {
            self.limit = self.limit.min(in_memory).max(2) / 2;
            self.settling_samples = SETTLING_SAMPLES;
            return Action::Shrink(self.limit);
        }
        if self.limit < self.most && self.calm_samples >= CALM_SAMPLES {
            self.limit = (2 * self.limit).min(self.most);
            self.calm_samples = 0;
            return Action::Grow(self.limit);
        }
        Action::Keep
    }
}

/// Watches over the memory of a job, or of a repair.
pub(crate) struct Governor<'a> {
    pub(crate) memory: &'a MemoryPlan,
    pub(crate) in_flight: &'a InFlight,
    pub(crate) cancel: &'a CancelHandle,
    pub(crate) progress: &'a dyn Progress,
}

impl Governor<'_> {
    /// Watches while `operation` computes and commits batches.
    pub(crate) fn watch<T>(&self, operation: impl FnOnce() -> Result<T>) -> Result<T> {
        let Some(budget) = &self.memory.budget else {
            return operation();
        };
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let governor = spawn_scoped(scope, || self.govern(budget, &ended))?;
            // Also after a panic of the operation: the scope would wait for ever.
            let _end = WhenDropped(|| {
                ended.store(true, Ordering::Relaxed);
                governor.thread().unpark();
            });
            operation()
        })
    }

    fn govern(&self, budget: &Limit, ended: &AtomicBool) {
        let reader = UsageReader::default();
        let mut policy = Policy::of(self.in_flight);
        while !ended.load(Ordering::Relaxed) {
            // An unknown figure changes nothing.
            let Some(usage) = reader.read() else {
                policy.calm_samples = 0;
                std::thread::park_timeout(Duration::from_millis(SAMPLE_INTERVAL_MS));
                continue;
            };
            let held = HeldMemory::new(budget, &usage, self.in_flight.unsynced_bytes());
            let before = self.in_flight.batches();
            match policy.decide(&held, usage.pressure_percent, before) {
                Action::Keep => {}
                Action::Shrink(limit) => {
                    policy.limit = self.in_flight.limit_to(limit);
                    tracing::warn!(
                        "memory is running low: {}; batches in memory: {limit} instead of {before}",
                        sentence(&held)
                    );
                }
                Action::Grow(limit) => {
                    // Where there is no memory for them, after the next calm again.
                    policy.limit = self.in_flight.limit_to(limit);
                    let batches = self.in_flight.batches();
                    if batches > before {
                        tracing::info!(
                            "memory is free again: {}; batches in memory: {batches} instead of {before}",
                            sentence(&held)
                        );
                    }
                }
                Action::Stop => {
                    self.cancel.cancel_because(memory_short(held.bytes, &held.limit));
                    return;
                }
            }
            self.progress.event(Event::Governed {
                held_bytes: held.bytes,
                limit_bytes: held.limit.bytes,
                batches_in_flight_max: self.in_flight.batches() as u64,
            });
            std::thread::park_timeout(Duration::from_millis(SAMPLE_INTERVAL_MS));
        }
    }
}

fn sentence(held: &HeldMemory) -> String {
    let HeldMemory { bytes, limit, .. } = held;
    let percent = held.percent();
    format!(
        "{bytes} of {} bytes ({}) are held, {percent:.0} %",
        limit.bytes, limit.source
    )
}

#[cfg(test)]
#[path = "governor_tests.rs"]
mod tests;
