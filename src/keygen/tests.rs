//! The order of a commit, on a medium that fails on purpose.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{CancelHandle, JobOptions, KeyDefaults, KeyRequest, KeygenError, KeygenJob, NoProgress, Summary};
use crate::failure::{IoFailure, attempt};
use crate::faults::{Fate, Faults};
use crate::keydir::{KeyDir, Secret};
use crate::layers::{Disk, LayerError, LayerFile, Medium};
use crate::scheme::Scheme;
use crate::state::Store;

/// Counts syncs, and fails the n-th: its data is lost, as a disk that gives up on a page loses it.
#[derive(Clone)]
struct FailingSync {
    syncs: Arc<AtomicUsize>,
    fail_at: usize,
}

impl Medium for FailingSync {
    fn create(&self, path: &Path, bytes: u64, header: &[u8]) -> Result<(), IoFailure> {
        Disk.create(path, bytes, header)
    }

    fn sync_names(&self, directory: &Path) -> Result<(), IoFailure> {
        Disk.sync_names(directory)
    }

    fn open(&self, path: &Path, bytes: u64) -> Result<Box<dyn LayerFile>, LayerError> {
        Ok(Box::new(FailingFile {
            file: Disk.open(path, bytes)?,
            medium: self.clone(),
        }))
    }

    fn protect(&self, path: &Path) -> Result<(), IoFailure> {
        Disk.protect(path)
    }
}

struct FailingFile {
    file: Box<dyn LayerFile>,
    medium: FailingSync,
}

impl LayerFile for FailingFile {
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), IoFailure> {
        self.file.read(offset, bytes)
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), IoFailure> {
        self.file.write(offset, bytes)
    }

    fn sync(&mut self, range: Range<u64>) -> Result<(), IoFailure> {
        let number = self.medium.syncs.fetch_add(1, Ordering::Relaxed);
        if number != self.medium.fail_at {
            return self.file.sync(range);
        }
        let lost = vec![0xee; (range.end - range.start) as usize];
        self.file.write(range.start, &lost)?;
        attempt("msync", Path::new("a layer file"), || {
            Err(std::io::Error::from_raw_os_error(5))
        })
    }

    fn release(&mut self, range: Range<u64>) -> Result<(), IoFailure> {
        self.file.release(range)
    }
}

const BATCHES: u64 = 4;

fn run(directory: &Path, medium: Box<dyn Medium>) -> Result<Summary, KeygenError> {
    open(directory, medium, CancelHandle::default())?.run(&NoProgress)
}

fn open(directory: &Path, medium: Box<dyn Medium>, cancel: CancelHandle) -> Result<KeygenJob, KeygenError> {
    let scheme = Scheme::by_id("leansig-p2-l18-top-v64-w8").unwrap();
    let request = KeyRequest {
        secret: Some(Secret::Seed([6; 32])),
        ..KeyRequest::default()
    };
    let defaults = KeyDefaults {
        scheme,
        epochs: BATCHES * 1024,
    };
    let options = JobOptions {
        threads: 2,
        group_batches: 1,
        memory_bytes: 0,
    };
    KeygenJob::open_on(medium, directory, &request, &defaults, options, cancel)
}

fn layers(directory: &Path) -> Vec<Vec<u8>> {
    let level = |level| std::fs::read(directory.join(format!("layers/{level:02}.nodes"))).unwrap();
    (0..=18).map(level).collect()
}

fn committed(directory: &Path) -> u64 {
    let key = KeyDir::open(directory).unwrap();
    let store = Store::open_read_only(&key.paths().state(), &key.manifest().binding()).unwrap();
    store.batches().unwrap().count() as u64
}

