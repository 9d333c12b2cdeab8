use std::path::PathBuf;

use super::*;
use crate::memory::{LimitSource, ProcessMemory, SharedUsage, Usage};

const MIB: u64 = 1 << 20;

fn budget() -> Limit {
    Limit {
        bytes: 100 * MIB,
        source: LimitSource::Asked,
    }
}

/// So many mebibytes of anonymous memory, of a budget of 100.
fn own(mib: u64) -> Usage {
    Usage {
        process: ProcessMemory {
            anonymous_bytes: mib * MIB,
            ..ProcessMemory::default()
        },
        ..Usage::default()
    }
}

fn held(mib: u64) -> HeldMemory {
    HeldMemory::new(&budget(), &own(mib), 0)
}

/// What is done about samples with so many per cent held, but for those where nothing is.
fn actions(policy: &mut Policy, samples: impl IntoIterator<Item = u64>) -> Vec<Action> {
    let actions = samples
        .into_iter()
        .map(|percent| policy.decide(&held(percent), None, policy.limit));
    actions.filter(|action| *action != Action::Keep).collect()
}

#[test]
fn clean_file_pages_are_not_held_and_everything_else_is() {
    let process = ProcessMemory {
        anonymous_bytes: 10 * MIB,
        shared_bytes: 3 * MIB,
        file_bytes: 1 << 40,
        resident_bytes: 1 << 41,
        ..ProcessMemory::default()
    };
    let mut usage = Usage {
        process,
        ..Usage::default()
    };
    let held = HeldMemory::new(&budget(), &usage, 2 * MIB);
    assert_eq!((held.bytes, &held.limit), (15 * MIB, &budget()));
    // A cgroup of which a larger part is held, by whomever, counts instead.
    let limit = Limit {
        bytes: 200 * MIB,
        source: LimitSource::Cgroup {
            directory: PathBuf::from("/job"),
            file: "memory.max",
        },
    };
    let mut shared = SharedUsage {
        limit: limit.clone(),
        used_bytes: 199 * MIB,
        held_bytes: 29 * MIB,
        dirty_bytes: 0,
    };
    usage.shared = Some(shared.clone());
    assert_eq!(HeldMemory::new(&budget(), &usage, 2 * MIB), held);
    shared.held_bytes = 31 * MIB;
    usage.shared = Some(shared);
    let expected = HeldMemory {
        bytes: 31 * MIB,
        dirty_bytes: 0,
        limit,
    };
    assert_eq!(HeldMemory::new(&budget(), &usage, 2 * MIB), expected);
}

#[test]
fn what_neighbours_have_to_write_makes_groups_smaller_and_ends_no_job() {
    let mut policy = Policy::new(16, 16);
    let held = |dirty_bytes| HeldMemory {
        bytes: 97 * MIB,
        dirty_bytes,
        limit: budget(),
    };
    assert_eq!(policy.decide(&held(60 * MIB), None, policy.limit), Action::Shrink(8));
    assert_eq!(policy.decide(&held(MIB), None, policy.limit), Action::Stop);
}

#[test]
fn from_85_per_cent_on_groups_are_halved_again_and_again_down_to_one_batch_and_not_below() {
    let mut policy = Policy::new(16, 16);
    assert_eq!(actions(&mut policy, [84; 100]), []);
    let shrunk = actions(&mut policy, [85; 100]);
    assert_eq!(shrunk, [8, 4, 2, 1].map(Action::Shrink));
    assert_eq!(actions(&mut policy, [94; 100]), []);
}

#[test]
fn a_shrink_gets_time_to_be_seen_before_the_next_one() {
    let mut policy = Policy::new(16, 16);
    let decisions: Vec<Action> = (0..4).map(|_| policy.decide(&held(90), None, policy.limit)).collect();
    let expected = [Action::Shrink(8), Action::Keep, Action::Shrink(4), Action::Keep];
    assert_eq!(decisions, expected);
}

#[test]
fn from_95_per_cent_on_the_job_ends_at_once() {
    assert_eq!(Policy::new(16, 16).decide(&held(95), None, 16), Action::Stop);
    let mut policy = Policy::new(1, 1);
    assert_eq!(actions(&mut policy, [90, 90, 96]), [Action::Stop]);
}

#[test]
fn groups_grow_back_step_by_step_after_calm_and_not_beyond_what_they_were() {
    let mut policy = Policy::new(12, 12);
    assert_eq!(actions(&mut policy, [90; 100]).last(), Some(&Action::Shrink(1)));
    // Between the two marks nothing happens, in either direction.
    assert_eq!(actions(&mut policy, [75; 1000]), []);
    let calm = CALM_SAMPLES as usize;
    assert_eq!(actions(&mut policy, vec![74; calm - 1]), []);
    assert_eq!(actions(&mut policy, [74]), [Action::Grow(2)]);
    let grown = actions(&mut policy, vec![10; 10 * calm]);
    assert_eq!(grown, [4, 8, 12].map(Action::Grow));
    assert_eq!(actions(&mut policy, [10; 1000]), []);
}

#[test]
fn a_single_sample_without_calm_begins_the_wait_anew() {
    let mut policy = Policy::new(2, 2);
    actions(&mut policy, [90]);
    let calm = CALM_SAMPLES as usize;
    for _ in 0..10 {
        assert_eq!(actions(&mut policy, vec![50; calm - 1]), []);
        assert_eq!(actions(&mut policy, [80]), []);
    }
}

#[test]
fn nothing_grows_back_while_processes_wait_for_memory() {
    let mut policy = Policy::new(2, 2);
    assert_eq!(policy.decide(&held(90), Some(90.0), policy.limit), Action::Shrink(1));
    for _ in 0..100 {
        assert_eq!(policy.decide(&held(10), Some(10.0), policy.limit), Action::Keep);
    }
    for _ in 1..CALM_SAMPLES {
        assert_eq!(policy.decide(&held(10), Some(9.9), policy.limit), Action::Keep);
    }
    assert_eq!(policy.decide(&held(10), Some(9.9), policy.limit), Action::Grow(2));
}

#[test]
fn a_later_round_begins_with_as_many_batches_as_the_one_before_ended_with() {
    let in_flight = InFlight::new(crate::keygen::group_size::GroupSize::new(2..=2), 1).unwrap();
    in_flight.limit_to(2);
    let mut policy = Policy::of(&in_flight);
    assert_eq!(actions(&mut policy, vec![10; CALM_SAMPLES as usize]), [Action::Grow(4)]);
}
