//! How near a process is to a limit of its memory.

use super::{Limit, Usage};

/// The part of a limit from which on less is begun: a job makes its groups smaller, a service admits nothing.
pub(crate) const NEARLY_FULL_PERCENT: f64 = 85.0;

/// What is held, of the limit that is nearest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeldMemory {
    pub(crate) bytes: u64,
    /// What others in the cgroup have to write before the kernel can drop it, which it does by itself.
    pub(crate) dirty_bytes: u64,
    pub(crate) limit: Limit,
}

impl HeldMemory {
    /// Clean page cache is not held: the kernel takes it back unasked, and it fills every cgroup up to its limit.
    pub(crate) fn new(budget: &Limit, usage: &Usage, unsynced_bytes: u64) -> Self {
        let process = &usage.process;
        let own = Self {
            bytes: process.anonymous_bytes + process.shared_bytes + unsynced_bytes,
            dirty_bytes: 0,
            limit: budget.clone(),
        };
        // Of a cgroup, others may hold a part.
        let shared = usage.shared.as_ref().map(|shared| Self {
            bytes: shared.held_bytes,
            dirty_bytes: shared.dirty_bytes.saturating_sub(unsynced_bytes),
            limit: shared.limit.clone(),
        });
        match shared {
            Some(shared) if shared.percent() > own.percent() => shared,
            _ => own,
        }
    }

    /// The part of the limit that is held.
    pub(crate) fn percent(&self) -> f64 {
        100.0 * self.bytes as f64 / self.limit.bytes.max(1) as f64
    }
}
