//! The threads of a service: workers that compute, and committers that write ledgers.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::figures::EngineFigures;
use super::keys::{KeyIndex, Keys};
use super::order::{Answer, Request, tasks};
use super::work::{Block, Reading, Work};
use crate::error::Result;
use crate::workers::{Joined, spawn};

/// Ledgers that are written side by side. A committer waits for the disk and computes nothing.
const COMMITTERS_MAX: usize = 4;

/// How often the threads are looked at when they are to end.
const END_POLL: Duration = Duration::from_millis(1);

/// How many threads a service has, and how much may wait for them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EngineOptions {
    pub(crate) workers: usize,
    pub(crate) waiting_max: usize,
    /// For the threads to end.
    pub(crate) threads_end_max: Duration,
}

/// Why something is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAdmitted {
    /// It is more than may ever wait.
    TooMany {
        /// What may wait.
        most: usize,
    },
    /// As much waits as may wait.
    QueueFull,
    /// The service ends.
    Closed,
}

/// The threads. Dropping them [ends](Self::end) them.
pub(crate) struct Engine {
    shared: Arc<Shared>,
    threads: Vec<Joined>,
    threads_end_max: Duration,
}

/// What the threads share.
pub(super) struct Shared {
    pub(super) keys: Keys,
    pub(super) work: Mutex<Work>,
    pub(super) for_workers: Condvar,
    pub(super) for_committers: Condvar,
    pub(super) figures: EngineFigures,
    waiting_max: usize,
}

impl Engine {
    /// Starts the threads.
    pub(crate) fn start(keys: Keys, options: EngineOptions, figures: EngineFigures) -> Result<Self> {
        let count = keys.ledgers().len();
        let mut work = Work::of(count);
        for (number, key) in keys.iter().enumerate() {
            if let Some(epoch) = key.next_epoch() {
                let key = KeyIndex(number);
                work.add_ahead(Block { key, epoch });
            }
        }
        let shared = Arc::new(Shared {
            work: Mutex::new(work),
            keys,
            waiting_max: options.waiting_max,
            for_workers: Condvar::new(),
            for_committers: Condvar::new(),
            figures,
        });
        let mut engine = Self {
            shared,
            threads: Vec::new(),
            threads_end_max: options.threads_end_max,
        };
        for number in 0..options.workers {
            engine.spawn(&format!("worker-{number}"), Shared::compute)?;
        }
        for number in 0..COMMITTERS_MAX.min(count) {
            engine.spawn(&format!("committer-{number}"), Shared::commit_groups)?;
        }
        Ok(engine)
    }

    fn spawn(&mut self, name: &str, run: fn(&Shared)) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        self.threads.push(spawn(name, move || run(&shared))?);
        Ok(())
    }

    /// The keys.
    pub(crate) fn keys(&self) -> &Keys {
        &self.shared.keys
    }

    /// How many requests are admitted and not answered.
    pub(crate) fn waiting(&self) -> usize {
        self.shared.work().admitted
    }

    /// How many may be.
    pub(crate) fn waiting_max(&self) -> usize {
        self.shared.waiting_max
    }

    /// Admits requests that are answered together, or none of them.
    pub(crate) fn submit(&self, requests: Vec<Request>, answer: Answer) -> Result<(), NotAdmitted> {
        let count = requests.len();
        let mut work = self.shared.admit(count)?;
        let shared = Arc::downgrade(&self.shared);
        let answer = move |outcomes| {
            if let Some(shared) = shared.upgrade() {
                shared.fewer(count);
            }
            answer(outcomes);
        };
        work.add_new(tasks(requests, Box::new(answer)), self.keys());
        drop(work);
        self.shared.for_workers.notify_all();
        Ok(())
    }

    /// Whether it takes nothing more.
    pub(crate) fn is_ending(&self) -> bool {
        self.shared.work().is_ending
    }

    /// Admits something that is read on a worker, and counts as so many requests.
    pub(crate) fn read(&self, count: usize, reading: impl FnOnce(&Keys) + Send + 'static) -> Result<(), NotAdmitted> {
        let mut work = self.shared.admit(count)?;
        let counted_down = CountedDown(Arc::downgrade(&self.shared), count);
        let counted: Reading = Box::new(move |keys| {
            let _answered = counted_down;
            reading(keys);
        });
        work.add_reading(counted);
        drop(work);
        self.shared.for_workers.notify_one();
        Ok(())
    }
}

impl Engine {
    /// Ends the threads; what waits is answered with an error. Says whether all of them have ended in time: one that waits for a
    /// disk that does not answer is left behind.
    pub(crate) fn end(mut self) -> bool {
        self.end_threads()
    }

    fn end_threads(&mut self) -> bool {
        let mut work = self.shared.work();
        work.is_ending = true;
        let abandoned = work.abandon();
        drop(work);
        // What is dropped is answered, and takes the lock for that.
        drop(abandoned);
        self.shared.for_workers.notify_all();
        self.shared.for_committers.notify_all();
        let begun = Instant::now();
        while !self.threads.iter().all(Joined::has_ended) && begun.elapsed() < self.threads_end_max {
            std::thread::sleep(END_POLL);
        }
        let threads = std::mem::take(&mut self.threads);
        let (ended, left): (Vec<_>, Vec<_>) = threads.into_iter().partition(Joined::has_ended);
        drop(ended);
        let is_whole = left.is_empty();
        left.into_iter().for_each(Joined::leave);
        is_whole
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.end_threads();
    }
}

/// A reading is no longer waited for, whether it came to its end or not.
struct CountedDown(Weak<Shared>, usize);

impl Drop for CountedDown {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.fewer(self.1);
        }
    }
}

impl Shared {
    pub(super) fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self, count: usize) -> Result<MutexGuard<'_, Work>, NotAdmitted> {
        let mut work = self.work();
        if work.is_ending {
            return Err(NotAdmitted::Closed);
        }
        if count > self.waiting_max {
            return Err(NotAdmitted::TooMany { most: self.waiting_max });
        }
        if work.admitted + count > self.waiting_max {
            return Err(NotAdmitted::QueueFull);
        }
        work.admitted += count;
        Ok(work)
    }

    fn fewer(&self, count: usize) {
        self.work().admitted -= count;
    }
}
