//! The trace of resources: a file with one line an event.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::fsync;
use serde::{Deserialize, Serialize};

use super::{Noted, Registration, Resource, ResourceKind};
use crate::failure::{IoFailure, attempt};
use crate::memory::ProcessMemory;
use crate::time::steady_unix_ms;

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
    pub place: Cow<'a, str>,
    pub unix_ms: u64,
    /// The bytes of all resources that are there after this event.
    pub total_bytes: u64,
    pub rss_anon_bytes: u64,
    pub rss_file_bytes: u64,
}

/// A file to which events are written while they happen.
#[derive(Debug)]
pub struct Trace {
    path: PathBuf,
    written: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    file: File,
    last_id: u64,
    total_bytes: u64,
    /// The first write that failed; nothing is written after it, so that a trace has no gaps.
    failure: Option<IoFailure>,
}

impl Trace {
    /// Makes the file, which must not be there yet, for its owner alone.
    ///
    /// # Errors
    /// The file cannot be made; of the kind [`AlreadyExists`](io::ErrorKind::AlreadyExists) if something has its name.
    pub fn create(path: &Path) -> Result<Arc<Self>, IoFailure> {
        let mut options = OpenOptions::new();
        // O_EXCL: neither a file that was meant to be kept nor what lies behind a link is written to.
        options.write(true).create_new(true).mode(TRACE_MODE);
        let file = attempt("open", path, || options.open(path))?;
        Ok(Arc::new(Self {
            path: path.to_owned(),
            written: Mutex::new(Written {
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

    /// Ends it: what is registered from now on is not written any more, and what was written is durable. The end of what was
    /// registered before still is written.
    ///
    /// # Errors
    /// A line could not be written, and those after it are missing too; or the file could not be made durable.
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
        let mut written = lock(&self.written);
        match written.failure.take() {
            Some(failure) => Err(failure),
            // A log that follows what happens is not synced line by line. What is said to be written is durable all the same.
            None => self.sync(&written.file),
        }
    }

    fn sync(&self, file: &File) -> Result<(), IoFailure> {
        let directory = match self.path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        attempt("fsync", &self.path, || fsync(file))?;
        let opened = attempt("open", directory, || File::open(directory))?;
        attempt("fsync", directory, || fsync(&opened))
    }

    #[track_caller]
    pub(super) fn register(self: Arc<Self>, kind: ResourceKind, bytes: u64) -> Registration {
        let place = Location::caller();
        let resource = self.note(Event::Allocate, |written| {
            written.last_id += 1;
            written.total_bytes = written.total_bytes.saturating_add(bytes);
            Resource {
                id: written.last_id,
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
        self.note(Event::Drop, |written| {
            written.total_bytes = written.total_bytes.saturating_sub(resource.bytes);
            resource
        });
    }

    /// Counts an event and writes its line under one lock, so that ids and totals follow each other in the file.
    fn note(&self, event: Event, count: impl FnOnce(&mut Written) -> Resource) -> Resource {
        let mut written = lock(&self.written);
        let resource = count(&mut written);
        if written.failure.is_none() {
            written.failure = self.write(event, resource, &written).err();
        }
        resource
    }

    fn write(&self, event: Event, resource: Resource, written: &Written) -> Result<(), IoFailure> {
        let memory = ProcessMemory::read()?;
        let line = Line {
            event,
            id: resource.id,
            kind: resource.kind,
            bytes: resource.bytes,
            place: format!("{}:{}", resource.place.file(), resource.place.line()).into(),
            unix_ms: steady_unix_ms(),
            total_bytes: written.total_bytes,
            rss_anon_bytes: memory.anonymous_bytes,
            rss_file_bytes: memory.file_bytes,
        };
        // One call a line: whatever ends the process, the lines before it are whole.
        attempt("write", &self.path, || {
            let mut bytes = vec![MARK];
            serde_json::to_writer(&mut bytes, &line).map_err(io::Error::from)?;
            bytes.push(b'\n');
            (&written.file).write_all(&bytes)
        })
    }
}

/// The trace that runs in this process, if one does.
pub(super) fn running() -> Option<Arc<Trace>> {
    if IS_RUNNING.load(Ordering::Acquire) {
        lock(&RUNNING).clone()
    } else {
        None
    }
}

/// What is behind it is whole at every moment, also when a thread that held it panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn lines(path: &Path) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "{text}");
        let event = |line: &str| serde_json::from_str(line.strip_prefix('@').unwrap()).unwrap();
        text.lines().map(event).collect()
    }

    #[test]
    fn each_event_is_a_whole_line_as_soon_as_it_has_happened() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("trace");
        let trace = Trace::create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(lines(&path).is_empty());
        let first = Arc::clone(&trace).register(ResourceKind::Arena, 1000);
        let line = line!() - 1;
        assert_eq!(lines(&path).len(), 1);
        let second = Arc::clone(&trace).register(ResourceKind::File, 7);
        drop(first);
        drop(Arc::clone(&trace).register(ResourceKind::Thread, 1));
        drop(second);
        let lines = lines(&path);
        let told: Vec<_> = lines
            .iter()
            .map(|line| {
                let number = |name: &str| line[name].as_u64().unwrap();
                assert!(number("unix_ms") > 0 && number("rss_anon_bytes") > 0 && number("rss_file_bytes") > 0);
                (
                    line["event"].as_str().unwrap(),
                    number("id"),
                    number("bytes"),
                    number("total_bytes"),
                )
            })
            .collect();
        let expected = [
            ("ALLOCATE", 1, 1000, 1000),
            ("ALLOCATE", 2, 7, 1007),
            ("DROP", 1, 1000, 7),
            ("ALLOCATE", 3, 1, 8),
            ("DROP", 3, 1, 7),
            ("DROP", 2, 7, 0),
        ];
        assert_eq!(told, expected);
        assert_eq!(lines[0]["type"], "arena");
        assert_eq!(lines[0]["place"], format!("{}:{line}", file!()));
        assert_eq!(lines[2]["place"], lines[0]["place"]);
        trace.end().unwrap();
    }

    #[test]
    fn a_trace_takes_the_place_of_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let (kept, link) = (parent.path().join("kept"), parent.path().join("link"));
        std::fs::write(&kept, "kept").unwrap();
        std::os::unix::fs::symlink(parent.path().join("elsewhere"), &link).unwrap();
        for path in [&kept, &link] {
            let failure = Trace::create(path).unwrap_err();
            assert_eq!(failure.source.kind(), io::ErrorKind::AlreadyExists, "{failure}");
        }
        assert_eq!(std::fs::read_to_string(&kept).unwrap(), "kept");
        assert!(!parent.path().join("elsewhere").exists());
    }

    #[test]
    fn a_line_that_cannot_be_written_is_told_at_the_end_and_leaves_no_gap() {
        use crate::faults::{Fate, Faults};

        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("trace");
        let mut writes = 0;
        let faults = Faults::below(&path, move |call, _| {
            writes += u32::from(call == "write");
            match writes {
                2 => Fate::Fail(rustix::io::Errno::NOSPC.raw_os_error()),
                _ => Fate::Pass,
            }
        });
        let trace = Trace::create(&path).unwrap();
        let kept = Arc::clone(&trace).register(ResourceKind::Arena, 1);
        drop(Arc::clone(&trace).register(ResourceKind::Arena, 2));
        drop(kept);
        drop(faults);
        assert_eq!(lines(&path).len(), 1);
        let message = trace.end().unwrap_err().to_string();
        assert!(
            message.contains("write on") && message.contains(path.to_str().unwrap()),
            "{message}"
        );
    }

    #[test]
    fn a_trace_that_has_ended_is_durable_with_its_name() {
        use crate::faults::{Fate, Faults};

        let parent = tempfile::tempdir().unwrap();
        for (synced, name) in [
            (parent.path().join("trace1"), "trace1"),
            (parent.path().to_owned(), "trace2"),
        ] {
            let trace = Trace::create(&parent.path().join(name)).unwrap();
            drop(Arc::clone(&trace).register(ResourceKind::Arena, 1));
            let failing = synced.clone();
            let faults = Faults::below(parent.path(), move |call, path| {
                if call == "fsync" && path == failing {
                    Fate::Fail(rustix::io::Errno::IO.raw_os_error())
                } else {
                    Fate::Pass
                }
            });
            let failure = trace.end().unwrap_err();
            drop(faults);
            assert_eq!((failure.call, failure.path), ("fsync", synced));
        }
    }

    #[test]
    fn threads_that_register_at_once_have_ids_and_totals_in_the_order_of_the_lines() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("trace");
        let trace = Trace::create(&path).unwrap();
        std::thread::scope(|scope| {
            for bytes in 1..=4 {
                let trace = &trace;
                scope.spawn(move || {
                    for _ in 0..50 {
                        drop(Arc::clone(trace).register(ResourceKind::Buffer, bytes));
                    }
                });
            }
        });
        let (mut last_id, mut total) = (0, 0);
        for line in lines(&path) {
            let number = |name: &str| line[name].as_u64().unwrap();
            match line["event"].as_str().unwrap() {
                "ALLOCATE" => {
                    assert_eq!(number("id"), last_id + 1);
                    last_id += 1;
                    total += number("bytes");
                }
                _ => total -= number("bytes"),
            }
            assert_eq!(number("total_bytes"), total);
        }
        assert_eq!((last_id, total), (200, 0));
    }
}
