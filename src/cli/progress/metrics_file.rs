//! `--metrics-file`: figures of a job for node_exporter's textfile collector.
//!
//! A thread of its own writes them, so that neither the job nor what shows its progress waits for the file.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use clap::Args;
use keymill::resources::{Registration, ResourceKind, THREAD_STACK_BYTES, register};
use keymill::support::{Mode, open_to_read, place_of, show_at, time_of_day_ms};

use super::figures::{JobFigures, JobState};
use super::{Memory, Snapshot};
use crate::cli::failure::Failure;
use crate::cli::messages::warn;
use crate::cli::output::refuse_in_key;

const INTERVAL: Duration = Duration::from_secs(1);
/// A file system that hangs keeps no job from ending, within the two seconds that it has when it is interrupted.
const LAST_WRITE_MAX: Duration = Duration::from_secs(1);
/// What every file of ours begins with.
const BEGINNING: &[u8] = b"# HELP keymill_job_";

/// The flag of commands that are jobs.
#[derive(Debug, Args)]
pub struct MetricsArguments {
    /// Write figures of the job to this file about once a second, and at the end: for node_exporter's textfile collector, which
    /// reads names that end in .prom.
    #[arg(long, value_name = "FILE")]
    metrics_file: Option<PathBuf>,
}

/// A file that is written as long as this value is there. Dropped before it is told of an end, the job has failed.
pub struct MetricsFile {
    shared: Arc<Shared>,
    thread: Option<(JoinHandle<()>, Registration)>,
}

struct Shared {
    path: PathBuf,
    mode: Mode,
    directory: String,
    started_unix_ms: u64,
    now: Mutex<Now>,
    changed: Condvar,
}

#[derive(Default)]
struct Now {
    figures: JobFigures,
    /// The end is in the file, or could not be written.
    is_over: bool,
}

/// What notes how far the job is.
#[derive(Clone)]
pub struct MetricsNotes(Arc<Shared>);

impl MetricsNotes {
    pub(super) fn note(&self, snapshot: &Snapshot, memory: &Memory) {
        self.0.now().figures.note(snapshot, memory);
    }
}

impl MetricsArguments {
    /// Begins to write, if that was asked for, of a job in this directory. `mode` is that of a file which anybody may read.
    ///
    /// # Errors
    /// A [`Failure`] if something that is not such a file has its name, or the thread cannot be started. What the file system
    /// refuses is a warning, and the job goes on.
    pub fn begin(&self, directory: &Path, mode: u32) -> Result<Option<MetricsFile>, Failure> {
        let Some(path) = &self.metrics_file else {
            return Ok(None);
        };
        refuse_others(path)?;
        refuse_in_key("--metrics-file", path)?;
        let place = place_of(directory);
        if place_of(path).starts_with(&place) {
            return Err(Failure::usage(format!(
                "--metrics-file '{}' lies in '{}', which the job fills; choose another place",
                path.display(),
                directory.display()
            )));
        }
        let shared = Arc::new(Shared {
            path: path.clone(),
            mode: Mode::Exact(mode),
            directory: place.to_string_lossy().into_owned(),
            started_unix_ms: time_of_day_ms(),
            now: Mutex::default(),
            changed: Condvar::new(),
        });
        let registration = register(ResourceKind::Thread, THREAD_STACK_BYTES);
        let writer = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("metrics-file".to_owned());
        let thread = thread.spawn(move || writer.write_until_the_end());
        let thread = thread.map_err(|error| {
            Failure::machine(format!(
                "the thread that writes the metrics file could not be started: {error}"
            ))
        })?;
        Ok(Some(MetricsFile {
            shared,
            thread: Some((thread, registration)),
        }))
    }
}

/// Nothing is written over that is not such a file.
fn refuse_others(path: &Path) -> Result<(), Failure> {
    let refused = |why| {
        let path = path.display();
        Err(Failure::usage(format!(
            "--metrics-file '{path}' {why}; choose another name"
        )))
    };
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => refused("is not a regular file"),
        Ok(found) if found.len() > 0 => {
            let mut beginning = [0; BEGINNING.len()];
            let read = open_to_read(path).is_ok_and(|mut file| file.read_exact(&mut beginning).is_ok());
            if read && beginning == *BEGINNING {
                Ok(())
            } else {
                refused("is there, and is not a metrics file of a job")
            }
        }
        _ => Ok(()),
    }
}

impl MetricsFile {
    /// What notes how far the job is.
    pub fn notes(&self) -> MetricsNotes {
        MetricsNotes(Arc::clone(&self.shared))
    }

    /// The job has ended so.
    pub fn end<T>(&self, outcome: &keymill::Result<T>) {
        self.shared.now().figures.end(outcome);
        self.shared.changed.notify_all();
    }
}

impl Drop for MetricsFile {
    fn drop(&mut self) {
        let mut now = self.shared.now();
        if now.figures.state == JobState::Running {
            now.figures.fail();
            self.shared.changed.notify_all();
        }
        let waited = self
            .shared
            .changed
            .wait_timeout_while(now, LAST_WRITE_MAX, |now| !now.is_over);
        let (now, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let is_over = now.is_over;
        drop(now);
        match self.thread.take() {
            Some((thread, _registration)) if is_over => {
                // A panic in it has been told, and is not the job's.
                let _ = thread.join();
            }
            _ => warn(format_args!(
                "the metrics file '{}' could not be written within {} s; it does not say how the job ended",
                self.shared.path.display(),
                LAST_WRITE_MAX.as_secs()
            )),
        }
    }
}

impl Shared {
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_until_the_end(&self) {
        let mut has_warned = false;
        loop {
            let figures = self.now().figures;
            let text = figures.text(&self.directory, self.started_unix_ms, time_of_day_ms());
            if let Err(failure) = show_at(&self.path, text.as_bytes(), self.mode)
                && !has_warned
            {
                has_warned = true;
                warn(format_args!(
                    "the metrics file is not written, and the job goes on without it: {failure}"
                ));
            }
            if figures.state != JobState::Running {
                break;
            }
            let is_running = |now: &mut Now| now.figures.state == JobState::Running;
            let waited = self.changed.wait_timeout_while(self.now(), INTERVAL, is_running);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
        self.now().is_over = true;
        self.changed.notify_all();
    }
}
