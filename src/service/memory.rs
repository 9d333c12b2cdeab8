//! Whether there is memory for another request.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use crate::memory::{HeldMemory, Limit, LimitSource, Limits, NEARLY_FULL_PERCENT, UsageReader};
use crate::plan::MemoryRequest;

/// A sample takes some tens of microseconds, and memory does not fill up sooner than that.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);

/// Watches the memory of the process.
pub(crate) struct MemoryWatch {
    budget: Option<Limit>,
    reader: UsageReader,
    last: Mutex<Option<(Instant, MemorySample)>>,
}

/// What was held at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct MemorySample {
    pub(crate) held_bytes: u64,
    /// Of the limit that is nearest; none if there is none.
    pub(crate) limit_bytes: Option<u64>,
    pub(crate) is_nearly_full: bool,
}

impl MemoryWatch {
    /// For the lowest of the limits and of what was asked for.
    pub(crate) fn new(request: MemoryRequest) -> Self {
        let lowest = Limits::detect().lowest().cloned();
        let asked = |bytes| Limit {
            bytes,
            source: LimitSource::Asked,
        };
        let budget = match request {
            MemoryRequest::NoLimit => None,
            MemoryRequest::Auto => lowest,
            MemoryRequest::AtMost(bytes) => Some(
                lowest
                    .filter(|limit| limit.bytes < bytes)
                    .unwrap_or_else(|| asked(bytes)),
            ),
        };
        Self {
            budget,
            reader: UsageReader::default(),
            last: Mutex::default(),
        }
    }

    /// The latest sample, of which none is older than a tenth of a second.
    pub(crate) fn sample(&self) -> MemorySample {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((taken, sample)) = *last
            && taken.elapsed() < SAMPLE_INTERVAL
        {
            return sample;
        }
        let sample = self.take();
        *last = Some((Instant::now(), sample));
        sample
    }

    fn take(&self) -> MemorySample {
        let Some(usage) = self.reader.read() else {
            return MemorySample::default();
        };
        let Some(budget) = &self.budget else {
            let held_bytes = usage.process.anonymous_bytes + usage.process.shared_bytes;
            return MemorySample {
                held_bytes,
                ..MemorySample::default()
            };
        };
        let held = HeldMemory::new(budget, &usage, 0);
        MemorySample {
            held_bytes: held.bytes,
            limit_bytes: Some(held.limit.bytes),
            is_nearly_full: held.percent() >= NEARLY_FULL_PERCENT,
        }
    }
}
