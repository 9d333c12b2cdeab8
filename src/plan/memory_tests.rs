use std::path::PathBuf;

use super::*;
use keymill_xmss::scheme::Scheme;

const MIB: u64 = 1 << 20;

fn plan_of(epochs: u64) -> Plan {
    Plan::new(Scheme::by_id("leansig-p2-l32-top-v64-w8").unwrap(), 0, epochs).unwrap()
}

fn demand(threads: usize, group_batches: usize, memory: MemoryRequest) -> JobDemand {
    JobDemand {
        threads,
        group_batches,
        arena_bytes: 64 << 10,
        memory,
        held_bytes: 0,
        jobs: 1,
    }
}

fn cgroup(bytes: u64) -> Limits {
    Limits {
        memory: vec![
            Limit {
                bytes,
                source: LimitSource::Cgroup {
                    directory: PathBuf::from("/sys/fs/cgroup/job"),
                    file: "memory.max",
                },
            },
            physical(),
        ],
        address_bytes: None,
    }
}

fn physical() -> Limit {
    Limit {
        bytes: 1 << 40,
        source: LimitSource::PhysicalMemory,
    }
}

fn planned(threads: usize, group_batches: usize, bytes: u64) -> Result<MemoryPlan> {
    let demand = demand(threads, group_batches, MemoryRequest::AtMost(bytes));
    MemoryPlan::new(&plan_of(1 << 20), &demand, &Limits::default())
}

#[test]
fn groups_whose_size_is_not_asked_for_have_two_bounds_and_become_smaller_before_anything_else() {
    let bounds = |plan: &Plan, kib: u64| {
        let demand = demand(2, 0, MemoryRequest::AtMost(kib << 10));
        let planned = MemoryPlan::new(plan, &demand, &Limits::default()).ok()?;
        Some((planned.group_batches_first, planned.group_batches, planned.store))
    };
    let large = plan_of(1 << 20);
    let mut seen: Vec<_> = (0..1024).rev().map_while(|step| bounds(&large, 64 * step)).collect();
    seen.dedup();
    let (full, small) = (StoreBuffers::FULL, StoreBuffers::SMALL);
    let sizes = [
        (8, 32, full),
        (8, 16, full),
        (8, 8, full),
        (8, 8, small),
        (4, 4, small),
        (2, 2, small),
        (1, 1, small),
    ];
    assert_eq!(seen, sizes);
    // Of fewer batches than a group could have, where no halving meets the first size.
    let exact = |epochs| Plan::new(Scheme::by_id("leanvm-blake2s-l32-ts-v42-w8").unwrap(), 0, epochs).unwrap();
    let few = exact(15 << 10);
    assert_eq!(bounds(&few, 64 << 10), Some((8, 15, full)));
    assert!((0..1024).any(|step| bounds(&few, 64 * step) == Some((8, 8, full))));
    assert_eq!(bounds(&exact(5 << 10), 64 << 10), Some((5, 5, full)));
}

#[test]
fn the_budget_is_the_lowest_of_what_was_asked_for_and_what_is_allowed() {
    let plan = plan_of(1 << 18);
    let budget = |memory, limits: &Limits| {
        let budget = MemoryPlan::new(&plan, &demand(2, 8, memory), limits).unwrap().budget;
        budget.map(|limit| (limit.bytes, limit.source))
    };
    let limits = cgroup(100 * MIB);
    let of_cgroup = (100 * MIB, limits.memory[0].source.clone());
    assert_eq!(budget(MemoryRequest::Auto, &limits), Some(of_cgroup.clone()));
    assert_eq!(budget(MemoryRequest::AtMost(200 * MIB), &limits), Some(of_cgroup));
    let asked = (50 * MIB, LimitSource::Asked);
    assert_eq!(budget(MemoryRequest::AtMost(50 * MIB), &limits), Some(asked));
    assert_eq!(budget(MemoryRequest::NoLimit, &limits), None);
    assert_eq!(budget(MemoryRequest::Auto, &Limits::default()), None);
}

