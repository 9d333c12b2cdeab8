//! How a job shows itself on standard error: a bar, plain lines, or JSON lines.

mod set;

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle as BarStyle};
use keymill::memory::ProcessMemory;
use keymill::resources::{ResourceKind, THREAD_STACK_BYTES, register};
use keymill::{Event, Phase, Plan, Progress};

use super::answer::Answer;
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
    epochs: AtomicU64,
    epochs_before: AtomicU64,
    computed: AtomicU64,
    committed: AtomicU64,
    damaged: AtomicU64,
    held_bytes: AtomicU64,
    limit_bytes: AtomicU64,
    batches_in_flight_max: AtomicU64,
    phase: AtomicU8,
    /// Of a set, its keys.
    keys: Option<Keys>,
    finished: AtomicBool,
}

/// The keys of a set, all of them and those that are finished.
#[derive(Default)]
struct Keys {
    all: AtomicU64,
    finished: AtomicU64,
}

impl Progress for Reporter {
    fn event(&self, event: Event) {
        let add = |counter: &AtomicU64, n| counter.fetch_add(n, Ordering::Relaxed);
        match event {
            Event::Phase(phase) => {
                let index = PHASES.iter().position(|(known, _)| *known == phase);
                self.phase.store(index.unwrap_or_default() as u8, Ordering::Relaxed);
                tracing::info!("{}", PHASES[index.unwrap_or_default()].1);
            }
            Event::Resuming { epochs, epochs_done } => {
                self.computed.store(0, Ordering::Relaxed);
                self.committed.store(0, Ordering::Relaxed);
                self.epochs_before.store(epochs_done, Ordering::Relaxed);
                if epochs_done > 0 && self.style != ProgressStyle::None {
                    say(format_args!("resuming: {epochs_done} of {epochs} epochs are done"));
                }
                self.epochs.store(epochs, Ordering::Relaxed);
            }
            Event::Computed { epochs } => {
                tracing::trace!("{epochs} epochs are computed");
                add(&self.computed, epochs);
            }
            Event::Committed { epochs, .. } => {
                tracing::debug!("{epochs} epochs are committed");
                add(&self.committed, epochs);
            }
            Event::Governed {
                held_bytes,
                limit_bytes,
                batches_in_flight_max,
            } => {
                self.held_bytes.store(held_bytes, Ordering::Relaxed);
                self.limit_bytes.store(limit_bytes, Ordering::Relaxed);
                self.batches_in_flight_max
                    .store(batches_in_flight_max, Ordering::Relaxed);
            }
            Event::Damaged { .. } => {
                add(&self.damaged, 1);
            }
            Event::Begun { .. } => {}
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
        Self {
            style,
            bytes_per_epoch: plan.layer_bytes() as f64 / plan.stored().count() as f64,
            epochs: AtomicU64::new(plan.stored().count()),
            epochs_before: AtomicU64::new(0),
            computed: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            held_bytes: AtomicU64::new(0),
            limit_bytes: AtomicU64::new(0),
            batches_in_flight_max: AtomicU64::new(0),
            phase: AtomicU8::new(0),
            keys: None,
            finished: AtomicBool::new(false),
        }
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
        messages::make_room_for(is_drawn.then(|| bar.clone()));
        let mut meter = Meter::default();
        let mut tick = 0;
        while !self.finished.load(Ordering::Relaxed) {
            memory.sample();
            let snapshot = self.snapshot(&mut meter);
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
        let snapshot = self.snapshot(&mut meter);
        match self.style {
            ProgressStyle::Bar => {
                messages::make_room_for(None);
                bar.finish_and_clear();
            }
            ProgressStyle::Json => messages::progress(snapshot.as_json(&memory)),
            _ => {}
        }
        let damaged = self.damaged.load(Ordering::Relaxed);
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

    fn snapshot(&self, meter: &mut Meter) -> Snapshot {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let before = load(&self.epochs_before);
        let computed = load(&self.computed);
        let phase = usize::from(self.phase.load(Ordering::Relaxed));
        let committed = before + load(&self.committed);
        Snapshot {
            phase: PHASES[phase].1,
            epochs: load(&self.epochs),
            epochs_done: before + computed,
            epochs_committed: committed,
            epochs_per_second: meter.rate(computed),
            disk_bytes: (committed as f64 * self.bytes_per_epoch) as u64,
            held_bytes: load(&self.held_bytes),
            limit_bytes: load(&self.limit_bytes),
            batches_in_flight_max: load(&self.batches_in_flight_max),
            keys: self.keys.as_ref().map(|keys| (load(&keys.finished), load(&keys.all))),
        }
    }
}

/// Whether the terminal cannot move its cursor, or nobody says what it can.
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
    phase: &'static str,
    epochs: u64,
    epochs_done: u64,
    epochs_committed: u64,
    epochs_per_second: f64,
    disk_bytes: u64,
    /// Of memory; zeros before the first sample, and where there is no limit.
    held_bytes: u64,
    limit_bytes: u64,
    batches_in_flight_max: u64,
    /// Of a set, the keys that are finished and all of them.
    keys: Option<(u64, u64)>,
}

impl Snapshot {
    fn seconds_left(&self) -> Option<u64> {
        let left = self.epochs.saturating_sub(self.epochs_done);
        (self.epochs_per_second >= 1.0).then(|| (left as f64 / self.epochs_per_second) as u64)
    }

    fn rate_and_rest(&self, memory: &Memory) -> String {
        let left = self.seconds_left();
        let left = left.map_or("?".to_owned(), |seconds| human_duration(Duration::from_secs(seconds)));
        let there = match self.keys {
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
        let percent = 100.0 * self.epochs_done as f64 / self.epochs.max(1) as f64;
        format!(
            "{}: {} of {} epochs ({percent:.1}%)  {}",
            self.phase,
            self.epochs_done,
            self.epochs,
            self.rate_and_rest(memory)
        )
    }

    fn as_json(&self, memory: &Memory) -> Answer<'static> {
        let answer = Answer::default()
            .field("phase", self.phase)
            .field("epochs", self.epochs)
            .field("epochs_done", self.epochs_done)
            .field("epochs_per_second", self.epochs_per_second.round())
            .field("seconds_left", self.seconds_left())
            .field("resident_bytes", memory.now.resident_bytes)
            .field("anonymous_bytes", memory.now.anonymous_bytes)
            .field("anonymous_bytes_max", memory.anonymous_bytes_max);
        match self.keys {
            Some((finished, all)) => answer.field("keys", all).field("keys_finished", finished),
            None => answer
                .field("batches_in_flight_max", self.batches_in_flight_max)
                .field("held_bytes", self.held_bytes)
                .field("limit_bytes", self.limit_bytes)
                .field("epochs_committed", self.epochs_committed)
                .field("disk_bytes", self.disk_bytes),
        }
    }
}

fn draw(bar: &ProgressBar, snapshot: &Snapshot, memory: &Memory) {
    bar.set_length(snapshot.epochs);
    bar.set_position(snapshot.epochs_done);
    bar.set_prefix(snapshot.phase);
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
