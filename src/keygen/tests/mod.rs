//! What becomes of a job when the machine fails it: at every call, at every moment, and in every order.

mod abort_points;
mod appeared;
mod commit_order;
pub(crate) mod cut_short;
mod ended_early;
mod failing_calls;
mod memory;
mod no_stall;
mod power_cut;
mod power_cut_medium;
pub(crate) mod quick_kernel;
mod remembered;
mod size;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::DirEntry;
use std::path::Path;

use super::{CancelHandle, JobOptions, KeyDefaults, KeyRequest, KeygenJob, NoProgress, Progress, Summary};
use crate::error::Result;
use crate::faults::{Fate, Faults, Seen};
use crate::files::available_bytes;
use crate::keydir::{KeyDir, Secret};
use crate::layers::{Disk, Medium};
use crate::plan::MemoryRequest;
use crate::state::{BatchRecord, CrownRecord, Store};
use crate::units::{BatchIndex, Level};
use keymill_xmss::scheme::Scheme;
use quick_kernel::{JobOnly, Quick};

/// Batches of [`POSEIDON`].
const BATCHES: u64 = 4;
const LARGE_SCHEME: &str = "leansig-p1-l32-abort-v46-w8";
/// Hash functions for it.
pub(crate) const LARGE_QUICK: JobOnly<Quick> = JobOnly(Quick { digest_bytes: 32 });

/// A key that is made here, and how.
#[derive(Clone, Copy, Debug)]
struct TestedKey {
    scheme: &'static str,
    activation_epoch: u64,
    epochs: u64,
    trim: Level,
    /// 0 for groups that follow the time that they take.
    group_batches: usize,
}

/// Whole batches, in groups of one.
const POSEIDON: TestedKey = TestedKey {
    scheme: "leansig-p2-l18-top-v64-w8",
    activation_epoch: 0,
    epochs: BATCHES * 1024,
    trim: Level(0),
    group_batches: 1,
};

/// Across the middle of the lifetime, in 21 batches of which the first and the last are not whole. Either end is odd, so that
/// there are fillers from level 0 on.
const LEANVM: TestedKey = TestedKey {
    scheme: "leanvm-blake2s-l32-ts-v42-w8",
    activation_epoch: (1 << 31) - 9501,
    epochs: 20_000,
    trim: Level(0),
    group_batches: 0,
};

const LEANVM_TRIMMED: TestedKey = TestedKey {
    trim: Level(4),
    ..LEANVM
};

impl TestedKey {
    fn scheme(&self) -> &'static Scheme {
        Scheme::by_id(self.scheme).unwrap()
    }

    /// Hash functions for it that cost nothing.
    fn quick(&self) -> Quick {
        Quick {
            digest_bytes: self.scheme().digest_bytes(),
        }
    }

    fn open(&self, directory: &Path, medium: Box<dyn Medium>, cancel: CancelHandle) -> Result<KeygenJob> {
        let request = KeyRequest {
            secret: Some(Secret::Seed([6; 32])),
            activation_epoch: Some(self.activation_epoch),
            ..KeyRequest::default()
        };
        let defaults = KeyDefaults {
            scheme: self.scheme(),
            epochs: self.epochs,
            trim: self.trim,
        };
        let options = JobOptions::DEFAULT
            .threads(2)
            .group_batches(self.group_batches)
            .memory(MemoryRequest::NoLimit);
        KeygenJob::open_on(
            medium,
            KeygenJob::builder(directory)
                .request(request)
                .defaults(defaults)
                .options(options)
                .cancel(cancel),
        )
    }

    /// Makes or finishes the key.
    fn run(&self, directory: &Path, medium: Box<dyn Medium>) -> Result<Summary> {
        self.open(directory, medium, CancelHandle::default())?.run(&NoProgress)
    }

    /// The same with hash functions that cost nothing, for tests that need thousands of runs.
    fn run_quick(&self, directory: &Path, medium: Box<dyn Medium>) -> Result<Summary> {
        self.run_watched(directory, medium, &NoProgress)
    }

    fn run_watched(&self, directory: &Path, medium: Box<dyn Medium>, progress: &dyn Progress) -> Result<Summary> {
        let job = self.open(directory, medium, CancelHandle::default())?;
        job.run_with(&JobOnly(self.quick()), progress)
    }
}

