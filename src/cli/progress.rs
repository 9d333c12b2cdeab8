//! How a job shows itself on standard error: a bar, plain lines, or JSON lines.

mod exposition;
mod figures;
mod metrics_file;
mod set;

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle as BarStyle};
use keymill::memory::ProcessMemory;
use keymill::resources::{ResourceKind, THREAD_STACK_BYTES, register};
use keymill::support::counted;
use keymill::{Event, Phase, Plan, Progress};

use metrics_file::MetricsNotes;
pub use metrics_file::{MetricsArguments, MetricsFile};

use super::answer::{Answer, fields};
use super::failure::Failure;
use super::messages::{self, say, warn};
use super::output::{human_bytes, human_duration};
use crate::config::ProgressStyle;

const TICK_MS: u64 = 100;
/// Ticks between two lines of the plain and the JSON style.
const TICKS_PER_PLAIN_LINE: u64 = 50;
const TICKS_PER_JSON_LINE: u64 = 10;

const PHASES: [(Phase, &str); 4] = [
    (Phase::Checking, "checking"),
    (Phase::Generating, "generating"),
    (Phase::Folding, "folding"),
    (Phase::Sealing, "sealing"),
];

/// Memory of this process, sampled while it works.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// The last sample; its peak is the most that was resident at any time.
    pub now: ProcessMemory,
    /// The most anonymous memory that was seen, in bytes.
    pub anonymous_bytes_max: u64,
}

impl Memory {
    /// Takes a sample; zeros where there is none.
    fn sample(&mut self) {
        self.now = ProcessMemory::read().unwrap_or_default();
        self.anonymous_bytes_max = self.anonymous_bytes_max.max(self.now.anonymous_bytes);
    }
}

/// Collects a job's events and shows them.
pub struct Reporter {
    style: ProgressStyle,
    bytes_per_epoch: f64,
    counts: Mutex<Counts>,
    finished: AtomicBool,
    metrics: Option<MetricsNotes>,
}

/// What the events have told until now.
#[derive(Clone, Copy)]
struct Counts {
    phase: &'static str,
    epochs: u64,
    epochs_before: u64,
    computed: u64,
    committed: u64,
    commits: u64,
    /// Of all commits, also of those before a second round.
    epochs_written: u64,
    damaged: u64,
    /// Given to the checkpoint store by this process.
    store_bytes: u64,
    /// Of memory; zeros before the first sample, and where there is no limit.
    held_bytes: u64,
    limit_bytes: u64,
    batches_in_flight_max: u64,
    /// Of a set, the keys that are finished and all of them.
    keys: Option<(u64, u64)>,
}

impl Progress for Reporter {
    fn event(&self, event: Event) {
        match event {
            Event::Phase(phase) => {
                let phase = PHASES.iter().find(|(known, _)| *known == phase).unwrap_or(&PHASES[0]).1;
                self.counts().phase = phase;
                tracing::info!("{phase}");
            }
            Event::Resuming { epochs, epochs_done } => {
                if epochs_done > 0 && self.style != ProgressStyle::None {
                    say(format_args!("resuming: {epochs_done} of {epochs} epochs are done"));
                }
                let mut counts = self.counts();
                (counts.computed, counts.committed) = (0, 0);
                (counts.epochs, counts.epochs_before) = (epochs, epochs_done);
            }
            Event::Computed { epochs } => {
                tracing::trace!("computed: {}", counted(epochs, "epoch"));
                self.counts().computed += epochs;
            }
            Event::Committed {
                epochs, store_bytes, ..
            } => {
                tracing::debug!("committed: {}", counted(epochs, "epoch"));
                let mut counts = self.counts();
                counts.committed += epochs;
                counts.commits += 1;
                counts.epochs_written += epochs;
                counts.store_bytes = store_bytes;
            }
            Event::Governed {
                held_bytes,
                limit_bytes,
                batches_in_flight_max,
            } => {
                let mut counts = self.counts();
                (counts.held_bytes, counts.limit_bytes) = (held_bytes, limit_bytes);
                counts.batches_in_flight_max = batches_in_flight_max;
            }
            Event::Damaged { .. } => self.counts().damaged += 1,
            _ => {}
        }
    }
}

