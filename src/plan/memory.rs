//! How much is kept in flight, so that memory does not depend on the lifetime.

use std::ops::RangeInclusive;

use super::sizes::Plan;
use crate::error::{Error, Reason, Result};
use crate::memory::{Limit, LimitSource, Limits};
use crate::remedy::{Argument, Remedy};

/// Anonymous memory that the program takes whatever it computes, beside what is listed here: code tables, stacks in use,
/// the progress display, and what RocksDB takes beside its buffers, also while it compacts.
const BASE_BYTES: u64 = 6 << 20;
/// Stack that a worker touches, beside its arena.
pub(crate) const WORKER_BYTES: u64 = 192 << 10;
/// Records and checksums of a batch in flight, on their way into the checkpoint store.
const BATCH_RECORD_BYTES: u64 = 512;
/// Part of a budget that is planned with. The job makes groups smaller when more than this is held, so that what was planned
/// must not be taken for that.
pub(crate) const PLANNED_PERCENT: u64 = 75;
/// Batches of the first groups of a job, where their number is not asked for.
const GROUP_BATCHES_FIRST: usize = 8;
/// Buffers of the largest group, where the number of its batches is not asked for.
const GROUP_BUFFER_BYTES: usize = 2 << 20;
/// Groups in flight: one is computed while the other is committed.
const GROUPS_IN_FLIGHT: u64 = 2;
/// Address space beside the layer files: the program, its libraries, stacks, and what the allocator reserves for each
/// thread without using it.
const ADDRESS_BYTES_BASE: u64 = 512 << 20;
/// The stack of a worker, as address space.
const ADDRESS_BYTES_WORKER: u64 = 4 << 20;

/// How much memory a job may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemoryRequest {
    /// As much as the limits of the machine leave: the lowest of them is the budget.
    #[default]
    Auto,
    /// At most so many bytes, or less where a limit is lower.
    AtMost(u64),
    /// There is no budget, and nothing is governed.
    NoLimit,
}

/// What RocksDB may take for its buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreBuffers {
    /// Records that are not yet in a table file, of all column families together.
    pub write_bytes: usize,
    /// Blocks of table files that were read.
    pub cache_bytes: usize,
}

impl StoreBuffers {
    /// Small and fixed, whatever the lifetime: a group's records are a few kilobytes.
    pub const FULL: Self = Self {
        write_bytes: 1 << 20,
        cache_bytes: 512 << 10,
    };
    /// RocksDB takes no smaller write buffer than 64 KiB, and there are two.
    pub const SMALL: Self = Self {
        write_bytes: 128 << 10,
        cache_bytes: 64 << 10,
    };

    fn bytes(self) -> u64 {
        (self.write_bytes + self.cache_bytes) as u64
    }
}

/// What a job may use of the machine, and what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JobDemand {
    /// Worker threads; 0 for one per core, or fewer if the budget demands it.
    pub(crate) threads: usize,
    /// Batches in a group, or fewer if the budget demands it; 0 for as many as time and memory suggest.
    pub(crate) group_batches: usize,
    /// Bytes of each worker's arena, as the scheme demands it.
    pub(crate) arena_bytes: usize,
    /// The budget.
    pub(crate) memory: MemoryRequest,
    /// Bytes that the caller holds beside the job.
    pub(crate) held_bytes: u64,
    /// Jobs that run side by side in this process and have the budget together.
    pub(crate) jobs: usize,
}

/// A limit leaves too little for the least that works, which takes so much and so many threads.
pub(super) fn too_small(limit: &Limit, needed_bytes: u64, threads: usize) -> Error {
    let what = format!(
        "a memory budget of {} bytes ({}) is too small: {needed_bytes} bytes are the least that works with {threads} thread{}",
        limit.bytes,
        limit.source,
        if threads == 1 { "" } else { "s" }
    );
    let raise = match limit.source {
        LimitSource::Asked => Remedy::RaiseBudget,
        LimitSource::Cgroup { .. } => Remedy::RaiseCgroup,
        LimitSource::AddressSpace => Remedy::RaiseAddressSpace,
        LimitSource::PhysicalMemory => Remedy::LargerMachine,
    };
    let fewer = (threads > 1).then_some(Remedy::Fewer(Argument::Threads));
    Error::machine(what)
        .because(Reason::TooLittleMemory { needed_bytes })
        .mend([raise])
        .mend(fewer)
}

