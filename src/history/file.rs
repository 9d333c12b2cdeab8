//! DIR/history.jsonl: a history as lines of JSON (docs/FORMAT.md, "history.jsonl").
//!
//! Lines are added as things happen, and nothing waits for them to be on disk. Whatever is wrong with the file, and whatever fails
//! here, is passed over with a warning: no key depends on it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
#[cfg(feature = "serve")]
use std::io::{Seek, SeekFrom};

use rustix::fs::OFlags;

#[cfg(feature = "serve")]
use super::Sample;
use super::{KeyHistory, Line, Marks};
use crate::failure::{IoFailure, attempt};
use crate::files::Entry;
use crate::files::publish::{Mode, replace};
use crate::resources::{Registration, ResourceKind, register};

/// A file that is longer is written again, within the bounds of a history, which take little more than the half.
const BYTES_MAX: u64 = 1 << 20;
/// More than a file of ours ever has; what stands behind is not read.
const READ_BYTES_MAX: u64 = 2 * BYTES_MAX;
/// Some seventy lines.
#[cfg(feature = "serve")]
const END_BYTES: u64 = 32 << 10;
const MODE: u32 = 0o600;

/// What was read of a file.
#[derive(Default)]
struct Found {
    history: KeyHistory,
    /// What is wrong with it.
    damage: Option<String>,
    /// The last line has no end: it is being written, or its writer was ended.
    is_torn: bool,
}

/// What a key remembers, as far as that can be read, and what is wrong with the rest.
pub(crate) fn of_key(entry: &Entry) -> (KeyHistory, Option<String>) {
    let opened = entry.open(OFlags::RDONLY | OFlags::NOFOLLOW, 0);
    match opened.and_then(|file| read(&file, entry)) {
        Ok(found) => (found.history, found.damage),
        Err(failure) if failure.is_missing() => Default::default(),
        Err(failure) => (KeyHistory::default(), Some(failure.to_string())),
    }
}

/// The last samples of the last run, as far as they stand at the end of the file; none where nothing can be read. For whoever asks
/// again and again: it takes little, however long the file is.
#[cfg(feature = "serve")]
pub(crate) fn latest(entry: &Entry) -> Vec<Sample> {
    let opened = entry.open(OFlags::RDONLY | OFlags::NOFOLLOW, 0);
    let text = opened.and_then(|file| attempt("read", entry.path(), || read_end(&file)));
    let mut samples = Vec::new();
    // The first line may have no beginning, and the last one no end.
    for line in text.unwrap_or_default().split(|&byte| byte == b'\n') {
        if let Ok(Line::<Marks>::Sample(sample)) = serde_json::from_slice(line) {
            samples.push(sample);
        }
    }
    let run = samples.last().map(|sample: &Sample| sample.run);
    samples.retain(|sample| Some(sample.run) == run);
    samples
}

#[cfg(feature = "serve")]
fn read_end(mut file: &File) -> std::io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(END_BYTES)))?;
    let mut end = Vec::new();
    file.take(END_BYTES).read_to_end(&mut end)?;
    Ok(end)
}

fn read(file: &File, entry: &Entry) -> Result<Found, IoFailure> {
    let reader = BufReader::new(file.take(READ_BYTES_MAX));
    attempt("read", entry.path(), || parse(reader))
}

fn parse(mut reader: impl BufRead) -> std::io::Result<Found> {
    let mut found = Found::default();
    let (mut line, mut bytes) = (Vec::new(), 0);
    for number in 1_u64.. {
        line.clear();
        bytes += reader.read_until(b'\n', &mut line)? as u64;
        if bytes >= READ_BYTES_MAX {
            found.damage = Some(format!("it is longer than {BYTES_MAX} bytes"));
        }
        if line.last() != Some(&b'\n') {
            found.is_torn = !line.is_empty();
            break;
        }
        let known = serde_json::from_slice(&line);
        if !known.is_ok_and(|known| found.history.take(known)) && found.damage.is_none() {
            found.damage = Some(format!("line {number} is not what keymill writes"));
        }
    }
    found.history.bound();
    Ok(found)
}

/// Adds lines in the form in which they are written.
fn add<'a>(text: &mut Vec<u8>, lines: impl IntoIterator<Item = Line<&'a Marks>>) -> std::io::Result<()> {
    for line in lines {
        serde_json::to_writer(&mut *text, &line)?;
        text.push(b'\n');
    }
    Ok(())
}