impl Reporter {
    /// A reporter for a job with this plan; `auto` becomes a bar on a terminal and plain lines elsewhere.
    pub fn new(style: ProgressStyle, plan: &Plan) -> Self {
        let style = match style {
            ProgressStyle::Auto if std::io::stderr().is_terminal() && !is_dumb() => ProgressStyle::Bar,
            ProgressStyle::Auto => ProgressStyle::Plain,
            style => style,
        };
        let epochs = plan.stored().count();
        Self {
            style,
            bytes_per_epoch: plan.layer_bytes() as f64 / epochs as f64,
            counts: Mutex::new(Counts {
                phase: PHASES[0].1,
                epochs,
                epochs_before: 0,
                computed: 0,
                committed: 0,
                commits: 0,
                epochs_written: 0,
                damaged: 0,
                store_bytes: 0,
                held_bytes: 0,
                limit_bytes: 0,
                batches_in_flight_max: 0,
                keys: None,
            }),
            finished: AtomicBool::new(false),
            metrics: None,
        }
    }

    /// Tells a metrics file of it too, if there is one.
    pub fn noted_in(mut self, file: Option<&MetricsFile>) -> Self {
        self.metrics = file.map(MetricsFile::notes);
        self
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the job and shows its progress until it ends. Gives what the job gave, and the memory that was seen.
    ///
    /// # Errors
    /// A [`Failure`] if the thread that shows it cannot be started. The job is not begun then.
    pub fn watch<T>(&self, job: impl FnOnce(&Self) -> T) -> Result<(T, Memory), Failure> {
        std::thread::scope(|scope| {
            let thread = register(ResourceKind::Thread, THREAD_STACK_BYTES);
            let watcher = std::thread::Builder::new().spawn_scoped(scope, || self.show());
            let watcher = watcher.map_err(|error| {
                Failure::machine(format!("the thread that shows progress could not be started: {error}"))
            })?;
            let finish = Finish {
                finished: &self.finished,
                watcher: watcher.thread().clone(),
            };
            let outcome = job(self);
            drop(finish);
            let memory = watcher.join().unwrap_or_default();
            drop(thread);
            Ok((outcome, memory))
        })
    }

    fn show(&self) -> Memory {
        let mut memory = Memory::default();
        let bar = self.bar();
        let is_drawn = self.style == ProgressStyle::Bar;
        messages::write_above(is_drawn.then(|| bar.clone()));
        let mut meter = Meter::default();
        let mut tick = 0;
        while !self.finished.load(Ordering::Relaxed) {
            memory.sample();
            let snapshot = self.snapshot(&mut meter, &memory);
            match self.style {
                ProgressStyle::Bar => draw(&bar, &snapshot, &memory),
                ProgressStyle::Plain if tick % TICKS_PER_PLAIN_LINE == 0 && tick > 0 => {
                    messages::progress(snapshot.as_text(&memory));
                }
                ProgressStyle::Json if tick % TICKS_PER_JSON_LINE == 0 => {
                    messages::progress(snapshot.as_json(&memory));
                }
                _ => {}
            }
            tick += 1;
            std::thread::park_timeout(Duration::from_millis(TICK_MS));
        }
        memory.sample();
        let snapshot = self.snapshot(&mut meter, &memory);
        match self.style {
            ProgressStyle::Bar => {
                messages::write_above(None);
                bar.finish_and_clear();
            }
            ProgressStyle::Json => messages::progress(snapshot.as_json(&memory)),
            _ => {}
        }
        let damaged = snapshot.counts.damaged;
        if damaged > 0 {
            warn(format_args!(
                "{damaged} committed batches did not match their checksums and were computed again"
            ));
        }
        memory
    }

    fn bar(&self) -> ProgressBar {
        if self.style != ProgressStyle::Bar {
            return ProgressBar::hidden();
        }
        let template = "{prefix} [{bar:28}] {human_pos}/{human_len} epochs  {msg}";
        // The template is a constant, so falling back on the default style is never seen.
        let style = BarStyle::with_template(template).unwrap_or_else(|_| BarStyle::default_bar());
        ProgressBar::new(0).with_style(style.progress_chars("=> "))
    }

    fn snapshot(&self, meter: &mut Meter, memory: &Memory) -> Snapshot {
        let counts = *self.counts();
        let committed = counts.epochs_before + counts.committed;
        let snapshot = Snapshot {
            epochs_done: counts.epochs_before + counts.computed,
            epochs_committed: committed,
            epochs_per_second: meter.rate(counts.computed),
            disk_bytes: (committed as f64 * self.bytes_per_epoch) as u64,
            bytes_per_epoch: self.bytes_per_epoch,
            counts,
        };
        if let Some(metrics) = &self.metrics {
            metrics.note(&snapshot, memory);
        }
        snapshot
    }
}

/// Whether the terminal cannot move its cursor, or its abilities are not known.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|name| name.is_empty() || name == "dumb")
}

