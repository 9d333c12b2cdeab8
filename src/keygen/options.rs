//! How a job may use the machine.

use crate::error::Result;
use crate::memory::Limits;
use crate::plan::{JobDemand, MemoryPlan, MemoryRequest, Plan};

/// How a job may use the machine. None of it changes a byte of the key.
///
/// # Examples
/// ```
/// use keymill::JobOptions;
/// use keymill::plan::MemoryRequest;
/// let options = JobOptions::default().threads(2).memory(MemoryRequest::AtMost(64 << 20));
/// assert_eq!(options.group_batches, 0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobOptions {
    /// Worker threads; 0 for one per core.
    pub threads: usize,
    /// Batches that are synced and committed as one; 0 for so many that their commit is a small part of their time.
    pub group_batches: usize,
    /// How much memory it may take.
    pub memory: MemoryRequest,
    /// Bytes that the caller holds for as long as the job runs: they are planned into its memory.
    pub held_bytes: u64,
    /// Jobs with these options that run side by side in this process, and have its memory together.
    pub jobs: usize,
}

impl JobOptions {
    /// One thread a core, groups that follow the time that they take, and as much memory as the limits leave.
    pub const DEFAULT: Self = Self {
        threads: 0,
        group_batches: 0,
        memory: MemoryRequest::Auto,
        held_bytes: 0,
        jobs: 1,
    };

    /// The same with this number of worker threads.
    #[must_use]
    pub const fn threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// The same with groups of so many batches.
    #[must_use]
    pub const fn group_batches(self, group_batches: usize) -> Self {
        Self { group_batches, ..self }
    }

    /// The same with this much memory.
    #[must_use]
    pub const fn memory(self, memory: MemoryRequest) -> Self {
        Self { memory, ..self }
    }

    /// The same for a caller that holds so many bytes.
    #[must_use]
    pub const fn held_bytes(self, held_bytes: u64) -> Self {
        Self { held_bytes, ..self }
    }

    /// The same for so many jobs side by side.
    #[must_use]
    pub const fn jobs(self, jobs: usize) -> Self {
        Self { jobs, ..self }
    }

    /// What a job with these options keeps in memory for a plan, within the limits that hold here and now.
    ///
    /// # Errors
    /// [`Reason::TooLittleMemory`](crate::Reason::TooLittleMemory) if the least that works does not fit.
    pub fn memory_plan(&self, plan: &Plan) -> Result<MemoryPlan> {
        self.memory_plan_within(plan, &Limits::detect())
    }

    /// As [`memory_plan`](Self::memory_plan), within these limits.
    pub(crate) fn memory_plan_within(&self, plan: &Plan, limits: &Limits) -> Result<MemoryPlan> {
        let demand = JobDemand {
            threads: self.threads,
            group_batches: self.group_batches,
            arena_bytes: plan.scheme().scratch_bytes(),
            memory: self.memory,
            held_bytes: self.held_bytes,
            jobs: self.jobs,
        };
        MemoryPlan::new(plan, &demand, limits)
    }
}

impl Default for JobOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}
