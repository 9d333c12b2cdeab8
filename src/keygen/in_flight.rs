//! The batches that are in memory: a fixed set of places for their buffers, of which as many have one as the job may hold.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::batch::BatchBuffer;
use crate::failure::IoFailure;
use crate::units::BatchIndex;
use crate::workers::WhenDropped;

/// Groups in flight: one is computed while the other is committed.
const GROUPS: usize = 2;

/// The number of one of the places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(usize);

/// The buffers of a job. Workers take one that is free, fill it, and leave it to the committer, which gives it back; who
/// finds none waits. Nothing is allocated on the way, unless the limit is raised again.
pub(crate) struct InFlight {
    places: Vec<Mutex<BatchBuffer>>,
    queues: Mutex<Queues>,
    /// A buffer is free, or there is nothing more to wait for.
    is_free: Condvar,
    /// A batch is complete, or no other will be.
    is_complete: Condvar,
    group_batches: usize,
    batch_bytes: usize,
    /// Written to the layer files and not yet synced: pages that the kernel cannot drop.
    unsynced_bytes: AtomicU64,
}

/// Where each place is, if not with a worker or with the committer.
struct Queues {
    free: Vec<Place>,
    /// Those without a buffer.
    withdrawn: Vec<Place>,
    /// In the order in which they were completed.
    complete: VecDeque<Place>,
    limit: usize,
    /// No more batches are begun.
    stopped: bool,
    /// No worker is left that could complete one.
    finished: bool,
}

impl InFlight {
    /// Buffers for two groups of this many batches, of so many bytes each.
    pub(crate) fn new(group_batches: usize, batch_bytes: usize) -> Result<Self, IoFailure> {
        let most = GROUPS * group_batches;
        let places = (0..most).map(|_| BatchBuffer::new(batch_bytes).map(Mutex::new));
        Ok(Self {
            places: places.collect::<Result<_, _>>()?,
            queues: Mutex::new(Queues {
                free: (0..most).map(Place).collect(),
                withdrawn: Vec::with_capacity(most),
                complete: VecDeque::with_capacity(most),
                limit: most,
                stopped: false,
                finished: false,
            }),
            is_free: Condvar::new(),
            is_complete: Condvar::new(),
            group_batches,
            batch_bytes,
            unsynced_bytes: AtomicU64::new(0),
        })
    }

    /// Batches that there are buffers for now.
    pub(crate) fn batches(&self) -> usize {
        self.places.len() - self.queues().withdrawn.len()
    }

    /// Most batches that there can be buffers for.
    pub(crate) fn batches_max(&self) -> usize {
        self.places.len()
    }

    /// Sets how many batches may be in memory, one at least. The memory of buffers beyond that is given back: at once if
    /// they are free, else when they have been committed. A higher limit takes effect as far as there is memory: the one
    /// that holds now is returned.
    pub(crate) fn limit_to(&self, batches: usize) -> usize {
        let mut queues = self.queues();
        queues.limit = batches.clamp(1, self.places.len());
        while self.is_over_limit(&queues)
            && let Some(place) = queues.free.pop()
        {
            self.withdraw(place, &mut queues);
        }
        while self.places.len() - queues.withdrawn.len() < queues.limit
            && let Some(place) = queues.withdrawn.pop()
        {
            match self.buffer(place).renew(self.batch_bytes) {
                Ok(()) => queues.free.push(place),
                Err(failure) => {
                    tracing::warn!("the job goes on with fewer batches in memory: {failure}");
                    queues.withdrawn.push(place);
                    break;
                }
            }
        }
        // Groups are made for it: the committer would wait for ever for batches without a buffer.
        queues.limit = queues.limit.min(self.places.len() - queues.withdrawn.len());
        let limit = queues.limit;
        drop(queues);
        self.is_free.notify_all();
        // A group may be smaller now.
        self.is_complete.notify_all();
        limit
    }