/// Ends the watcher when it is dropped, also after a panic of the job: the scope would wait for ever.
struct Finish<'a> {
    finished: &'a AtomicBool,
    watcher: Thread,
}

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.finished.store(true, Ordering::Relaxed);
        self.watcher.unpark();
    }
}

/// The rate over the last few seconds.
#[derive(Default)]
struct Meter {
    samples: std::collections::VecDeque<(Instant, u64)>,
}

impl Meter {
    const SAMPLES_MAX: usize = 100;

    fn rate(&mut self, computed: u64) -> f64 {
        let now = Instant::now();
        // A second round of generating counts from zero again.
        if self.samples.back().is_some_and(|&(_, last)| computed < last) {
            self.samples.clear();
        }
        if self.samples.len() == Self::SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back((now, computed));
        let (then, before) = self.samples[0];
        let seconds = now.duration_since(then).as_secs_f64();
        if seconds > 0.0 {
            (computed - before) as f64 / seconds
        } else {
            0.0
        }
    }
}

struct Snapshot {
    counts: Counts,
    epochs_done: u64,
    epochs_committed: u64,
    epochs_per_second: f64,
    disk_bytes: u64,
    bytes_per_epoch: f64,
}

impl Snapshot {
    fn seconds_left(&self) -> Option<u64> {
        let left = self.counts.epochs.saturating_sub(self.epochs_done);
        (self.epochs_per_second >= 1.0).then(|| (left as f64 / self.epochs_per_second) as u64)
    }

    fn rate_and_rest(&self, memory: &Memory) -> String {
        let left = self.seconds_left();
        let left = left.map_or("?".to_owned(), |seconds| human_duration(Duration::from_secs(seconds)));
        let there = match self.counts.keys {
            Some((finished, all)) => format!("{finished} of {all} keys"),
            None => format!("{} on disk", human_bytes(self.disk_bytes)),
        };
        format!(
            "{:.0}/s  {left} left  {there}  {} resident",
            self.epochs_per_second,
            human_bytes(memory.now.resident_bytes)
        )
    }

    fn as_text(&self, memory: &Memory) -> String {
        let (Counts { phase, epochs, .. }, done) = (self.counts, self.epochs_done);
        let percent = 100.0 * done as f64 / epochs.max(1) as f64;
        let rest = self.rate_and_rest(memory);
        let epochs = counted(epochs, "epoch");
        format!("{phase}: {done} of {epochs} ({percent:.1}%)  {rest}")
    }

    fn as_json(&self, memory: &Memory) -> Answer<'static> {
        let counts = &self.counts;
        let answer = fields!(counts; phase, epochs)
            .field("epochs_done", self.epochs_done)
            .field("epochs_per_second", self.epochs_per_second.round())
            .field("seconds_left", self.seconds_left())
            .and(fields!(memory.now; resident_bytes, anonymous_bytes))
            .field("anonymous_bytes_max", memory.anonymous_bytes_max);
        match counts.keys {
            Some((finished, all)) => answer.field("keys", all).field("keys_finished", finished),
            None => answer
                .and(fields!(counts; batches_in_flight_max, held_bytes, limit_bytes))
                .and(fields!(self; epochs_committed, disk_bytes)),
        }
    }
}

fn draw(bar: &ProgressBar, snapshot: &Snapshot, memory: &Memory) {
    bar.set_length(snapshot.counts.epochs);
    bar.set_position(snapshot.epochs_done);
    bar.set_prefix(snapshot.counts.phase);
    bar.set_message(snapshot.rate_and_rest(memory));
}

#[cfg(test)]
mod tests {
    use keymill::Scheme;

    use super::*;

    #[test]
    fn a_job_that_panics_does_not_leave_the_watcher_behind() {
        let plan = Plan::new(Scheme::by_id("leansig-p1-l8-abort-v4-w8").unwrap(), 0, 256).unwrap();
        let (ended, end) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let reporter = Reporter::new(ProgressStyle::None, &plan);
            let watched = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                reporter.watch(|_| std::panic::panic_any("on purpose"))
            }));
            ended.send(watched.is_err_and(|panic| panic.is::<&str>())).unwrap();
        });
        assert_eq!(end.recv_timeout(Duration::from_secs(30)), Ok(true));
    }
}
