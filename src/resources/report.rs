//! What a trace tells: which resources were never given back, and whether the memory that was seen is that of those that
//! were registered.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::trace::{Event, Line, MARK};
use super::{Backing, ResourceKind};
use crate::failure::{IoFailure, attempt};

/// Longer than any line of a trace: a place is a path within the sources.
const LINE_BYTES_MAX: u64 = 16 << 10;
/// Flagged events that are kept; all are counted.
const FLAGS_MAX: usize = 100;

/// A trace cannot be told about.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] IoFailure),
    /// No line is one of a trace.
    #[error("'{}' is no trace of resources: no line of it begins with '@'", .0.display())]
    NoTrace(PathBuf),
    /// A line has the mark of the trace and is none of its lines.
    #[error("'{}', line {number}: this is no line of a trace of resources: {message}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counts from 1.
        number: u64,
        /// What is wrong with it.
        message: String,
    },
}

/// What became of the resources that a trace names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// Anonymous memory.
    pub anonymous: Comparison,
    /// Pages of mapped files.
    pub file_pages: Comparison,
}

/// The resources of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
pub struct Left {
    /// How many.
    pub count: u64,
    /// Their bytes together.
    pub bytes: u64,
}

/// An event that contradicts those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Reads a trace. Other lines than those of a trace are passed over: it may stand in a log.
    ///
    /// # Errors
    /// [`ReportError`] if the file cannot be read or is no trace.
    pub fn read(path: &Path) -> Result<Self, ReportError> {
        let file = attempt("open", path, || File::open(path))?;
        Self::of(BufReader::new(file), path)
    }

    /// As [`read`](Self::read), from an open file. It keeps what is alive and nothing else.
    pub(crate) fn of(mut trace: impl BufRead, path: &Path) -> Result<Self, ReportError> {
        let mut reading = Reading::default();
        let mut bytes = Vec::new();
        for number in 1.. {
            let first = attempt("read", path, || Ok::<_, io::Error>(trace.fill_buf()?.first().copied()))?;
            match first {
                None => break,
                Some(MARK) => {}
                Some(_) => {
                    attempt("read", path, || trace.skip_until(b'\n'))?;
                    continue;
                }
            }
            bytes.clear();
            let mut bounded = trace.by_ref().take(LINE_BYTES_MAX);
            attempt("read", path, || bounded.read_until(b'\n', &mut bytes))?;
            match serde_json::from_slice(&bytes[1..]) {
                Ok(line) => reading.take(&line, number),
                // The process was killed while it wrote, or is writing.
                Err(_) if !bytes.ends_with(b"\n") && (bytes.len() as u64) < LINE_BYTES_MAX => {
                    reading.report.torn_line = Some(number);
                }
                Err(error) => {
                    return Err(ReportError::Line {
                        path: path.to_owned(),
                        number,
                        message: error.to_string(),
                    });
                }
            }
        }
        match reading.report.events == 0 && reading.report.torn_line.is_none() {
            true => Err(ReportError::NoTrace(path.to_owned())),
            false => Ok(reading.finish()),
        }
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
    known: Ids,
    first_unix_ms: u64,
}

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

    fn allocate(&mut self, line: &Line<'_>) -> Result<(), Contradiction> {
        if !self.known.insert(line.id) {
            return Err(Contradiction::AllocatedTwice);
        }
        let alive = Alive {
            kind: line.kind,
            bytes: line.bytes,
            place: line.place.clone().into_owned(),
        };
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
            return Err(match self.known.contains(line.id) {
                true => Contradiction::DroppedTwice,
                false => Contradiction::NeverAllocated,
            });
        };
        let count = self.report.kinds.entry(alive.kind).or_default();
        count.dropped += 1;
        count.bytes_left = count.bytes_left.saturating_sub(alive.bytes);
        if let Some(comparison) = self.comparison(alive.kind) {
            comparison.drop_bytes(alive.bytes);
        }
        match (alive.kind, alive.bytes) == (line.kind, line.bytes) {
            true => Ok(()),
            false => Err(Contradiction::DroppedAsAnother),
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
        for (_, alive) in self.alive {
            let left = self.report.left.entry((alive.kind, alive.place)).or_default();
            left.count += 1;
            left.bytes = left.bytes.saturating_add(alive.bytes);
        }
        self.report
    }
}

/// A set of ids, as runs: ids are given out one after the other, so that there is one run, whatever their number.
#[derive(Default)]
struct Ids {
    /// The last id of each run, by its first.
    runs: BTreeMap<u64, u64>,
}