#[test]
fn what_costs_least_speed_is_made_smaller_first() {
    let all = planned(4, 64, 1 << 40).unwrap();
    assert_eq!((all.threads, all.group_batches, all.store), (4, 64, StoreBuffers::FULL));
    let mut before = all;
    let mut seen = Vec::new();
    for mib in (1..32).rev() {
        let Ok(now) = planned(4, 64, mib * MIB) else { break };
        assert!(now.budget_bytes() <= mib * MIB, "{now:?}");
        assert!(now.group_batches <= before.group_batches, "{now:?}");
        seen.push((now.store == StoreBuffers::FULL, now.group_batches));
        before = now;
    }
    seen.dedup();
    let expected = [
        (true, 64),
        (false, 64),
        (false, 32),
        (false, 16),
        (false, 8),
        (false, 4),
        (false, 2),
        (false, 1),
    ];
    // Steps of a mebibyte pass over some of the last ones.
    assert!(seen.iter().all(|choice| expected.contains(choice)), "{seen:?}");
    assert!(
        seen.is_sorted_by_key(|choice| expected.iter().position(|step| step == choice)),
        "{seen:?}"
    );
    assert!(seen.len() >= 4 && seen.contains(&(false, 32)), "{seen:?}");
}

#[test]
fn workers_become_fewer_only_if_their_number_was_not_asked_for_and_at_the_last() {
    let least = |threads| match planned(threads, 8, 1) {
        Err(error) => match error.reason() {
            Reason::TooLittleMemory { needed_bytes } => needed_bytes,
            _ => panic!("{error}"),
        },
        Ok(planned) => panic!("{planned:?}"),
    };
    let cores = std::thread::available_parallelism().unwrap().get();
    let one = planned(0, 8, least(1)).unwrap();
    assert_eq!((one.threads, one.group_batches, one.store), (1, 1, StoreBuffers::SMALL));
    assert_eq!(planned(0, 8, least(cores)).unwrap().threads, cores);
    assert_eq!(planned(0, 8, 1 << 40).unwrap().threads, cores);
    if cores > 1 {
        assert_eq!(planned(0, 8, least(cores) - 1).unwrap().threads, cores - 1);
        assert!(planned(cores, 8, least(cores) - 1).is_err());
    }
    assert!(planned(0, 8, least(1) - 1).is_err());
}

#[test]
fn too_small_a_budget_names_both_figures_and_where_it_comes_from() {
    let error = planned(3, 8, 1000).unwrap_err();
    let text = error.to_string();
    let beginning = "a memory budget of 1000 bytes (the memory setting) is too small: ";
    assert!(text.starts_with(beginning) && text.ends_with("3 threads"), "{text}");
    let remedies = [Remedy::RaiseBudget, Remedy::Fewer(Argument::Threads)];
    assert_eq!(error.remedies(), remedies);
    let auto = demand(1, 8, MemoryRequest::Auto);
    let error = MemoryPlan::new(&plan_of(1 << 18), &auto, &cgroup(4 * MIB)).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("4194304 bytes (cgroup '/sys/fs/cgroup/job', memory.max)"),
        "{text}"
    );
    assert_eq!(error.remedies(), [Remedy::RaiseCgroup]);
}

#[test]
fn layer_files_that_do_not_fit_into_the_address_space_are_refused_whatever_the_budget() {
    let plan = plan_of(1 << 26);
    let limits = |bytes| Limits {
        address_bytes: Some(bytes),
        ..Limits::default()
    };
    for memory in [
        MemoryRequest::Auto,
        MemoryRequest::NoLimit,
        MemoryRequest::AtMost(1 << 40),
    ] {
        let error = MemoryPlan::new(&plan, &demand(2, 8, memory), &limits(1 << 32)).unwrap_err();
        let Reason::TooLittleMemory { needed_bytes } = error.reason() else {
            panic!("{error}");
        };
        let (limit, layers) = (
            format!(" of {} bytes ", 1_u64 << 32),
            format!(" take {}", plan.layer_bytes()),
        );
        let text = error.to_string();
        assert!(
            text.contains("RLIMIT_AS") && text.contains(&limit) && text.ends_with(&layers),
            "{text}"
        );
        assert!(needed_bytes > plan.layer_bytes());
    }
    // What the files leave is the budget.
    let left = MemoryPlan::new(
        &plan,
        &demand(2, 8, MemoryRequest::Auto),
        &limits(plan.layer_bytes() + 600 * MIB),
    );
    let budget = left.unwrap().budget.unwrap();
    assert_eq!(budget.source, LimitSource::AddressSpace);
    assert!((64 * MIB..88 * MIB).contains(&budget.bytes), "{budget:?}");
}
