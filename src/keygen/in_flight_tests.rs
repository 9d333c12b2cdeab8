use std::path::Path;
use std::time::Instant;

use super::*;
use crate::faults::{Fate, Faults};

const BYTES: usize = 1 << 20;

/// Anonymous memory of this process.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = status.lines().find(|line| line.starts_with("Anonymous:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

fn groups_of(batches: usize) -> GroupSize {
    GroupSize::new(batches..=batches)
}

fn take(in_flight: &InFlight) -> BufferSlot {
    let place = in_flight.take(BatchIndex(7), 1).unwrap();
    in_flight.buffer(place).fill(1);
    place
}

fn next_group(in_flight: &InFlight) -> Vec<BufferSlot> {
    let mut group = Vec::new();
    in_flight.next_group(&mut group);
    group
}

#[test]
fn what_is_withdrawn_goes_back_to_the_system_and_comes_again_when_the_limit_grows() {
    let in_flight = InFlight::new(groups_of(32), BYTES).unwrap();
    let is_given_back = || {
        let places: Vec<_> = (0..64).map(|_| take(&in_flight)).collect();
        let full_bytes = resident_bytes();
        // Those that are with a worker or the committer are left to them.
        assert_eq!(in_flight.limit_to(4), 4);
        assert_eq!(in_flight.batches(), 64);
        in_flight.give_back(&places);
        assert_eq!(in_flight.batches(), 4);
        let is_less = full_bytes.saturating_sub(resident_bytes()) > 30 << 20;
        assert_eq!(in_flight.limit_to(64), 64);
        is_less
    };
    // Other tests of this process take memory at the same time, though not at all times.
    assert!((0..20).any(|_| is_given_back()));
    in_flight.limit_to(4);
    in_flight.limit_to(1000);
    assert_eq!((in_flight.batches(), in_flight.batches_max()), (64, 64));
    in_flight.limit_to(0);
    assert_eq!(in_flight.batches(), 1);
    take(&in_flight);
}

#[test]
fn where_there_is_no_memory_to_grow_a_group_is_not_larger_than_the_buffers_that_there_are() {
    let in_flight = InFlight::new(groups_of(8), BYTES).unwrap();
    in_flight.limit_to(1);
    let this_thread = std::thread::current().id();
    let mut mappings = 0;
    // All buffers of all tests have this name: only those of this thread fail, from the third one on.
    let faults = Faults::below(Path::new("anonymous memory"), move |_, _| {
        if std::thread::current().id() != this_thread {
            return Fate::Pass;
        }
        mappings += 1;
        if mappings <= 2 { Fate::Pass } else { Fate::Fail(12) }
    });
    assert_eq!((in_flight.limit_to(16), in_flight.batches()), (3, 3));
    let places: Vec<_> = (0..3).map(|_| take(&in_flight)).collect();
    places.iter().for_each(|&place| in_flight.complete(place));
    let (group, is_late) = std::thread::scope(|scope| {
        let committer = scope.spawn(|| next_group(&in_flight));
        let begun = Instant::now();
        while !committer.is_finished() && begun.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let is_late = !committer.is_finished();
        drop(in_flight.finish_when_dropped());
        (committer.join().unwrap(), is_late)
    });
    assert!(!is_late && group == places[..1], "{group:?}");
    in_flight.give_back(&group);
    drop(faults);
    assert_eq!((in_flight.limit_to(16), in_flight.batches()), (16, 16));
}

#[test]
fn a_group_is_never_larger_than_half_of_what_may_be_in_memory() {
    let in_flight = InFlight::new(groups_of(8), 1).unwrap();
    for (limit, group_batches) in [(16, 8), (9, 4), (4, 2), (3, 1), (2, 1), (1, 1), (16, 8)] {
        in_flight.limit_to(limit);
        let places: Vec<_> = (0..limit).map(|_| take(&in_flight)).collect();
        let (first, rest) = places.split_at(group_batches);
        first.iter().for_each(|&place| in_flight.complete(place));
        assert_eq!(next_group(&in_flight), first, "limit {limit}");
        in_flight.give_back(first);
        in_flight.give_back(rest);
    }
}

/// Runs `operation` on another thread and gives it time to wait.
fn while_waiting<T: Send>(operation: impl FnOnce() -> T + Send, end: impl FnOnce()) -> T {
    std::thread::scope(|scope| {
        let waiting = scope.spawn(operation);
        std::thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished());
        end();
        waiting.join().unwrap()
    })
}

#[test]
fn who_waits_is_woken_by_whatever_ends_the_wait() {
    let in_flight = InFlight::new(groups_of(2), 1).unwrap();
    let places: Vec<_> = (0..4).map(|_| take(&in_flight)).collect();
    let taken = |end: &dyn Fn()| while_waiting(|| in_flight.take(BatchIndex(0), 1), end);
    assert_eq!(taken(&|| in_flight.give_back(&places[..1])), Some(places[0]));
    // A smaller limit makes smaller groups.
    in_flight.complete(places[0]);
    let group = while_waiting(|| next_group(&in_flight), || _ = in_flight.limit_to(3));
    assert_eq!(group, &places[..1]);
    in_flight.give_back(&group);
    assert_eq!(in_flight.batches(), 3);
    assert!(taken(&|| _ = in_flight.limit_to(4)).is_some());
    in_flight.complete(places[1]);
    let group = while_waiting(|| next_group(&in_flight), || drop(in_flight.finish_when_dropped()));
    assert_eq!(group, &places[1..2]);
    assert_eq!(next_group(&in_flight), &[]);
    assert_eq!(taken(&|| drop(in_flight.stop_when_dropped())), None);
}

#[test]
fn groups_grow_and_shrink_with_what_their_commits_take_and_memory_bounds_them() {
    let in_flight = InFlight::new(GroupSize::new(2..=8), BYTES).unwrap();
    assert_eq!((in_flight.batches(), in_flight.batches_max()), (4, 16));
    let (short, long) = (Duration::from_millis(1), Duration::from_millis(100));
    in_flight.learn(2, long, long);
    assert_eq!(in_flight.batches(), 8);
    in_flight.learn(4, long, long);
    assert_eq!(in_flight.batches(), 16);
    assert_eq!((in_flight.limit_to(4), in_flight.batches()), (4, 4));
    in_flight.learn(8, long, long);
    assert_eq!(in_flight.batches(), 4);
    assert_eq!((in_flight.limit_to(16), in_flight.batches()), (16, 16));
    in_flight.learn(8, short, long);
    assert_eq!(in_flight.batches(), 8);
    assert_eq!(in_flight.allowed(), 16);
}