impl Ids {
    fn contains(&self, id: u64) -> bool {
        let run = self.runs.range(..=id).next_back();
        run.is_some_and(|(_, &last)| id <= last)
    }

    /// Whether it was not in the set before.
    fn insert(&mut self, id: u64) -> bool {
        if self.contains(id) {
            return false;
        }
        let last = match id.checked_add(1).and_then(|next| self.runs.remove(&next)) {
            Some(last) => last,
            None => id,
        };
        match self.runs.range_mut(..id).next_back() {
            Some((_, end)) if end.checked_add(1) == Some(id) => *end = last,
            _ => {
                self.runs.insert(id, last);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(event: &str, id: u64, kind: &str, bytes: u64) -> String {
        format!(
            "@{{\"event\":\"{event}\",\"id\":{id},\"type\":\"{kind}\",\"bytes\":{bytes},\"place\":\"src/some.rs:7\",\
             \"unix_ms\":5,\"total_bytes\":0,\"rss_anon_bytes\":4096,\"rss_file_bytes\":8192}}\n"
        )
    }

    fn allocate(id: u64, bytes: u64) -> String {
        line("ALLOCATE", id, "arena", bytes)
    }

    fn drop_of(id: u64, bytes: u64) -> String {
        line("DROP", id, "arena", bytes)
    }

    fn report(lines: &[String]) -> Result<MemoryReport, ReportError> {
        MemoryReport::of(lines.concat().as_bytes(), Path::new("trace"))
    }

    #[track_caller]
    fn flags(lines: &[String]) -> Vec<(u64, u64, Contradiction)> {
        let report = report(lines).unwrap();
        assert_eq!(report.flag_count, report.flags.len() as u64);
        assert!(report.flags.is_empty() || !report.is_clean());
        report.flags.iter().map(|f| (f.line, f.id, f.contradiction)).collect()
    }

    #[test]
    fn what_came_and_went_leaves_nothing() {
        let lines = [
            allocate(1, 10),
            allocate(2, 30),
            drop_of(1, 10),
            allocate(3, 5),
            drop_of(3, 5),
            drop_of(2, 30),
        ];
        let report = report(&lines).unwrap();
        assert!(report.is_clean(), "{report:?}");
        let count = Count {
            allocated: 3,
            dropped: 3,
            bytes_left: 0,
            peak_bytes: 40,
        };
        assert_eq!(report.kinds, BTreeMap::from([(ResourceKind::Arena, count)]));
        assert_eq!((report.events, report.torn_line), (6, None));
        assert_eq!(report.anonymous.registered_peak_bytes, 40);
        assert_eq!(report.file_pages.registered_peak_bytes, 0);
    }

    #[test]
    fn what_is_left_is_counted_by_kind_and_place() {
        let elsewhere = line("ALLOCATE", 3, "mapping", 9).replace("some.rs:7", "other.rs:1");
        let lines = [
            allocate(1, 10),
            allocate(2, 30),
            elsewhere,
            line("ALLOCATE", 4, "file", 0),
        ];
        let report = report(&lines).unwrap();
        assert!(!report.is_clean());
        let left = |kind, place: &str, count, bytes| ((kind, place.to_owned()), Left { count, bytes });
        let expected = BTreeMap::from([
            left(ResourceKind::Arena, "src/some.rs:7", 2, 40),
            left(ResourceKind::Mapping, "src/other.rs:1", 1, 9),
            left(ResourceKind::File, "src/some.rs:7", 1, 0),
        ]);
        assert_eq!(report.left, expected);
        assert_eq!(
            (
                report.anonymous.registered_end_bytes,
                report.file_pages.registered_end_bytes
            ),
            (40, 9)
        );
    }

    #[test]
    fn an_id_that_contradicts_the_events_before_it_is_flagged() {
        use Contradiction::{AllocatedTwice, DroppedAsAnother, DroppedTwice, NeverAllocated};

        let (first, gone) = (allocate(1, 8), drop_of(1, 8));
        assert_eq!(flags(&[first.clone(), first.clone()]), [(2, 1, AllocatedTwice)]);
        // Also when the first of the two is gone: an id is never used again.
        let again = [first.clone(), gone.clone(), first.clone()];
        assert_eq!(flags(&again), [(3, 1, AllocatedTwice)]);
        assert_eq!(
            flags(&[first.clone(), gone.clone(), gone.clone()]),
            [(3, 1, DroppedTwice)]
        );
        assert_eq!(
            flags(&[first.clone(), gone.clone(), drop_of(2, 8)]),
            [(3, 2, NeverAllocated)]
        );
        assert_eq!(flags(&[first.clone(), drop_of(1, 7)]), [(2, 1, DroppedAsAnother)]);
        assert_eq!(
            flags(&[first.clone(), line("DROP", 1, "file", 8)]),
            [(2, 1, DroppedAsAnother)]
        );
        let text = "a line of a log\n".to_owned();
        assert_eq!(flags(&[text, first, gone.clone(), gone]), [(4, 1, DroppedTwice)]);
    }

    #[test]
    fn a_last_line_that_is_cut_anywhere_is_told_and_the_others_are_counted() {
        let (whole, last) = (allocate(1, 8), drop_of(1, 8));
        for cut in 1..last.len() - 1 {
            let report = report(&[whole.clone(), last[..cut].to_owned()]).unwrap();
            assert_eq!((report.events, report.torn_line), (1, Some(2)), "cut at {cut}");
            assert!(!report.is_clean());
        }
        // But for its end, it is whole.
        let report = report(&[whole, last.trim_end().to_owned()]).unwrap();
        assert!(report.is_clean() && report.torn_line.is_none());
    }

    #[test]
    fn what_is_no_trace_is_refused_and_the_line_is_named() {
        for lines in [vec![], vec!["some text\n".to_owned()], vec![" @{}\n".to_owned()]] {
            assert!(matches!(report(&lines), Err(ReportError::NoTrace(_))), "{lines:?}");
        }
        let right = allocate(1, 8);
        for (from, to) in [
            ("ALLOCATE", "ALLOCATED"),
            ("arena", "arenas"),
            ("\"id\":1", "\"id\":-1"),
            ("\"id\":1", "\"id\":\"1\""),
            ("\"id\":1", "\"id\":18446744073709551616"),
            ("\"id\":1,", ""),
            ("\"id\":1", "\"id\":1,\"id\":1"),
            ("\"id\":1", "\"id\":1,\"more\":1"),
            ("}\n", "} \"\n"),
            ("@{", "@@{"),
        ] {
            let wrong = right.replace(from, to);
            assert_ne!(wrong, right);
            match report(&[right.clone(), wrong.clone(), right.clone()]) {
                Err(ReportError::Line { number: 2, .. }) => {}
                other => panic!("{wrong}: {other:?}"),
            }
        }
        let long = right.replace("src/", &"s".repeat(LINE_BYTES_MAX as usize));
        assert!(matches!(report(&[long]), Err(ReportError::Line { number: 1, .. })));
    }

    #[test]
    fn numbers_that_no_machine_reaches_are_counted_without_overflow() {
        let huge = u64::MAX;
        let lines = [
            allocate(huge, huge),
            allocate(0, huge),
            allocate(huge - 1, 1),
            drop_of(huge, huge),
        ];
        let report = report(&lines).unwrap();
        assert_eq!(report.kinds[&ResourceKind::Arena].peak_bytes, huge);
        assert_eq!(report.flag_count, 0);
        assert_eq!(report.left.values().map(|left| left.count).sum::<u64>(), 2);
    }

    /// Against a plain set, with ids in an order that joins and splits runs.
    #[test]
    fn a_set_of_ids_holds_what_was_put_into_it_and_is_one_run_for_ids_in_a_row() {
        let mut ids = Ids::default();
        let mut plain = std::collections::BTreeSet::new();
        for step in 0..4000_u64 {
            let id = step.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55;
            assert_eq!(ids.insert(id), plain.insert(id), "step {step}");
            assert!(
                (0..512).all(|id| ids.contains(id) == plain.contains(&id)),
                "step {step}"
            );
        }
        assert!(plain.len() > 500 && ids.runs.len() < 10);
        let mut in_a_row = Ids::default();
        assert!((1..100_000).all(|id| in_a_row.insert(id)));
        assert_eq!(in_a_row.runs, BTreeMap::from([(1, 99_999)]));
    }

    #[test]
    fn growth_is_measured_from_the_first_event_to_the_most_and_to_the_last() {
        let at = |anon: u64, file: u64, line: String| {
            line.replace("4096", &anon.to_string())
                .replace("8192", &file.to_string())
        };
        let lines = [
            at(1000, 50, allocate(1, 300)),
            at(1500, 20, allocate(2, 100)),
            at(900, 70, drop_of(2, 100)),
        ];
        let report = report(&lines).unwrap();
        let anonymous = report.anonymous;
        assert_eq!(
            (anonymous.growth_peak_bytes(), anonymous.growth_end_bytes()),
            (500, -100)
        );
        assert_eq!(
            (anonymous.registered_peak_bytes, anonymous.registered_end_bytes),
            (400, 300)
        );
        assert_eq!(report.file_pages.growth_peak_bytes(), 20);
    }
}
