//! Keys and sets that are being made beside those of a service: in the same directories. They are shown, and nothing else.
//!
//! What is known of them comes from files that are there for people: manifests, notes of sets, and the history of a key.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::files::parent_of;
use crate::history::{Sample, latest};
use crate::keydir::{KeyDir, KeyState};
use crate::sets;

/// Directories that are looked into, and names in each of them.
const PARENTS_MAX: usize = 16;
const NAMES_MAX: usize = 4096;
/// As many as are shown.
const SHOWN_MAX: usize = 32;
/// It is not looked again sooner, whoever asks.
const INTERVAL: Duration = Duration::from_secs(2);

/// Something that is not finished.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BeingMade {
    /// The name of its directory.
    pub(crate) name: String,
    pub(crate) of: What,
    pub(crate) done: u64,
    pub(crate) all: u64,
    /// Epochs a second, of the last commits of a key.
    pub(crate) epochs_per_second: Option<f64>,
    /// A process is making it now.
    pub(crate) is_running: bool,
}

/// What it is, and what `done` and `all` count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Epochs of a key.
    Key,
    /// Keys of a set.
    Set,
}

/// Looks beside the keys of a service.
pub(crate) struct Beside {
    parents: Vec<PathBuf>,
    /// Directories of which nothing more is to be learned: those that are served, and finished ones.
    known: BTreeSet<PathBuf>,
    last: Option<(Instant, Vec<BeingMade>)>,
}

impl Beside {
    /// Beside the keys in these places, of which each is the one name of a directory.
    pub(crate) fn of<'a>(places: impl Iterator<Item = &'a Path>) -> Self {
        let known: BTreeSet<_> = places.map(Path::to_owned).collect();
        // Those of sorted places need not be sorted.
        let parents: BTreeSet<_> = known.iter().map(|place| parent_of(place).to_owned()).collect();
        Self {
            parents: parents.into_iter().take(PARENTS_MAX).collect(),
            known,
            last: None,
        }
    }

    /// What is being made there, by name.
    pub(crate) fn look(&mut self) -> Vec<BeingMade> {
        if let Some((looked, found)) = &self.last
            && looked.elapsed() < INTERVAL
        {
            return found.clone();
        }
        let mut found = Vec::new();
        for parent in self.parents.clone() {
            found.extend(of_set(&parent));
            // A directory that cannot be read shows nothing.
            let names = std::fs::read_dir(&parent).into_iter().flatten().flatten();
            let places = names.take(NAMES_MAX).map(|entry| entry.path());
            for place in places {
                self.add(&place, &mut found);
            }
        }
        found.sort_by(|one, other| one.name.cmp(&other.name));
        found.truncate(SHOWN_MAX);
        self.last = Some((Instant::now(), found.clone()));
        found
    }

    fn add(&mut self, place: &Path, found: &mut Vec<BeingMade>) {
        if self.known.contains(place) || !place.is_dir() {
            return;
        }
        if sets::is_set(place) {
            found.extend(of_set(place));
        } else if let Ok(key) = KeyDir::open(place) {
            match key.manifest().state() {
                KeyState::Sealed => _ = self.known.insert(place.to_owned()),
                KeyState::Generating => found.push(of_key(&key)),
            }
        }
    }
}

/// What the directory in a place is called.
pub(crate) fn name_of(place: &Path) -> String {
    place
        .file_name()
        .unwrap_or(place.as_os_str())
        .to_string_lossy()
        .into_owned()
}

/// A set, unless it is finished, and the keys of it that are being made.
fn of_set(directory: &Path) -> Vec<BeingMade> {
    let Some(standing) = sets::standing(directory) else {
        return Vec::new();
    };
    if standing.keys_finished >= standing.keys {
        return Vec::new();
    }
    let name = name_of(directory);
    let keys = standing.unfinished.iter().filter_map(|place| KeyDir::open(place).ok());
    let keys = keys.map(|key| {
        let own = of_key(&key);
        BeingMade {
            name: format!("{name}/{}", own.name),
            ..own
        }
    });
    let mut found = vec![BeingMade {
        name: name.clone(),
        of: What::Set,
        done: standing.keys_finished,
        all: standing.keys,
        epochs_per_second: None,
        is_running: standing.is_running,
    }];
    found.extend(keys);
    found
}

fn of_key(key: &KeyDir) -> BeingMade {
    let plan = key.manifest().plan();
    let (epochs, batches) = (plan.stored().count(), plan.batches().count());
    let samples = latest(&key.paths().history());
    let batches_done = samples.last().map_or(0, |last| last.batches_done).min(batches);
    let is_running = key.writer().is_some();
    BeingMade {
        name: name_of(key.path()),
        of: What::Key,
        // All batches but the first and the last are of one size.
        done: (u128::from(epochs) * u128::from(batches_done) / u128::from(batches.max(1))) as u64,
        all: epochs,
        epochs_per_second: rate(&samples).filter(|_| is_running),
        is_running,
    }
}

fn rate(samples: &[Sample]) -> Option<f64> {
    let (first, last) = (samples.first()?, samples.last()?);
    let elapsed_ms = last.unix_ms.checked_sub(first.unix_ms).filter(|&ms| ms > 0)?;
    let epochs = last.run_epochs.saturating_sub(first.run_epochs);
    Some(epochs as f64 * 1e3 / elapsed_ms as f64)
}
