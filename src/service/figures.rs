//! What a service counts and measures of itself, in the form in which Prometheus asks for it.

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

/// What the committers measure.
#[derive(Clone, Debug)]
pub(crate) struct EngineFigures {
    /// How long one write of a ledger took.
    pub(crate) commit_seconds: Histogram,
    /// How many requests it was for.
    pub(crate) requests_per_commit: Histogram,
}

impl Default for EngineFigures {
    fn default() -> Self {
        Self {
            commit_seconds: seconds(),
            requests_per_commit: Histogram::new(exponential_buckets(1.0, 2.0, 13)),
        }
    }
}

/// From a quarter of a millisecond to eight seconds.
pub(crate) fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_25, 2.0, 16))
}