    /// Bytes of batches that are written to the layer files and not yet synced.
    pub(super) fn unsynced_bytes(&self) -> u64 {
        self.unsynced_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn add_unsynced(&self, bytes: usize) {
        self.unsynced_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn all_is_synced(&self) {
        self.unsynced_bytes.store(0, Ordering::Relaxed);
    }

    /// Begins a stream of batches, of which none is in memory.
    pub(super) fn begin(&self) {
        let mut queues = self.queues();
        queues.stopped = false;
        queues.finished = false;
    }

    /// A free buffer for a batch of so many blocks; waits until there is one. None when the stream is stopped.
    pub(super) fn take(&self, batch: BatchIndex, blocks: usize) -> Option<Place> {
        let waiting = |queues: &mut Queues| !queues.stopped && queues.free.is_empty();
        let waited = self.is_free.wait_while(self.queues(), waiting);
        let mut queues = waited.unwrap_or_else(PoisonError::into_inner);
        if queues.stopped {
            return None;
        }
        let place = queues.free.pop()?;
        drop(queues);
        self.buffer(place).begin(batch, blocks);
        Some(place)
    }

    /// The buffer at a place, for a worker that adds to it or for the committer.
    pub(super) fn buffer(&self, place: Place) -> MutexGuard<'_, BatchBuffer> {
        // A worker that panics takes the whole job with it.
        self.places[place.0].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a batch to the committer.
    pub(super) fn complete(&self, place: Place) {
        self.queues().complete.push_back(place);
        self.is_complete.notify_one();
    }

    /// The next group to commit; waits until it is together. It is empty when nothing more comes.
    pub(super) fn next_group(&self, group: &mut Vec<Place>) {
        group.clear();
        let mut queues = self.queues();
        while queues.complete.len() < self.group_batches(&queues) && !queues.finished {
            let waited = self.is_complete.wait(queues);
            queues = waited.unwrap_or_else(PoisonError::into_inner);
        }
        let count = self.group_batches(&queues).min(queues.complete.len());
        group.extend(queues.complete.drain(..count));
    }

    /// Gives back the buffers of a group that is committed.
    pub(super) fn give_back(&self, group: &[Place]) {
        let mut queues = self.queues();
        for &place in group {
            match self.is_over_limit(&queues) {
                true => self.withdraw(place, &mut queues),
                false => queues.free.push(place),
            }
        }
        drop(queues);
        self.is_free.notify_all();
    }

    /// Stops the stream when dropped: no more batches are begun, and nobody waits for a buffer.
    pub(super) fn stop_when_dropped(&self) -> impl Drop {
        WhenDropped(|| self.change(|queues| queues.stopped = true))
    }

    /// Tells the committer when dropped that nothing more comes.
    pub(super) fn finish_when_dropped(&self) -> impl Drop {
        WhenDropped(|| self.change(|queues| queues.finished = true))
    }

    /// Batches of a group. Half of what may be in memory, so that workers can go on while it is committed; and never more
    /// than there will be, for which the committer would wait for ever.
    fn group_batches(&self, queues: &Queues) -> usize {
        self.group_batches.min(queues.limit / GROUPS).max(1)
    }

    fn is_over_limit(&self, queues: &Queues) -> bool {
        self.places.len() - queues.withdrawn.len() > queues.limit
    }

    fn withdraw(&self, place: Place, queues: &mut Queues) {
        self.buffer(place).free();
        queues.withdrawn.push(place);
    }

    /// Changes the queues, and wakes every thread that waits.
    fn change(&self, change: impl FnOnce(&mut Queues)) {
        change(&mut self.queues());
        self.is_free.notify_all();
        self.is_complete.notify_all();
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::faults::{Fate, Faults};

    const BYTES: usize = 1 << 20;

    /// Anonymous memory of this process.
    fn resident_bytes() -> u64 {
        let status = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
        let line = status.lines().find(|line| line.starts_with("Anonymous:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    }

    fn take(in_flight: &InFlight) -> Place {
        let place = in_flight.take(BatchIndex(7), 1).unwrap();
        in_flight.buffer(place).fill(1);
        place
    }

    fn next_group(in_flight: &InFlight) -> Vec<Place> {
        let mut group = Vec::new();
        in_flight.next_group(&mut group);
        group
    }

    #[test]
    fn what_is_withdrawn_goes_back_to_the_system_and_comes_again_when_the_limit_grows() {
        let in_flight = InFlight::new(32, BYTES).unwrap();
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
        let in_flight = InFlight::new(8, BYTES).unwrap();
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
        let in_flight = InFlight::new(8, 1).unwrap();
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
        let in_flight = InFlight::new(2, 1).unwrap();
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
}
