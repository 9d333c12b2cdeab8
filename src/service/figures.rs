//! What a service counts and measures of itself, in the form in which Prometheus asks for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

/// What the committers measure.
#[derive(Clone, Debug)]
pub(crate) struct EngineFigures {
    /// How long one write of a ledger took.
    pub(crate) commit_seconds: Histogram,
    /// How many requests it was for.
    pub(crate) requests_per_commit: Histogram,
    /// Blocks of trimmed keys that were computed before they were needed.
    pub(crate) blocks_ahead: Counter,
    totals: Arc<Totals>,
}

/// The same once more, since a histogram is written and not read.
#[derive(Debug, Default)]
struct Totals {
    commits: AtomicU64,
    requests: AtomicU64,
    time_us: AtomicU64,
}

/// All commits until now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Commits {
    pub(crate) count: u64,
    /// Requests that they were for.
    pub(crate) requests: u64,
    pub(crate) time: Duration,
}

impl EngineFigures {
    /// A ledger was written, or could not be.
    pub(crate) fn committed(&self, time: Duration, requests: usize) {
        self.commit_seconds.observe(time.as_secs_f64());
        self.requests_per_commit.observe(requests as f64);
        let time_us = time.as_micros() as u64;
        for (total, more) in [
            (&self.totals.commits, 1),
            (&self.totals.requests, requests as u64),
            (&self.totals.time_us, time_us),
        ] {
            total.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// All commits until now.
    pub(crate) fn commits(&self) -> Commits {
        let total = |of: &AtomicU64| of.load(Ordering::Relaxed);
        Commits {
            count: total(&self.totals.commits),
            requests: total(&self.totals.requests),
            time: Duration::from_micros(total(&self.totals.time_us)),
        }
    }
}

impl Default for EngineFigures {
    fn default() -> Self {
        Self {
            commit_seconds: seconds(),
            requests_per_commit: Histogram::new(exponential_buckets(1.0, 2.0, 13)),
            blocks_ahead: Counter::default(),
            totals: Arc::default(),
        }
    }
}

/// From a quarter of a millisecond to eight seconds.
pub(crate) fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_25, 2.0, 16))
}