/// Layer files are mapped, and count in the address space in full.
fn too_little_address_space(limit_bytes: u64, needed_bytes: u64, layer_bytes: u64) -> Error {
    let what = format!(
        "the limit on address space (RLIMIT_AS) of {limit_bytes} bytes is too small: {needed_bytes} bytes are the least that \
         works, of which the layer files take {layer_bytes}"
    );
    Error::machine(what)
        .because(Reason::TooLittleMemory { needed_bytes })
        .mend([Remedy::RaiseAddressSpace, Remedy::Fewer(Argument::Epochs)])
}

/// Workers and batches in flight, and the anonymous memory that they take.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryPlan {
    /// Worker threads.
    pub threads: usize,
    /// Most batches in a group: what is synced and committed as one.
    pub group_batches: usize,
    /// Batches in the first groups. They grow, up to the most, while their commits take more than a small part of the time.
    pub group_batches_first: usize,
    /// Bytes of each worker's arena.
    pub arena_bytes: usize,
    /// RocksDB's buffers.
    pub store: StoreBuffers,
    /// Most anonymous resident memory, in bytes. File pages come on top, but only as many as the groups in flight.
    pub anonymous_bytes: u64,
    /// Most resident pages of layer files that the job itself holds, in bytes.
    pub file_bytes: u64,
    /// What all this has to fit into, and what says so; none if there is no limit.
    pub budget: Option<Limit>,
}

impl MemoryPlan {
    /// Plans for a budget: the lowest of the limits and of what was asked for. Where it does not allow everything, what costs
    /// least speed is made smaller first: groups, down to the first ones; RocksDB's buffers; groups again; and then there are
    /// fewer workers, unless their number was asked for.
    ///
    /// # Errors
    /// [`Reason::TooLittleMemory`] if the least that works does not fit.
    pub(crate) fn new(plan: &Plan, demand: &JobDemand, limits: &Limits) -> Result<Self> {
        let (fewest, most) = match demand.threads {
            0 => (1, std::thread::available_parallelism().map_or(1, usize::from)),
            threads => (threads, threads),
        };
        let least = Self::of(plan, demand, fewest, 1, StoreBuffers::SMALL);
        let jobs = demand.jobs.max(1) as u64;
        least.check_address_space(plan, jobs, limits)?;
        let budget = budget(plan, fewest, jobs, demand.memory, limits);
        // Of one job. What is held is compared with the whole budget, since all of them hold it.
        let budget_bytes = budget.as_ref().map_or(u64::MAX, |limit| limit.bytes / jobs);
        let fits = |planned: &Self| planned.budget_bytes() <= budget_bytes;
        let (first, group_batches) = group_bounds(plan, demand);
        let choices = (fewest..=most).rev().flat_map(|threads| {
            let larger = halvings(group_batches).take_while(|&group_batches| group_batches > first);
            let full = larger
                .chain([first])
                .map(|group_batches| (group_batches, StoreBuffers::FULL));
            let small = halvings(first).map(|group_batches| (group_batches, StoreBuffers::SMALL));
            full.chain(small)
                .map(move |(group_batches, store)| (threads, group_batches, store))
        });
        let mut planned =
            choices.map(|(threads, group_batches, store)| Self::of(plan, demand, threads, group_batches, store));
        match (planned.find(fits), budget) {
            (Some(planned), budget) => Ok(Self { budget, ..planned }),
            (None, Some(budget)) => {
                // Of address space, what is mapped was taken off.
                let mapped = match budget.source {
                    LimitSource::AddressSpace => mapped_bytes(plan, fewest, jobs),
                    _ => 0,
                };
                let as_set = Limit {
                    bytes: budget.bytes.saturating_add(mapped),
                    ..budget
                };
                Err(too_small(&as_set, jobs * least.budget_bytes() + mapped, fewest))
            }
            // Without a budget everything fits.
            (None, None) => Ok(least),
        }
    }

