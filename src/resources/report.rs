//! What a trace tells: which resources were never given back, and whether the memory that was seen is that of those that
//! were registered.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::trace::{Event, Line, MARK};
use super::{Backing, ResourceKind};
use crate::error::{Error, Result};
use crate::failure::attempt;
use crate::remedy::Remedy;
use crate::text::json_fault;

/// Longer than any line of a trace: a place is a path within the sources.
pub(super) const LINE_BYTES_MAX: u64 = 16 << 10;
/// The id of the first resource of a trace.
const FIRST_ID: u64 = 1;
/// Flagged events that are kept; all are counted.
const FLAGS_MAX: usize = 100;

/// No line is one of a trace, but perhaps the beginning of one at its end.
fn no_trace(path: &Path) -> Error {
    let what = format!(
        "'{}' is not a trace of resources: no whole line of it begins with '@'",
        path.display()
    );
    Error::usage(what).at(path)
}

/// More was alive at a time than there is memory for.
fn too_many(path: &Path, line: u64, held_bytes: u64, held_bytes_max: u64) -> Error {
    let what = format!(
        "'{}', line {line}: so many resources are alive here that {held_bytes} bytes are needed to remember them, and \
         {held_bytes_max} are the most that memory has room for (or it is not the trace of one process)",
        path.display()
    );
    Error::machine(what).at(path).mend([Remedy::RaiseBudget])
}

/// A line has the mark of the trace and is not one of its lines.
fn bad_line(path: &Path, line: u64, message: &str) -> Error {
    let what = format!(
        "'{}', line {line}: this is not a line of a trace of resources: {message}",
        path.display()
    );
    Error::usage(what).at(path)
}

/// What became of the resources that a trace names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryReport {
    /// Lines of the trace.
    pub events: u64,
    /// From the first event to the last.
    pub elapsed_ms: u64,
    /// What became of each kind that was there at all.
    pub kinds: BTreeMap<ResourceKind, Count>,
    /// What was never dropped, by kind and place.
    pub left: BTreeMap<(ResourceKind, String), Left>,
    /// The first events that contradict those before them.
    pub flags: Vec<Flag>,
    /// How many such events there are.
    pub flag_count: u64,
    /// The line at the end that was not written to its end, if there is one.
    pub torn_line: Option<u64>,
    /// Whether the trace begins with a thread that was never dropped: the program's main thread, which is dropped last.
    pub main_thread_left: bool,
    /// Anonymous memory.
    pub anonymous: Comparison,
    /// Pages of mapped files.
    pub file_pages: Comparison,
}

/// The resources of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Count {
    /// How many have come to be.
    pub allocated: u64,
    /// How many of them are gone.
    pub dropped: u64,
    /// The bytes of those that are not.
    pub bytes_left: u64,
    /// The most bytes that were there at a time.
    pub peak_bytes: u64,
}

impl Count {
    /// How many are not gone.
    pub fn left(&self) -> u64 {
        self.allocated - self.dropped
    }
}

/// Resources of one kind and place that were never dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Left {
    /// How many.
    pub count: u64,
    /// Their bytes together.
    pub bytes: u64,
}

/// An event that contradicts those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flag {
    /// The line, counted from 1.
    pub line: u64,
    /// The resource.
    pub id: u64,
    /// The contradiction.
    pub contradiction: Contradiction,
}

/// What is wrong with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contradiction {
    /// The id was given out before.
    AllocatedTwice,
    /// The resource was gone already.
    DroppedTwice,
    /// No resource had this id.
    NeverAllocated,
    /// The resource was of another kind or of other bytes.
    DroppedAsAnother,
}

impl Contradiction {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::AllocatedTwice => "allocated twice",
            Self::DroppedTwice => "dropped twice",
            Self::NeverAllocated => "dropped without having been allocated",
            Self::DroppedAsAnother => "dropped with another type or other bytes than it was allocated with",
        }
    }
}

