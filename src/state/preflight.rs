//! Preflight checks: RocksDB would say less, or end the process, where these return an error.

use std::hint::black_box;
use std::io::{Read, copy, sink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread::Builder;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, getrlimit};
use rustix::thread::gettid;

use super::error::{damaged, too_few_threads, too_little_address_space};
use super::log_records::recycled_record;
use crate::error::Result;
use crate::failure::{IoFailure, attempt};
use crate::files::{Directory, Entry, not_regular};
use crate::memory::ProcessMemory;

/// The file that names the newest list of files.
const CURRENT: &str = "CURRENT";
/// More than the name of a list of files has.
const NAME_BYTES_MAX: u64 = 64;

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
pub(super) fn look_at_files(state: &Entry) -> Result<Directory> {
    // A link is not followed.
    if state.is_directory()? {
        let directory = state.open_directory()?;
        look_in(&directory)?;
        return Ok(directory);
    }
    confirm_missing(state.directory())?;
    Err(damaged(state.path(), "it is missing, or is a link or a file"))
}

/// As [`look_at_files`], in a directory that is open.
pub(super) fn look_in(directory: &Directory) -> Result<()> {
    let path = directory.path();
    // Without this file RocksDB would answer with a bare I/O error.
    if !directory.entry(CURRENT).exists()? {
        confirm_missing(directory)?;
        return Err(damaged(path, "it has no CURRENT file"));
    }
    // RocksDB takes files that it may not read for damage. They are not: what can be read tomorrow must not be moved aside.
    let is_foreign = |failure: &IoFailure| not_regular(failure).is_some() && !is_read(&failure.path);
    let failed = |failure: IoFailure| match not_regular(&failure) {
        // It would wait at a FIFO.
        Some(found) => damaged(path, &format!("'{}': {found}", failure.path.display())),
        None => failure.into(),
    };
    directory.open_each_file(is_foreign).map_err(failed)?;
    let list = named_by_current(directory).map_err(failed)?;
    if let Some(list) = &list
        && !list.exists()?
    {
        confirm_missing(directory)?;
        let message = format!("its list of files '{}' is missing", list.path().display());
        return Err(damaged(path, &message));
    }
    match first_recycled_record(directory, list.as_ref()).map_err(failed)? {
        Some((log, offset)) => {
            let message = format!("'{}', offset {offset}: the record's type is wrong", log.display());
            Err(damaged(path, &message))
        }
        None => Ok(()),
    }
}

/// What should be in a directory is not there. That is damage only where the directory can be read: a disk that is not mounted, or
/// that fails, may have it.
fn confirm_missing(directory: &Directory) -> Result<(), IoFailure> {
    directory.check()?;
    directory.names().map(drop)
}

/// The list of files that CURRENT names, unless what stands there is not the name of one.
fn named_by_current(directory: &Directory) -> Result<Option<Entry>, IoFailure> {
    let (current, mut named) = (directory.entry(CURRENT), Vec::new());
    let opened = current.open_to_read()?;
    let read = || opened.take(NAME_BYTES_MAX).read_to_end(&mut named);
    attempt("read", current.path(), read)?;
    let list = directory.entry(String::from_utf8_lossy(&named).trim_end());
    Ok(Some(list).filter(|list| list.path().parent() == Some(directory.path()) && is_read(list.path())))
}

/// Looks through the logs that RocksDB reads when it opens a store: those of writes, and the list of files that CURRENT names.
fn first_recycled_record(directory: &Directory, list: Option<&Entry>) -> Result<Option<(PathBuf, u64)>, IoFailure> {
    let list = list.map(Entry::path);
    for file in files_that_are_read(directory)? {
        if file.path().extension().is_none_or(|end| end != "log") && Some(file.path()) != list {
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

/// Reads every file that RocksDB reads, to its end, and names the first that the machine does not give.
pub(super) fn read_each_file(directory: &Directory) -> Result<(), IoFailure> {
    for file in files_that_are_read(directory)? {
        let path = file.path();
        let read = file.open_to_read();
        match read.and_then(|mut opened| attempt("read", path, || copy(&mut opened, &mut sink()))) {
            // What is gone, or is something else, is damage, and not this call's to judge.
            Err(failure) if failure.is_missing() || not_regular(&failure).is_some() => {}
            read => drop(read?),
        }
    }
    Ok(())
}

fn files_that_are_read(directory: &Directory) -> Result<Vec<Entry>, IoFailure> {
    let mut files: Vec<_> = directory
        .names()?
        .into_iter()
        .map(|name| directory.entry(name))
        .collect();
    files.retain(|file| is_read(file.path()));
    Ok(files)
}

/// Whether RocksDB reads a file of this name when it opens a store.
fn is_read(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let is_number = |number: &str| number.parse::<u64>().is_ok();
    [CURRENT, "IDENTITY"].contains(&&*name)
        || ["MANIFEST-", "OPTIONS-"]
            .iter()
            .any(|begin| name.strip_prefix(begin).is_some_and(is_number))
        || [".log", ".sst"]
            .iter()
            .any(|end| name.strip_suffix(end).is_some_and(is_number))
}

/// Refuses a machine that has too few threads or too little address space left for RocksDB.
pub(super) fn look_at_machine(path: &Path) -> Result<()> {
    let threads = if IS_RUNNING.load(Ordering::Relaxed) {
        TIMER_THREADS
    } else {
        BACKGROUND_THREADS + TIMER_THREADS
    };
    check_address_space(path, threads)?;
    start_threads(path, threads)
}

/// Starts as many threads as RocksDB will, so that all are there at once, and has each take something from the heap. What glibc
/// reserves for that, for a moment twice as much, is there for the next threads: RocksDB's do not take the last address space
/// while it reserves its caches.
fn start_threads(path: &Path, threads: usize) -> Result<()> {
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

fn start_at_once(path: &Path, threads: usize, ids: &mut Vec<Pid>) -> Result<()> {
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
            attempt("pthread_create", path, spawn).map_err(|failure| too_few_threads(found, threads, failure))?;
            ids.extend(arrivals.recv());
        }
        Ok(())
    })
}

fn check_address_space(path: &Path, threads: usize) -> Result<()> {
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
    if used_bytes.saturating_add(needed_bytes) <= limit_bytes {
        return Ok(());
    }
    Err(too_little_address_space(path, limit_bytes, used_bytes, needed_bytes))
}
