//! The trace of resources: a file with one line an event.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::{Noted, Registration, Resource, ResourceKind};
use crate::failure::{IoFailure, attempt};
use crate::time::unix_ms;

/// What tells a line of the trace from one of a log in which it may stand.
pub(super) const MARK: u8 = b'@';
/// Places and amounts of memory are nobody else's business.
const TRACE_MODE: u32 = 0o600;

/// The trace that runs in this process. The flag beside it is what everybody else pays for.
static RUNNING: Mutex<Option<Arc<Trace>>> = Mutex::new(None);
static IS_RUNNING: AtomicBool = AtomicBool::new(false);

/// What becomes of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Event {
    /// It has come to be.
    Allocate,
    /// It is gone.
    Drop,
}

/// What follows the mark on a line, in this order.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line<'a> {
    pub event: Event,
    /// Counts from 1 in the order of the lines; never used again.
    pub id: u64,
    #[serde(rename = "type")]
    pub kind: ResourceKind,
    pub bytes: u64,
    /// File and line of the source where the resource came to be.
    pub place: std::borrow::Cow<'a, str>,
    pub unix_ms: u64,
    /// The bytes of all resources that are there after this event.
    pub total_bytes: u64,
    pub rss_anon_bytes: u64,
    pub rss_file_bytes: u64,
}

/// What is resident of a process at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resident {
    /// RssAnon.
    pub anonymous_bytes: u64,
    /// RssFile.
    pub file_bytes: u64,
}

/// A file to which events are written while they happen.
#[derive(Debug)]
pub struct Trace {
    path: PathBuf,
    resident: fn() -> Resident,
    ledger: Mutex<Ledger>,
}

#[derive(Debug)]
struct Ledger {
    file: File,
    last_id: u64,
    total_bytes: u64,
    /// The first write that failed; nothing is written after it, so that a trace has no gaps.
    failure: Option<IoFailure>,
}

impl Trace {
    /// Makes the file, which must not be there yet, for its owner alone. `resident` tells what is resident at the moment.
    ///
    /// # Errors
    /// The file cannot be made; of the kind [`AlreadyExists`](io::ErrorKind::AlreadyExists) if something has its name.
    pub fn create(path: &Path, resident: fn() -> Resident) -> Result<Arc<Self>, IoFailure> {
        let mut options = OpenOptions::new();
        // O_EXCL: neither a file that was meant to be kept nor what lies behind a link is written to.
        options.write(true).create_new(true).mode(TRACE_MODE);
        let file = attempt("open", path, || options.open(path))?;
        Ok(Arc::new(Self {
            path: path.to_owned(),
            resident,
            ledger: Mutex::new(Ledger {
                file,
                last_id: 0,
                total_bytes: 0,
                failure: None,
            }),
        }))
    }

    /// Lets whatever is registered in this process from now on be written to this trace.
    pub fn run(self: &Arc<Self>) {
        *lock(&RUNNING) = Some(Arc::clone(self));
        IS_RUNNING.store(true, Ordering::Release);
    }

    /// Ends it: what is registered from now on is not written any more. The end of what was registered before still is.
    ///
    /// # Errors
    /// A line could not be written; those after it are missing too.
    pub fn end(&self) -> Result<(), IoFailure> {
        let mut running = lock(&RUNNING);
        if running
            .as_ref()
            .is_some_and(|trace| std::ptr::eq(&raw const **trace, self))
        {
            IS_RUNNING.store(false, Ordering::Release);
            *running = None;
        }
        drop(running);
        match lock(&self.ledger).failure.take() {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    #[track_caller]
    pub(super) fn register(self: Arc<Self>, kind: ResourceKind, bytes: u64) -> Registration {
        let place = Location::caller();
        let resource = self.note(Event::Allocate, |ledger| {
            ledger.last_id += 1;
            ledger.total_bytes = ledger.total_bytes.saturating_add(bytes);
            Resource {
                id: ledger.last_id,
                kind,
                bytes,
                place,
            }
        });
        Registration {
            noted: Some(Noted { trace: self, resource }),
        }
    }

    pub(super) fn drop_resource(&self, resource: Resource) {
        self.note(Event::Drop, |ledger| {
            ledger.total_bytes = ledger.total_bytes.saturating_sub(resource.bytes);
            resource
        });
    }

    /// Changes the ledger and writes a line about it, under one lock, so that ids and totals follow each other in the file.
    fn note(&self, event: Event, change: impl FnOnce(&mut Ledger) -> Resource) -> Resource {
        let mut ledger = lock(&self.ledger);
        let resource = change(&mut ledger);
        if ledger.failure.is_none() {
            ledger.failure = self.write(event, resource, &ledger).err();
        }
        resource
    }

    fn write(&self, event: Event, resource: Resource, ledger: &Ledger) -> Result<(), IoFailure> {
        let resident = (self.resident)();
        let line = Line {
            event,
            id: resource.id,
            kind: resource.kind,
            bytes: resource.bytes,
            place: format!("{}:{}", resource.place.file(), resource.place.line()).into(),
            unix_ms: unix_ms(),
            total_bytes: ledger.total_bytes,
            rss_anon_bytes: resident.anonymous_bytes,
            rss_file_bytes: resident.file_bytes,
        };
        // One call a line: whatever ends the process, the lines before it are whole.
        attempt("write", &self.path, || {
            let mut bytes = vec![MARK];
            serde_json::to_writer(&mut bytes, &line).map_err(io::Error::from)?;
            bytes.push(b'\n');
            (&ledger.file).write_all(&bytes)
        })
    }
}

/// The trace that runs in this process, if one does.
pub(super) fn running() -> Option<Arc<Trace>> {
    match IS_RUNNING.load(Ordering::Acquire) {
        true => lock(&RUNNING).clone(),
        false => None,
    }
}

/// What is behind it is whole at every moment, also when a thread that held it panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
