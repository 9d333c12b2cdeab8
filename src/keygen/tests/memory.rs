//! What a job holds, beside what was planned for it.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{LARGE_QUICK, LARGE_SCHEME, in_memory, open_large};
use crate::alone::is_alone;
use crate::error::Reason;
use crate::keygen::{Event, JobOptions, Progress};
use crate::memory::{Limits, ProcessMemory};
use crate::plan::{JobDemand, MemoryPlan, MemoryRequest, Plan, StoreBuffers};
use crate::units::Level;
use keymill_xmss::scheme::Scheme;

/// Looks after each group.
#[derive(Default)]
struct Watch {
    anonymous_bytes_max: AtomicU64,
}

impl Progress for Watch {
    fn event(&self, event: Event) {
        if matches!(event, Event::Committed { .. } | Event::Phase(_)) {
            let bytes = ProcessMemory::read().unwrap().anonymous_bytes;
            self.anonymous_bytes_max.fetch_max(bytes, Ordering::Relaxed);
        }
    }
}

/// Makes a key of very many batches, and gives what was planned for it and the most that was held.
fn planned_and_held(group_batches: usize, memory: MemoryRequest) -> (MemoryPlan, u64) {
    let parent = in_memory();
    let options = JobOptions::DEFAULT
        .threads(2)
        .group_batches(group_batches)
        .memory(memory);
    let job = open_large(&parent.path().join("key"), 1 << 24, 8, options);
    let planned = job.memory().unwrap().clone();
    let watch = Watch::default();
    job.run_with(&LARGE_QUICK, &watch).unwrap();
    (planned, watch.anonymous_bytes_max.into_inner())
}

fn least_bytes() -> u64 {
    let scheme = Scheme::by_id(LARGE_SCHEME).unwrap();
    let plan = Plan::new(scheme, 0, 1 << 24).unwrap().trimmed(Level(8)).unwrap();
    let demand = JobDemand {
        threads: 2,
        group_batches: 1,
        arena_bytes: scheme.scratch_bytes(),
        memory: MemoryRequest::AtMost(1),
        held_bytes: 0,
        jobs: 1,
    };
    match MemoryPlan::new(&plan, &demand, &Limits::default()) {
        Err(error) => match error.reason() {
            Reason::TooLittleMemory { needed_bytes } => needed_bytes,
            _ => panic!("{error}"),
        },
        Ok(planned) => panic!("{planned:?}"),
    }
}

// Each has a process of its own: what an earlier job gave back, the allocator need not have given to the system.

#[test]
fn no_job_holds_more_than_was_planned_with_the_store_at_work() {
    if is_alone("keygen::tests::memory::no_job_holds_more_than_was_planned_with_the_store_at_work") {
        let (planned, held_bytes) = planned_and_held(8, MemoryRequest::NoLimit);
        assert_eq!(planned.store, StoreBuffers::FULL);
        assert!(held_bytes <= planned.anonymous_bytes, "{held_bytes} of {planned:?}");
        // Not by far too much: the larger part of it is held.
        assert!(2 * held_bytes > planned.anonymous_bytes, "{held_bytes} of {planned:?}");
    }
}

#[test]
fn a_job_in_the_least_memory_holds_no_more_than_was_planned() {
    if is_alone("keygen::tests::memory::a_job_in_the_least_memory_holds_no_more_than_was_planned") {
        let (planned, held_bytes) = planned_and_held(8, MemoryRequest::AtMost(least_bytes()));
        assert_eq!((planned.store, planned.group_batches), (StoreBuffers::SMALL, 1));
        assert!(held_bytes <= planned.anonymous_bytes, "{held_bytes} of {planned:?}");
    }
}

#[test]
fn a_job_of_very_large_groups_holds_no_more_than_was_planned() {
    if is_alone("keygen::tests::memory::a_job_of_very_large_groups_holds_no_more_than_was_planned") {
        let (planned, held_bytes) = planned_and_held(1024, MemoryRequest::NoLimit);
        assert!(held_bytes <= planned.anonymous_bytes, "{held_bytes} of {planned:?}");
    }
}