/// Puts a file with this history in the place of the one that is there. Gives its length.
pub(crate) fn replace_all(entry: &Entry, history: &KeyHistory) -> Result<u64, IoFailure> {
    let mut text = Vec::new();
    attempt("write", entry.path(), || add(&mut text, history.lines()))?;
    replace(entry, &text, Mode::Umasked(MODE))?;
    Ok(text.len() as u64)
}

/// The file of a key to which a run adds.
pub(crate) struct HistoryFile {
    entry: Entry,
    /// None after a failure: then nothing more is remembered of this run.
    opened: Option<File>,
    bytes: u64,
    /// Kept for its room, so that a commit allocates nothing.
    text: Vec<u8>,
    _registration: Registration,
}

impl HistoryFile {
    /// Opens the file, or makes it, and gives what can be read of it. Lines that cannot be are dropped.
    pub(crate) fn open(entry: Entry) -> (Self, KeyHistory) {
        let mut file = Self {
            entry,
            opened: None,
            bytes: 0,
            text: Vec::new(),
            _registration: register(ResourceKind::File, 0),
        };
        let history = file.reopen(BYTES_MAX);
        let history = file.or_warn(history).unwrap_or_default();
        (file, history)
    }

    /// Opens the file and reads it, and writes it again if it is longer than that, or not as it should be.
    fn reopen(&mut self, bytes_max: u64) -> Result<KeyHistory, IoFailure> {
        let file = self.open_to_add()?;
        let path = self.entry.path();
        self.bytes = attempt("fstat", path, || file.metadata())?.len();
        let found = read(&file, &self.entry)?;
        if let Some(damage) = &found.damage {
            tracing::warn!(
                "'{}' is written again with what can be read of it: {damage}",
                path.display()
            );
        }
        self.opened = Some(file);
        if found.damage.is_some() || found.is_torn || self.bytes > bytes_max {
            self.rewrite(&found.history)?;
        }
        Ok(found.history)
    }

    fn open_to_add(&self) -> Result<File, IoFailure> {
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW;
        self.entry.open(flags, MODE)
    }

    fn rewrite(&mut self, history: &KeyHistory) -> Result<(), IoFailure> {
        self.opened = None;
        self.bytes = replace_all(&self.entry, history)?;
        self.opened = Some(self.open_to_add()?);
        Ok(())
    }

    /// Adds lines, in one write: a process that is ended leaves whole ones.
    pub(crate) fn add<'a>(&mut self, lines: impl IntoIterator<Item = Line<&'a Marks>>) {
        let added = self.try_to_add(lines);
        self.or_warn(added);
        self.shorten_to(BYTES_MAX);
    }

    /// Adds the last lines of a run. A key that is finished keeps no more than has to be.
    pub(crate) fn add_last<'a>(&mut self, lines: impl IntoIterator<Item = Line<&'a Marks>>) {
        self.add(lines);
        self.shorten_to(BYTES_MAX / 2);
    }

    fn shorten_to(&mut self, bytes_max: u64) {
        if self.opened.is_some() && self.bytes > bytes_max {
            let shortened = self.reopen(bytes_max);
            self.or_warn(shortened);
        }
    }

    fn try_to_add<'a>(&mut self, lines: impl IntoIterator<Item = Line<&'a Marks>>) -> Result<(), IoFailure> {
        let Some(file) = &mut self.opened else {
            return Ok(());
        };
        self.text.clear();
        attempt("write", self.entry.path(), || {
            add(&mut self.text, lines)?;
            file.write_all(&self.text)
        })?;
        self.bytes += self.text.len() as u64;
        Ok(())
    }

    fn or_warn<T>(&mut self, outcome: Result<T, IoFailure>) -> Option<T> {
        outcome
            .inspect_err(|failure| {
                self.opened = None;
                tracing::warn!("how this run goes is not remembered from here on: {failure}");
            })
            .ok()
    }
}

/// Reads any bytes as a file, and says whether all of it was one. What was read is within bounds, and the same when it was written.
#[cfg(any(test, fuzzing))]
pub(crate) fn reread(bytes: &[u8]) -> Result<bool, String> {
    let parse = |bytes: &[u8]| parse(bytes).map_err(|error| error.to_string());
    let found = parse(bytes)?;
    let mut text = Vec::new();
    add(&mut text, found.history.lines()).map_err(|error| error.to_string())?;
    let again = parse(&text)?;
    if text.len() as u64 > BYTES_MAX || again.history != found.history || again.damage.is_some() || again.is_torn {
        return Err(format!(
            "a history became another when it was written: {:?}",
            again.history
        ));
    }
    Ok(found.damage.is_none() && !found.is_torn && !bytes.is_empty())
}