#[test]
fn a_failed_sync_ends_the_job_is_never_repeated_and_commits_nothing_of_its_group() {
    let whole = tempfile::tempdir().unwrap();
    run(whole.path(), Box::new(Disk)).unwrap();
    let expected = layers(whole.path());
    // A group of one batch syncs its 11 levels; the crown syncs the levels 10 to 18.
    for fail_at in (0..BATCHES as usize * 11 + 9).step_by(3) {
        let directory = tempfile::tempdir().unwrap();
        let medium = FailingSync {
            syncs: Arc::default(),
            fail_at,
        };
        let failed = run(directory.path(), Box::new(medium.clone())).unwrap_err();
        assert!(
            matches!(failed, KeygenError::Layer(LayerError::Io(_))),
            "sync {fail_at}: {failed}"
        );
        assert_eq!(
            medium.syncs.load(Ordering::Relaxed),
            fail_at + 1,
            "a sync followed the failed one"
        );
        assert_eq!(
            committed(directory.path()),
            BATCHES.min(fail_at as u64 / 11),
            "sync {fail_at}"
        );
        run(directory.path(), Box::new(Disk)).unwrap();
        assert!(
            layers(directory.path()) == expected,
            "sync {fail_at}: the resumed key differs"
        );
    }
}

#[test]
fn a_committed_batch_that_was_damaged_is_computed_again() {
    let directory = tempfile::tempdir().unwrap();
    let medium = FailingSync {
        syncs: Arc::default(),
        fail_at: 2 * 11,
    };
    run(directory.path(), Box::new(medium)).unwrap_err();
    let path = directory.path().join("layers/03.nodes");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096 + 77] ^= 0x10;
    std::fs::write(&path, &bytes).unwrap();
    let summary = run(directory.path(), Box::new(Disk)).unwrap();
    assert_eq!(summary.epochs_computed, 3 * 1024);
    let whole = tempfile::tempdir().unwrap();
    run(whole.path(), Box::new(Disk)).unwrap();
    assert!(layers(directory.path()) == layers(whole.path()));
}

#[test]
fn a_creation_that_is_cancelled_is_interrupted_and_the_same_request_finishes_it() {
    let directory = tempfile::tempdir().unwrap();
    let cancel = CancelHandle::default();
    cancel.cancel();
    let stopped = open(directory.path(), Box::new(Disk), cancel).err();
    assert!(matches!(stopped, Some(KeygenError::Interrupted)), "{stopped:?}");
    assert!(!directory.path().join("layers").exists());
    let summary = run(directory.path(), Box::new(Disk)).unwrap();
    assert_eq!(summary.epochs_computed, BATCHES * 1024);
}

#[test]
fn a_call_that_fails_is_named_with_its_file_and_the_same_request_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    for (call, file) in [
        ("mkdir", "layers"),
        ("fallocate", "03.nodes"),
        ("rename", "manifest.toml"),
    ] {
        let faults = Faults::below(directory.path(), move |made, path| {
            match made == call && path.ends_with(file) {
                true => Fate::Fail(5),
                false => Fate::Pass,
            }
        });
        let failed = run(directory.path(), Box::new(Disk)).unwrap_err().to_string();
        assert!(failed.contains(call) && failed.contains(file), "{failed}");
        drop(faults);
    }
    run(directory.path(), Box::new(Disk)).unwrap();
}

#[test]
fn a_creation_that_ends_between_its_two_versions_is_finished_by_the_same_request() {
    for file in ["ledger.mark", "manifest.toml"] {
        let directory = tempfile::tempdir().unwrap();
        let manifest = directory.path().join("manifest.toml");
        let version = || std::fs::read_to_string(&manifest).unwrap_or_default();
        let read = manifest.clone();
        let faults = Faults::below(directory.path(), move |call, path| {
            let is_version_1 =
                || std::fs::read_to_string(&read).is_ok_and(|text| text.starts_with("format_version = 1"));
            match call == "rename" && path.ends_with(file) && is_version_1() {
                true => Fate::Fail(5),
                false => Fate::Pass,
            }
        });
        assert!(run(directory.path(), Box::new(Disk)).is_err(), "{file}");
        assert!(version().starts_with("format_version = 1\n"), "{file}");
        drop(faults);
        run(directory.path(), Box::new(Disk)).unwrap();
        assert!(version().starts_with("format_version = 2\n"), "{file}");
        let key = KeyDir::open(directory.path()).unwrap();
        let store = Store::open_read_only(&key.paths().state(), &key.manifest().binding()).unwrap();
        assert!(store.ledger_head().unwrap().is_some() && key.paths().ledger_mark().exists());
    }
}