/// What was registered, beside what the kernel counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Comparison {
    /// The most bytes that were registered at a time.
    pub registered_peak_bytes: u64,
    /// Bytes that are registered after the last event.
    pub registered_end_bytes: u64,
    /// Resident bytes at the first event.
    pub resident_first_bytes: u64,
    /// The most resident bytes at any event.
    pub resident_peak_bytes: u64,
    /// Resident bytes at the last event.
    pub resident_end_bytes: u64,
}

impl Comparison {
    /// By how much more memory was resident at the most than at the first event.
    pub fn growth_peak_bytes(&self) -> i128 {
        i128::from(self.resident_peak_bytes) - i128::from(self.resident_first_bytes)
    }

    /// By how much more memory was resident at the last event than at the first.
    pub fn growth_end_bytes(&self) -> i128 {
        i128::from(self.resident_end_bytes) - i128::from(self.resident_first_bytes)
    }

    fn allocate(&mut self, bytes: u64) {
        self.registered_end_bytes = self.registered_end_bytes.saturating_add(bytes);
        self.registered_peak_bytes = self.registered_peak_bytes.max(self.registered_end_bytes);
    }

    fn drop_bytes(&mut self, bytes: u64) {
        self.registered_end_bytes = self.registered_end_bytes.saturating_sub(bytes);
    }

    fn see(&mut self, resident_bytes: u64, is_first: bool) {
        if is_first {
            self.resident_first_bytes = resident_bytes;
        }
        self.resident_peak_bytes = self.resident_peak_bytes.max(resident_bytes);
        self.resident_end_bytes = resident_bytes;
    }
}

impl MemoryReport {
    /// Reads a trace. Other lines than those of a trace are passed over: it may stand in a log. What is kept takes
    /// `held_bytes_max` at most.
    ///
    /// # Errors
    /// [`Error`] if the file cannot be read or is not a trace, or if more is alive at a time than may be kept.
    pub fn read(path: &Path, held_bytes_max: u64) -> Result<Self> {
        let file = attempt("open", path, || File::open(path)).map_err(Error::unreadable)?;
        Self::of(BufReader::new(file), path, held_bytes_max)
    }

    /// As [`read`](Self::read), from an open file. It keeps what is alive and nothing else.
    pub(crate) fn of(mut trace: impl BufRead, path: &Path, held_bytes_max: u64) -> Result<Self> {
        let mut reading = Reading::default();
        let mut bytes = Vec::new();
        for number in 1.. {
            let first = attempt("read", path, || Ok::<_, io::Error>(trace.fill_buf()?.first().copied()));
            let first = first.map_err(Error::unreadable)?;
            match first {
                None => break,
                Some(MARK) => {}
                Some(_) => {
                    attempt("read", path, || trace.skip_until(b'\n')).map_err(Error::unreadable)?;
                    continue;
                }
            }
            bytes.clear();
            let mut bounded = trace.by_ref().take(LINE_BYTES_MAX);
            attempt("read", path, || bounded.read_until(b'\n', &mut bytes)).map_err(Error::unreadable)?;
            match serde_json::from_slice(&bytes[1..]) {
                Ok(line) => {
                    reading.take(&line, number);
                    let held_bytes = reading.held_bytes();
                    if held_bytes > held_bytes_max {
                        return Err(too_many(path, number, held_bytes, held_bytes_max));
                    }
                }
                // The process was killed while it wrote, or is writing.
                Err(_) if !bytes.ends_with(b"\n") && (bytes.len() as u64) < LINE_BYTES_MAX => {
                    reading.report.torn_line = Some(number);
                }
                Err(error) => return Err(bad_line(path, number, &json_fault(&error))),
            }
        }
        if reading.report.events == 0 {
            return Err(no_trace(path));
        }
        Ok(reading.finish())
    }

    /// Whether the process was killed while it was traced, or still runs.
    pub fn is_unended(&self) -> bool {
        self.torn_line.is_some() || self.main_thread_left
    }

    /// Whether everything that came to be is gone, and each event agrees with those before it.
    pub fn is_clean(&self) -> bool {
        self.left.is_empty() && self.flag_count == 0
    }
}

