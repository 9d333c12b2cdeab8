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
use std::path::Path;

use super::{CancelHandle, JobOptions, KeyDefaults, KeyRequest, KeygenJob, NoProgress, Progress, Summary};
use crate::error::Result;
use crate::faults::Seen;
use crate::files::available_bytes;
use crate::keydir::{KeyDir, Secret};
use crate::layers::{Disk, Medium};
use crate::plan::MemoryRequest;
use crate::state::{BatchRecord, CrownRecord, Store};
use crate::units::{BatchIndex, Level};
use keymill_xmss::scheme::Scheme;
use quick_kernel::{JobOnly, Quick};

/// Batches of the keys that are made here, in groups of one.
const BATCHES: u64 = 4;
const LEVELS: u8 = 18;
const LARGE_SCHEME: &str = "leansig-p1-l32-abort-v46-w8";
/// Hash functions for it.
pub(crate) const LARGE_QUICK: JobOnly<Quick> = JobOnly(Quick { digest_bytes: 32 });

fn open(directory: &Path, medium: Box<dyn Medium>, cancel: CancelHandle) -> Result<KeygenJob> {
    let scheme = Scheme::by_id("leansig-p2-l18-top-v64-w8").unwrap();
    let request = KeyRequest {
        secret: Some(Secret::Seed([6; 32])),
        ..KeyRequest::default()
    };
    let defaults = KeyDefaults {
        scheme,
        epochs: BATCHES * 1024,
        trim: Level(0),
    };
    let options = JobOptions::DEFAULT
        .threads(2)
        .group_batches(1)
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

/// Makes or finishes the key.
fn run(directory: &Path, medium: Box<dyn Medium>) -> Result<Summary> {
    open(directory, medium, CancelHandle::default())?.run(&NoProgress)
}

/// The same with hash functions that cost nothing, for tests that need thousands of runs.
fn run_quick(directory: &Path, medium: Box<dyn Medium>) -> Result<Summary> {
    run_watched(directory, medium, &NoProgress)
}

fn run_watched(directory: &Path, medium: Box<dyn Medium>, progress: &dyn Progress) -> Result<Summary> {
    open(directory, medium, CancelHandle::default())?.run_with(&JobOnly(Quick { digest_bytes: 28 }), progress)
}

fn layers(directory: &Path) -> Vec<Vec<u8>> {
    let level = |level| std::fs::read(directory.join(format!("layers/{level:02}.nodes"))).unwrap();
    (0..=LEVELS).map(level).collect()
}

type Records = (Vec<(BatchIndex, BatchRecord)>, Vec<CrownRecord>);

/// The checkpoints of a key: of its batches, and of the levels above.
fn records(directory: &Path) -> Records {
    let key = KeyDir::open(directory).unwrap();
    let store = Store::open_read_only(&key.paths().state(), &key.manifest().binding()).unwrap();
    let batches = store.batches().unwrap().collect::<Result<_, _>>().unwrap();
    let crown = (0..=LEVELS).filter_map(|level| store.crown(Level(level)).unwrap());
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
    directory: tempfile::TempDir,
}

impl Undisturbed {
    fn new(run: fn(&Path, Box<dyn Medium>) -> Result<Summary>) -> Self {
        let directory = in_memory();
        run(directory.path(), Box::<Disk>::default()).unwrap();
        Self { directory }
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
