//! The threads that compute: a pool that is gone when it is dropped, with an arena for each of its workers.

use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::thread::{Scope, ScopedJoinHandle};

use rayon::{ThreadBuilder, ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};
use crate::remedy::{Argument, Remedy};
use crate::resources::{Registration, ResourceKind, THREAD_STACK_BYTES, register};
use keymill_xmss::arena::Arena;

fn not_started(threads: usize, source: &impl Display) -> Error {
    let what = format!("no further threads could be started ({threads} were asked for): {source}");
    Error::machine(what).mend([
        Remedy::RaiseThreads,
        Remedy::RaiseAddressSpace,
        Remedy::Fewer(Argument::Threads),
    ])
}

/// Starts one thread that ends with its scope, and is registered for as long.
#[track_caller]
pub(crate) fn spawn_scoped<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    operation: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>> {
    let registration = register(ResourceKind::Thread, THREAD_STACK_BYTES);
    let thread = std::thread::Builder::new().spawn_scoped(scope, move || {
        let _registration = registration;
        operation()
    });
    thread.map_err(|error| not_started(1, &error))
}

/// Starts one thread, which is waited for when what is given back is dropped.
#[cfg(feature = "serve")]
#[track_caller]
pub(crate) fn spawn(name: &str, operation: impl FnOnce() + Send + 'static) -> Result<Joined> {
    let registration = register(ResourceKind::Thread, THREAD_STACK_BYTES);
    let thread = std::thread::Builder::new()
        .name(format!("keymill-{name}"))
        .spawn(operation);
    let thread = thread.map_err(|error| not_started(1, &error))?;
    Ok(Joined(Some((thread, registration))))
}

/// A thread that is waited for when this is dropped.
#[cfg(feature = "serve")]
#[derive(Debug)]
pub(crate) struct Joined(Option<(JoinHandle<()>, Registration)>);

#[cfg(feature = "serve")]
impl Joined {
    /// Whether it has come to its end.
    pub(crate) fn has_ended(&self) -> bool {
        self.0.as_ref().is_none_or(|(thread, _)| thread.is_finished())
    }

    /// Does not wait for it.
    pub(crate) fn leave(mut self) {
        drop(self.0.take());
    }
}

#[cfg(feature = "serve")]
impl Drop for Joined {
    fn drop(&mut self) {
        if let Some((thread, registration)) = self.0.take() {
            // What panicked has said so.
            drop(thread.join());
            drop(registration);
        }
    }
}

/// Lets so many threads, this one among them, take one item after the other until there are none left. The first error ends
/// that: it is kept, `stop` is called, and no further item is taken.
pub(crate) fn side_by_side<T>(
    threads: usize,
    items: impl Iterator<Item = T> + Send,
    work: impl Fn(T) -> Result<()> + Sync,
    stop: impl Fn() + Sync,
) -> Result<()> {
    let left = Mutex::new(Ok(items));
    let left_now = || left.lock().unwrap_or_else(PoisonError::into_inner);
    let fail = |error: Error| {
        let mut left = left_now();
        if left.is_ok() {
            *left = Err(error);
            stop();
        }
    };
    let next = || left_now().as_mut().ok().and_then(Iterator::next);
    let take_all = || {
        while let Some(item) = next() {
            work(item).unwrap_or_else(&fail);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            if let Err(error) = spawn_scoped(scope, take_all) {
                fail(error);
                break;
            }
        }
        take_all();
    });
    left.into_inner().unwrap_or_else(PoisonError::into_inner).map(drop)
}

/// Does something when it is dropped, also in a panic.
pub(crate) struct WhenDropped<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for WhenDropped<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A pool of workers. Dropping it waits until its threads have ended.
#[derive(Debug)]
pub(crate) struct Workers {
    // In this order: dropping the pool tells its threads to end, dropping the threads waits for that.
    pool: ThreadPool,
    _threads: Threads,
    /// One a worker, by its index in the pool.
    arenas: Vec<Mutex<Arena>>,
    _arenas_registered: Vec<Registration>,
    arena_capacity_bytes: usize,
    arena_high_water_bytes: AtomicUsize,
}

impl Workers {
    /// Starts so many workers (0: one per core), each with an arena of so many bytes.
    pub(crate) fn start(threads: usize, arena_bytes: usize) -> Result<Self> {
        let count = match threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let mut threads = Threads(Vec::with_capacity(count));
        let pool = ThreadPoolBuilder::new()
            .num_threads(count)
            .spawn_handler(|worker| threads.spawn(worker))
            .build()
            .map_err(|error| not_started(count, &error))?;
        let arenas: Vec<_> = (0..count).map(|_| Mutex::new(Arena::new(arena_bytes))).collect();
        let arena_capacity_bytes = arenas.first().map_or(0, |arena| lock(arena).capacity_bytes());
        let register_arena = |_: &Mutex<Arena>| register(ResourceKind::Arena, arena_capacity_bytes as u64);
        Ok(Self {
            pool,
            _threads: threads,
            arena_capacity_bytes,
            _arenas_registered: arenas.iter().map(register_arena).collect(),
            arenas,
            arena_high_water_bytes: AtomicUsize::new(0),
        })
    }