    fn of(plan: &Plan, demand: &JobDemand, threads: usize, group_batches: usize, store: StoreBuffers) -> Self {
        let in_flight = GROUPS_IN_FLIGHT * group_batches as u64;
        let fixed_bytes = BASE_BYTES
            + demand.held_bytes
            + threads as u64 * (WORKER_BYTES + demand.arena_bytes as u64)
            + store.bytes()
            + done_set_bytes(plan);
        Self {
            threads,
            group_batches,
            group_batches_first: group_batches.min(group_bounds(plan, demand).0),
            arena_bytes: demand.arena_bytes,
            store,
            anonymous_bytes: fixed_bytes + in_flight * (plan.batch_bytes() as u64 + BATCH_RECORD_BYTES),
            file_bytes: in_flight * plan.batch_stored_bytes() as u64,
            budget: None,
        }
    }

    /// Batches of a group, the fewest and the most.
    pub(crate) fn group_bounds(&self) -> RangeInclusive<usize> {
        self.group_batches_first..=self.group_batches
    }

    /// Most batches that are computed and not yet committed.
    pub fn in_flight_batches(&self) -> u64 {
        GROUPS_IN_FLIGHT * self.group_batches as u64
    }

    /// The least budget that this fits into.
    fn budget_bytes(&self) -> u64 {
        budget_for(self.anonymous_bytes + self.file_bytes)
    }

    fn check_address_space(&self, plan: &Plan, jobs: u64, limits: &Limits) -> Result<()> {
        let needed_bytes = mapped_bytes(plan, self.threads, jobs) + jobs * self.anonymous_bytes;
        match limits.address_bytes {
            Some(limit_bytes) if limit_bytes < needed_bytes => {
                Err(too_little_address_space(limit_bytes, needed_bytes, plan.layer_bytes()))
            }
            _ => Ok(()),
        }
    }
}

/// The lowest of all that bounds memory.
fn budget(plan: &Plan, threads: usize, jobs: u64, asked: MemoryRequest, limits: &Limits) -> Option<Limit> {
    lowest(asked, limits, mapped_bytes(plan, threads, jobs))
}

/// The lowest of all that bounds memory, where so much address space is taken by no memory.
pub(super) fn lowest(asked: MemoryRequest, limits: &Limits, mapped_bytes: u64) -> Option<Limit> {
    let asked = match asked {
        MemoryRequest::NoLimit => return None,
        MemoryRequest::Auto => None,
        MemoryRequest::AtMost(bytes) => Some(Limit {
            bytes,
            source: LimitSource::Asked,
        }),
    };
    // What is mapped leaves so much address space for memory.
    let left = limits.address_bytes.map(|bytes| Limit {
        bytes: bytes.saturating_sub(mapped_bytes),
        source: LimitSource::AddressSpace,
    });
    let all = asked.into_iter().chain(limits.lowest().cloned()).chain(left);
    all.min_by_key(|limit| limit.bytes)
}

/// The least budget into which so much memory is planned.
pub(super) fn budget_for(bytes: u64) -> u64 {
    bytes.saturating_mul(100).div_ceil(PLANNED_PERCENT)
}

/// Address space that is taken, but by no memory.
fn mapped_bytes(plan: &Plan, threads: usize, jobs: u64) -> u64 {
    ADDRESS_BYTES_BASE + jobs * (plan.layer_bytes() + threads as u64 * ADDRESS_BYTES_WORKER)
}

/// One bit a batch: at most half a megabyte, for 2^32 epochs.
fn done_set_bytes(plan: &Plan) -> u64 {
    plan.batches().count().div_ceil(8)
}

/// Batches of the first groups and of the largest, if there is memory for them.
fn group_bounds(plan: &Plan, demand: &JobDemand) -> (usize, usize) {
    let (first, most) = match demand.group_batches {
        0 => (GROUP_BATCHES_FIRST, GROUP_BUFFER_BYTES / plan.batch_bytes().max(1)),
        batches => (batches, batches),
    };
    let bounded = |batches: usize| (batches as u64).min(plan.batches().count()) as usize;
    (bounded(first), bounded(most.max(first)))
}

/// A number, its half, and so on down to 1.
fn halvings(number: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(number), |&number| (number > 1).then_some(number / 2))
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
