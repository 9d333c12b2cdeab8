//! The batches that are in memory: a fixed set of places for their buffers, of which as many have one as the job may hold.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::batch::BatchBuffer;
use super::group_size::GroupSize;
use crate::failure::IoFailure;
use crate::units::BatchIndex;
use crate::workers::WhenDropped;

/// Groups in flight: one is computed while the other is committed.
const GROUPS: usize = 2;

/// The number of one of the places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BufferSlot(usize);

/// The buffers of a job. Workers take one that is free, fill it, and leave it to the committer, which gives it back; who
/// finds none waits. Nothing is allocated on the way, unless the limit is raised again.
pub(crate) struct InFlight {
    places: Vec<Mutex<BatchBuffer>>,
    queues: Mutex<Queues>,
    /// A buffer is free, or there is nothing more to wait for.
    is_free: Condvar,
    /// A batch is complete, or no other will be.
    is_complete: Condvar,
    batch_bytes: usize,
    /// Written to the layer files and not yet synced: pages that the kernel cannot drop.
    unsynced_bytes: AtomicU64,
}

/// Where each place is, if not with a worker or with the committer.
struct Queues {
    free: Vec<BufferSlot>,
    /// Those without a buffer.
    withdrawn: Vec<BufferSlot>,
    /// In the order in which they were completed.
    complete: VecDeque<BufferSlot>,
    /// As many may have a buffer, by the memory that there is.
    allowed: usize,
    /// Of which size groups are of use.
    size: GroupSize,
    /// There was no memory for a buffer, and it was said.
    is_short: bool,
    /// No more batches are begun.
    stopped: bool,
    /// No worker is left that could complete one.
    finished: bool,
}

impl Queues {
    /// Batches that may be in memory.
    fn limit(&self) -> usize {
        self.allowed.min(GROUPS * self.size.batches())
    }

    /// Batches of a group, of so many that are in memory. Half of what may be there, so that workers can go on while it is
    /// committed; and never more than there will be, for which the committer would wait for ever.
    fn group_batches(&self, in_memory: usize) -> usize {
        (self.limit().min(in_memory) / GROUPS).max(1)
    }
}

impl InFlight {
    /// Buffers for two groups of this size, of so many bytes a batch.
    pub(super) fn new(size: GroupSize, batch_bytes: usize) -> Result<Self, IoFailure> {
        let (most, wanted) = (GROUPS * size.most(), GROUPS * size.batches());
        let place = |number| {
            if number < wanted {
                BatchBuffer::new(batch_bytes).map(Mutex::new)
            } else {
                Ok(Mutex::default())
            }
        };
        let mut free = Vec::with_capacity(most);
        free.extend((0..wanted).map(BufferSlot));
        let mut withdrawn = Vec::with_capacity(most);
        withdrawn.extend((wanted..most).map(BufferSlot));
        Ok(Self {
            places: (0..most).map(place).collect::<Result<_, _>>()?,
            queues: Mutex::new(Queues {
                free,
                withdrawn,
                complete: VecDeque::with_capacity(most),
                allowed: most,
                size,
                is_short: false,
                stopped: false,
                finished: false,
            }),
            is_free: Condvar::new(),
            is_complete: Condvar::new(),
            batch_bytes,
            unsynced_bytes: AtomicU64::new(0),
        })
    }

    /// Batches that there are buffers for now.
    pub(crate) fn batches(&self) -> usize {
        self.in_memory(&self.queues())
    }

    /// Batches that there may be buffers for, by the memory that there is.
    pub(super) fn allowed(&self) -> usize {
        self.queues().allowed
    }

    /// Most batches that there can be buffers for.
    pub(crate) fn batches_max(&self) -> usize {
        self.places.len()
    }

    /// Sets how many batches may be in memory, one at least. The memory of buffers beyond that is given back: at once if
    /// they are free, else when they have been committed. A higher limit takes effect as far as there is memory: how many
    /// there may be now is returned.
    pub(crate) fn limit_to(&self, batches: usize) -> usize {
        let mut queues = self.queues();
        queues.allowed = batches.clamp(1, self.places.len());
        self.fit(&mut queues);
        if queues.is_short {
            queues.allowed = self.in_memory(&queues);
        }
        queues.allowed
    }

    /// Learns from a group how large the next ones have to be ([`GroupSize::learn`]).
    pub(super) fn learn(&self, batches: usize, commit: Duration, period: Duration) {
        let mut queues = self.queues();
        queues.size.learn(batches, commit, period);
        self.fit(&mut queues);
    }

    /// Takes or gives back buffers until there are as many as there may be, or no memory for more.
    fn fit(&self, queues: &mut Queues) {
        while self.is_over_limit(queues)
            && let Some(place) = queues.free.pop()
        {
            self.withdraw(place, queues);
        }
        let was_short = std::mem::take(&mut queues.is_short);
        while !queues.is_short
            && self.in_memory(queues) < queues.limit()
            && let Some(place) = queues.withdrawn.pop()
        {
            match self.buffer(place).renew(self.batch_bytes) {
                Ok(()) => queues.free.push(place),
                Err(failure) => {
                    queues.withdrawn.push(place);
                    queues.is_short = true;
                    if !was_short {
                        tracing::warn!("the job goes on with fewer batches in memory: {failure}");
                    }
                }
            }
        }
        self.is_free.notify_all();
        // A group may be smaller now.
        self.is_complete.notify_all();
    }

    fn in_memory(&self, queues: &Queues) -> usize {
        self.places.len() - queues.withdrawn.len()
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
    pub(super) fn take(&self, batch: BatchIndex, blocks: usize) -> Option<BufferSlot> {
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
    pub(super) fn buffer(&self, place: BufferSlot) -> MutexGuard<'_, BatchBuffer> {
        // A worker that panics takes the whole job with it.
        self.places[place.0].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a batch to the committer.
    pub(super) fn complete(&self, place: BufferSlot) {
        self.queues().complete.push_back(place);
        self.is_complete.notify_one();
    }

    /// The next group to commit; waits until it is together. It is empty when nothing more comes.
    pub(super) fn next_group(&self, group: &mut Vec<BufferSlot>) {
        group.clear();
        let mut queues = self.queues();
        while queues.complete.len() < queues.group_batches(self.in_memory(&queues)) && !queues.finished {
            let waited = self.is_complete.wait(queues);
            queues = waited.unwrap_or_else(PoisonError::into_inner);
        }
        let count = queues.group_batches(self.in_memory(&queues)).min(queues.complete.len());
        group.extend(queues.complete.drain(..count));
    }

    /// Gives back the buffers of a group that is committed.
    pub(super) fn give_back(&self, group: &[BufferSlot]) {
        let mut queues = self.queues();
        for &place in group {
            if self.is_over_limit(&queues) {
                self.withdraw(place, &mut queues);
            } else {
                queues.free.push(place);
            }
        }
        drop(queues);
        self.is_free.notify_all();
    }

    /// Stops the stream when dropped: no more batches are begun, and no thread waits for a buffer.
    pub(super) fn stop_when_dropped(&self) -> impl Drop {
        WhenDropped(|| self.change(|queues| queues.stopped = true))
    }

    /// Tells the committer when dropped that nothing more comes.
    pub(super) fn finish_when_dropped(&self) -> impl Drop {
        WhenDropped(|| self.change(|queues| queues.finished = true))
    }

    fn is_over_limit(&self, queues: &Queues) -> bool {
        self.in_memory(queues) > queues.limit()
    }

    fn withdraw(&self, place: BufferSlot, queues: &mut Queues) {
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
#[path = "in_flight_tests.rs"]
mod tests;