    /// Number of workers.
    pub(crate) fn count(&self) -> usize {
        self.arenas.len()
    }

    /// Runs `operation` on a worker. What it makes parallel with rayon is shared among all of them.
    pub(crate) fn install<T: Send>(&self, operation: impl FnOnce() -> T + Send) -> T {
        self.pool.install(operation)
    }

    /// Runs `operation` once on each worker, all at the same time.
    pub(crate) fn on_each<T: Send>(&self, operation: impl Fn() -> T + Sync) -> Vec<T> {
        self.pool.broadcast(|_| operation())
    }

    /// Runs `operation` with the arena of the worker that calls this, and empties the arena. `operation` must not wait for
    /// other workers: one that waits may be given something else to do, and would wait for its own arena.
    pub(crate) fn with_arena<T>(&self, operation: impl FnOnce(&Arena) -> T) -> T {
        // Threads of another pool share the arenas among them.
        let worker = self.pool.current_thread_index().or_else(rayon::current_thread_index);
        let mut arena = lock(&self.arenas[worker.unwrap_or(0) % self.arenas.len()]);
        let result = operation(&arena);
        arena.reset();
        self.arena_high_water_bytes
            .fetch_max(arena.high_water_bytes(), Ordering::Relaxed);
        result
    }

    /// Bytes of an arena.
    pub(crate) fn arena_capacity_bytes(&self) -> usize {
        self.arena_capacity_bytes
    }

    /// Most that was in any of the arenas.
    pub(crate) fn arena_high_water_bytes(&self) -> usize {
        self.arena_high_water_bytes.load(Ordering::Relaxed)
    }
}

/// The pool's threads. Rayon does not wait for them.
#[derive(Debug)]
struct Threads(Vec<(JoinHandle<()>, Registration)>);

impl Threads {
    fn spawn(&mut self, worker: ThreadBuilder) -> std::io::Result<()> {
        let name = format!("keymill-{}", worker.index());
        let registration = register(ResourceKind::Thread, THREAD_STACK_BYTES);
        let thread = std::thread::Builder::new().name(name).spawn(|| worker.run())?;
        self.0.push((thread, registration));
        Ok(())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for (thread, registration) in self.0.drain(..) {
            // Rayon hands a panic on to the thread that waits for the result.
            drop(thread.join());
            drop(registration);
        }
    }
}

fn lock(arena: &Mutex<Arena>) -> MutexGuard<'_, Arena> {
    arena.lock().unwrap_or_else(|poisoned| {
        // What a panic has left in it is of no use.
        let mut arena = poisoned.into_inner();
        arena.reset();
        arena
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::time::{Duration, Instant};

    use rayon::iter::{IntoParallelIterator, ParallelIterator};

    use super::*;

    fn threads_named(name: &str) -> usize {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok());
        names.filter(|found| found.trim() == name).count()
    }

    #[test]
    fn no_thread_of_a_pool_is_left_when_it_is_dropped() {
        // No other test has so many workers, so that nobody else's thread has the name of the last.
        let workers = Workers::start(67, 0).unwrap();
        assert_eq!((workers.count(), workers.on_each(|| ()).len()), (67, 67));
        assert_eq!(threads_named("keymill-66"), 1);
        drop(workers);
        // A thread that has been joined can be seen for a moment yet: the kernel wakes the thread that waits before it forgets it.
        let until = Instant::now() + Duration::from_secs(10);
        while threads_named("keymill-66") > 0 {
            assert!(Instant::now() < until);
            std::thread::yield_now();
        }
    }

    #[test]
    fn each_worker_has_an_arena_of_its_own_which_is_emptied() {
        let workers = Workers::start(3, 1000).unwrap();
        let all_have_one = Barrier::new(3);
        for _ in 0..5 {
            workers.on_each(|| {
                workers.with_arena(|arena| {
                    all_have_one.wait();
                    arena.slice(900, 7u8).unwrap();
                });
            });
        }
        assert!((900..964).contains(&workers.arena_high_water_bytes()));
        assert!(workers.arena_capacity_bytes() >= 1000);
    }

    #[test]
    fn a_panic_reaches_who_waits_and_the_arena_is_empty_for_the_next() {
        let workers = Workers::start(2, 1000).unwrap();
        for _ in 0..5 {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                workers.install(|| {
                    workers.with_arena(|arena| {
                        arena.slice(900, 7u8).unwrap();
                        panic!("on purpose");
                    });
                });
            }));
            assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&"on purpose"));
        }
    }

    #[test]
    fn who_is_no_worker_has_an_arena_too() {
        let workers = Workers::start(2, 100).unwrap();
        let sum: u64 = workers.install(|| (0..100u64).into_par_iter().map(|n| n).sum());
        assert_eq!(sum, 4950);
        assert_eq!(workers.with_arena(|arena| *arena.put(5u32).unwrap()), 5);
    }
}
