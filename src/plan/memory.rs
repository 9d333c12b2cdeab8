//! How much is kept in flight, so that memory does not depend on the lifetime.

use super::sizes::Plan;

/// Anonymous memory that the program takes whatever it computes: code tables, thread stacks in use, the checkpoint
/// store's caches and buffers, the progress display.
const BASE_BYTES: u64 = 12 << 20;
/// Stack and scratch that a worker touches.
const WORKER_BYTES: u64 = 256 << 10;
/// Groups in flight: one is computed while the other is committed.
const GROUPS_IN_FLIGHT: u64 = 2;

/// The memory budget is too small for the smallest group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a memory budget of {budget_bytes} bytes is too small: {needed_bytes} bytes are the least that works with \
     {threads} threads; raise --memory or lower --threads"
)]
pub struct BudgetTooSmall {
    /// What was allowed.
    pub budget_bytes: u64,
    /// What the smallest possible job takes.
    pub needed_bytes: u64,
    /// Worker threads that were asked for.
    pub threads: usize,
}

/// Workers and batches in flight, and the anonymous memory that they take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Worker threads.
    pub threads: usize,
    /// Batches in a group: what is synced and committed as one.
    pub group_batches: usize,
    /// Most anonymous resident memory, in bytes. File pages come on top, but only as many as the groups in flight.
    pub anonymous_bytes: u64,
    /// Most resident pages of layer files that the job itself holds, in bytes.
    pub file_bytes: u64,
}

impl MemoryPlan {
    /// Plans for `threads` workers (0: one a core) and groups of `group_batches`, or fewer if `budget_bytes` (0: no limit) demands it.
    ///
    /// # Errors
    /// [`BudgetTooSmall`] if a group of one batch does not fit.
    pub fn new(plan: &Plan, threads: usize, group_batches: usize, budget_bytes: u64) -> Result<Self, BudgetTooSmall> {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let batch_bytes = plan.batch_bytes() as u64;
        let fixed_bytes = BASE_BYTES + threads as u64 * WORKER_BYTES + done_set_bytes(plan);
        let per_group_batch = GROUPS_IN_FLIGHT * batch_bytes;
        let affordable = match budget_bytes {
            0 => u64::MAX,
            budget => budget.saturating_sub(fixed_bytes) / per_group_batch,
        };
        if affordable == 0 {
            return Err(BudgetTooSmall {
                budget_bytes,
                needed_bytes: fixed_bytes + per_group_batch,
                threads,
            });
        }
        let group_batches = (group_batches.max(1) as u64)
            .min(affordable)
            .min(plan.batches().count());
        Ok(Self {
            threads,
            group_batches: group_batches as usize,
            anonymous_bytes: fixed_bytes + group_batches * per_group_batch,
            file_bytes: GROUPS_IN_FLIGHT * group_batches * plan.batch_stored_bytes() as u64,
        })
    }

    /// Most batches that are computed and not yet committed.
    pub fn in_flight_batches(&self) -> u64 {
        GROUPS_IN_FLIGHT * self.group_batches as u64
    }
}

/// One bit a batch: at most half a megabyte, for 2^32 epochs.
fn done_set_bytes(plan: &Plan) -> u64 {
    plan.batches().count().div_ceil(8)
}
