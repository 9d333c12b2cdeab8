//! What can be known before RocksDB is asked, which tells less, or ends the process.

use std::hint::black_box;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread::Builder;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, getrlimit};
use rustix::thread::gettid;

use super::StateError;
use super::log_records::recycled_record;
use crate::failure::{IoFailure, attempt};
use crate::files::{Directory, Entry, not_regular};
use crate::memory::ProcessMemory;

/// Threads that RocksDB starts with the first store of a process and never ends, for background jobs. It ends the process if it
/// cannot.
const BACKGROUND_THREADS: usize = 2;
/// One that keeps time while a store can be written to.
const TIMER_THREADS: usize = 1;
/// The stack of a thread that is started to see whether it can be.
const STACK_BYTES: usize = 64 << 10;
/// That of RocksDB's, where RLIMIT_STACK sets none (pthread_create(3), on x86-64).
const DEFAULT_STACK_BYTES: u64 = 2 << 20;
/// What glibc reserves for the heap of a thread.
const HEAP_BYTES: u64 = 64 << 20;
/// Address space that RocksDB takes beside its threads: 45 MiB at most were seen, for a default cache of each column family
/// that is exchanged for ours. RocksDB ends the process if one cannot be reserved.
const ADDRESS_BYTES: u64 = 96 << 20;

/// How long threads that have ended are waited for.
const GONE_AFTER_MAX: Duration = Duration::from_secs(1);

/// Whether RocksDB has its threads for background jobs.
static IS_RUNNING: AtomicBool = AtomicBool::new(false);

/// Takes note that a store was opened in this process.
pub(super) fn note_opened() {
    IS_RUNNING.store(true, Ordering::Relaxed);
}

/// Looks whether there are files of a store, and whether all of them can be read. Gives the directory that they are in.
pub(super) fn look_at_files(state: &Entry) -> Result<Directory, StateError> {
    let damaged = |message| StateError::Damaged {
        path: state.path().to_owned(),
        message,
    };
    // A link is not followed. Without this file RocksDB would answer with a bare I/O error.
    if !state.is_directory()? || !state.join("CURRENT").exists()? {
        let message = "it is missing, is a link or a file, or has no CURRENT file";
        return Err(damaged(message.to_owned()));
    }
    let directory = state.open_directory()?;
    // RocksDB takes files that it may not read for damage. They are not: what can be read tomorrow must not be moved aside.
    let is_foreign = |failure: &IoFailure| not_regular(failure).is_some() && !is_read(&failure.path);
    let failed = |failure: IoFailure| match not_regular(&failure) {
        // It would wait at a FIFO.
        Some(found) => damaged(format!("'{}': {found}", failure.path.display())),
        None => failure.into(),
    };
    directory.open_each_file(is_foreign).map_err(failed)?;
    match first_recycled_record(&directory).map_err(failed)? {
        Some((log, offset)) => Err(damaged(format!(
            "'{}', offset {offset}: the record's type is wrong",
            log.display()
        ))),
        None => Ok(directory),
    }
}

/// Looks through the logs that RocksDB reads when it opens a store: those of writes, and the list of files that CURRENT names.
fn first_recycled_record(directory: &Directory) -> Result<Option<(PathBuf, u64)>, IoFailure> {
    let mut named = Vec::new();
    let current = directory.entry("CURRENT");
    let mut opened = current.open_to_read()?;
    attempt("read", current.path(), || opened.read_to_end(&mut named))?;
    let named = String::from_utf8_lossy(&named).trim_end().to_owned();
    for name in directory.names()? {
        let file = directory.entry(&name);
        let is_log = name.to_string_lossy() == named || file.path().extension().is_some_and(|end| end == "log");
        if !is_read(file.path()) || !is_log {
            continue;
        }
        match recycled_record(&file) {
            // Beside a process that writes, files come and go.
            Err(failure) if failure.is_missing() => {}
            Err(failure) => return Err(failure),
            Ok(None) => {}
            Ok(Some(offset)) => return Ok(Some((file.path().to_owned(), offset))),
        }
    }
    Ok(None)
}

/// Whether RocksDB reads a file of this name when it opens a store.
fn is_read(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let is_number = |number: &str| number.parse::<u64>().is_ok();
    ["CURRENT", "IDENTITY"].contains(&&*name)
        || ["MANIFEST-", "OPTIONS-"]
            .iter()
            .any(|begin| name.strip_prefix(begin).is_some_and(is_number))
        || [".log", ".sst"]
            .iter()
            .any(|end| name.strip_suffix(end).is_some_and(is_number))
}

/// Refuses a machine that has too few threads or too little address space left for RocksDB.
pub(super) fn look_at_machine(path: &Path) -> Result<(), StateError> {
    let threads = match IS_RUNNING.load(Ordering::Relaxed) {
        true => TIMER_THREADS,
        false => BACKGROUND_THREADS + TIMER_THREADS,
    };
    check_address_space(path, threads)?;
    start_threads(path, threads)
}

/// Starts as many threads as RocksDB will, so that all are there at once, and has each take something from the heap. What glibc
/// reserves for that, for a moment twice as much, is there for the next threads: RocksDB's do not take the last address space
/// while it reserves its caches.
fn start_threads(path: &Path, threads: usize) -> Result<(), StateError> {
    let mut ids = Vec::with_capacity(threads);
    let started = start_at_once(path, threads, &mut ids);
    // The kernel wakes whoever joins a thread before it takes it from the count that is limited, and shows it until then.
    let begun = Instant::now();
    while ids.iter().any(is_shown) && begun.elapsed() < GONE_AFTER_MAX {
        std::thread::yield_now();
    }
    started
}

fn is_shown(thread: &Pid) -> bool {
    Path::new(&format!("/proc/self/task/{thread}")).exists()
}

fn start_at_once(path: &Path, threads: usize, ids: &mut Vec<Pid>) -> Result<(), StateError> {
    let gate = &Mutex::new(());
    let (arrived, arrivals) = mpsc::channel();
    std::thread::scope(|scope| {
        let _closed = gate.lock();
        for found in 0..threads {
            let arrived = arrived.clone();
            let wait = move || {
                drop(black_box(Box::new(0_u8)));
                let _ = arrived.send(gettid());
                drop(gate.lock());
            };
            let spawn = || Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, wait);
            attempt("pthread_create", path, spawn).map_err(|source| StateError::Threads {
                found,
                needed: threads,
                source,
            })?;
            ids.extend(arrivals.recv());
        }
        Ok(())
    })
}

fn check_address_space(path: &Path, threads: usize) -> Result<(), StateError> {
    let Some(limit_bytes) = getrlimit(Resource::As).current else {
        return Ok(());
    };
    // Without /proc it is not known.
    let used_bytes = ProcessMemory::read().map_or(0, |memory| memory.address_bytes);
    let stack_bytes = getrlimit(Resource::Stack).current.unwrap_or(DEFAULT_STACK_BYTES);
    let thread_bytes = stack_bytes.saturating_add(HEAP_BYTES);
    let needed_bytes = thread_bytes
        .saturating_mul(threads as u64)
        .saturating_add(ADDRESS_BYTES);
    match used_bytes.saturating_add(needed_bytes) <= limit_bytes {
        true => Ok(()),
        false => Err(StateError::AddressSpace {
            path: path.to_owned(),
            limit_bytes,
            used_bytes,
            needed_bytes,
        }),
    }
}