/// Begins a key of the longest lifetime, for hash functions that cost nothing.
pub(crate) fn open_large(directory: &Path, epochs: u64, trim: u8, options: JobOptions) -> KeygenJob {
    let defaults = KeyDefaults {
        scheme: Scheme::by_id(LARGE_SCHEME).unwrap(),
        epochs,
        trim: Level(trim),
    };
    KeygenJob::builder(directory)
        .defaults(defaults)
        .options(options)
        .open()
        .unwrap()
}

/// The layer files by name.
fn layers(directory: &Path) -> BTreeMap<OsString, Vec<u8>> {
    let entries = std::fs::read_dir(directory.join("layers")).unwrap();
    let read = |entry: std::io::Result<DirEntry>| {
        let entry = entry.unwrap();
        (entry.file_name(), std::fs::read(entry.path()).unwrap())
    };
    entries.map(read).collect()
}

type Records = (Vec<(BatchIndex, BatchRecord)>, Vec<CrownRecord>);

/// The checkpoints of a key: of its batches, and of the levels above.
fn records(directory: &Path) -> Records {
    let key = KeyDir::open(directory).unwrap();
    let store = Store::open_read_only(&key.paths().state(), &key.manifest().binding()).unwrap();
    let batches = store.batches().unwrap().collect::<Result<_, _>>().unwrap();
    let crown = (0..=32).filter_map(|level| store.crown(Level(level)).unwrap());
    (batches, crown.collect())
}

/// Everything that a finished key is, but for its layer files.
#[derive(Debug, PartialEq)]
struct Finished {
    manifest: Vec<u8>,
    secret: Vec<u8>,
    records: Records,
}

fn finished(directory: &Path) -> Finished {
    Finished {
        manifest: std::fs::read(directory.join("manifest.toml")).unwrap(),
        secret: std::fs::read(directory.join("secret")).unwrap(),
        records: records(directory),
    }
}

/// A key that was made without any trouble: what all others have to be like.
struct Undisturbed {
    key: TestedKey,
    directory: tempfile::TempDir,
    /// How many calls that took.
    calls: u64,
}

impl Undisturbed {
    fn new(key: TestedKey) -> Self {
        let directory = in_memory();
        let faults = Faults::below(directory.path(), |_, _| Fate::Pass);
        key.run_quick(directory.path(), Box::<Disk>::default()).unwrap();
        let calls = faults.seen().len() as u64;
        Self { key, directory, calls }
    }

    /// Compares a finished key with this one.
    #[track_caller]
    fn assert_same(&self, directory: &Path, case: &str) {
        self.assert_same_but_layers(directory, case);
        assert!(
            layers(self.directory.path()) == layers(directory),
            "{case}: the layer files differ"
        );
    }

    #[track_caller]
    fn assert_same_but_layers(&self, directory: &Path, case: &str) {
        assert_eq!(finished(self.directory.path()), finished(directory), "{case}");
        remembered::assert_readable(directory, case);
    }
}

/// The calls whose failures with an error of this number a job has to tell.
pub(crate) fn to_be_told(seen: &[Seen], number: i32) -> Vec<&Seen> {
    const EINTR: i32 = 4;
    let is_harmless = |at: usize| {
        let Seen { call, path, .. } = &seen[at];
        // A file that stays writable is worth a warning. Once nodes have been synced, layer files are opened for that alone.
        let is_layer = path.extension().is_some_and(|extension| extension == "nodes");
        let protects = *call == "open" && is_layer && seen[..at].iter().any(|seen| seen.call == "msync");
        // An interrupted allocation is taken up again.
        protects || seen[at].is_of_history() || *call == "chmod" || (*call == "fallocate" && number == EINTR)
    };
    let told = (0..seen.len()).filter(|&at| seen[at].is_injected && !is_harmless(at));
    told.map(|at| &seen[at]).collect()
}

/// A directory where syncing costs nothing, if there is one with room for some large keys, as in many containers there is not:
/// what is tested here is not the disk.
pub(crate) fn in_memory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let has_room = available_bytes(memory).is_ok_and(|bytes| bytes >= 256 << 20);
    let parent = if has_room { memory } else { &std::env::temp_dir() };
    tempfile::tempdir_in(parent).unwrap()
}