/// A trace that is being read.
#[derive(Default)]
struct Reading {
    report: MemoryReport,
    alive: HashMap<u64, Alive>,
    /// The highest id that was given out. They count from 1.
    highest_id: u64,
    /// Bytes of the places of what is alive.
    place_bytes: u64,
    first_unix_ms: u64,
}

/// What is kept of a resource that is alive beside its place.
const ALIVE_BYTES: u64 = 160;

struct Alive {
    kind: ResourceKind,
    bytes: u64,
    place: String,
}

impl Reading {
    fn take(&mut self, line: &Line<'_>, number: u64) {
        let report = &mut self.report;
        let is_first = report.events == 0;
        if is_first {
            self.first_unix_ms = line.unix_ms;
        }
        report.events += 1;
        report.elapsed_ms = line.unix_ms.saturating_sub(self.first_unix_ms);
        report.anonymous.see(line.rss_anon_bytes, is_first);
        report.file_pages.see(line.rss_file_bytes, is_first);
        let agreed = match line.event {
            Event::Allocate => self.allocate(line),
            Event::Drop => self.drop_resource(line),
        };
        if let Err(contradiction) = agreed {
            self.report.flag_count += 1;
            if self.report.flags.len() < FLAGS_MAX {
                self.report.flags.push(Flag {
                    line: number,
                    id: line.id,
                    contradiction,
                });
            }
        }
    }

    fn held_bytes(&self) -> u64 {
        ALIVE_BYTES * self.alive.len() as u64 + self.place_bytes
    }

    fn allocate(&mut self, line: &Line<'_>) -> Result<(), Contradiction> {
        if line.id <= self.highest_id {
            return Err(Contradiction::AllocatedTwice);
        }
        self.highest_id = line.id;
        let alive = Alive {
            kind: line.kind,
            bytes: line.bytes,
            place: line.place.clone().into_owned(),
        };
        self.place_bytes += alive.place.len() as u64;
        self.alive.insert(line.id, alive);
        let count = self.report.kinds.entry(line.kind).or_default();
        count.allocated += 1;
        count.bytes_left = count.bytes_left.saturating_add(line.bytes);
        count.peak_bytes = count.peak_bytes.max(count.bytes_left);
        if let Some(comparison) = self.comparison(line.kind) {
            comparison.allocate(line.bytes);
        }
        Ok(())
    }

    fn drop_resource(&mut self, line: &Line<'_>) -> Result<(), Contradiction> {
        let Some(alive) = self.alive.remove(&line.id) else {
            let was_given_out = (FIRST_ID..=self.highest_id).contains(&line.id);
            return Err(if was_given_out {
                Contradiction::DroppedTwice
            } else {
                Contradiction::NeverAllocated
            });
        };
        self.place_bytes -= alive.place.len() as u64;
        let count = self.report.kinds.entry(alive.kind).or_default();
        count.dropped += 1;
        count.bytes_left = count.bytes_left.saturating_sub(alive.bytes);
        if let Some(comparison) = self.comparison(alive.kind) {
            comparison.drop_bytes(alive.bytes);
        }
        if (alive.kind, alive.bytes) == (line.kind, line.bytes) {
            Ok(())
        } else {
            Err(Contradiction::DroppedAsAnother)
        }
    }

    /// What the bytes of a kind are compared with, if they can be seen.
    fn comparison(&mut self, kind: ResourceKind) -> Option<&mut Comparison> {
        match kind.backing() {
            Backing::Anonymous => Some(&mut self.report.anonymous),
            Backing::FilePages => Some(&mut self.report.file_pages),
            Backing::Reserved | Backing::None => None,
        }
    }

    fn finish(mut self) -> MemoryReport {
        let first = self.alive.get(&FIRST_ID);
        self.report.main_thread_left = first.is_some_and(|alive| alive.kind == ResourceKind::Thread);
        for (_, alive) in self.alive {
            let left = self.report.left.entry((alive.kind, alive.place)).or_default();
            left.count += 1;
            left.bytes = left.bytes.saturating_add(alive.bytes);
        }
        self.report
    }
}
