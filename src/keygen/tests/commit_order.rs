//! The order of a commit, on a medium that fails on purpose.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::{BATCHES, LEANVM_TRIMMED, POSEIDON, TestedKey, layers, records};
use crate::error::Reason;
use crate::error::Result;
use crate::failure::{IoFailure, attempt};
use crate::faults::{Fate, Faults};
use crate::files::Entry;
use crate::keygen::{CancelHandle, NoProgress};
use crate::layers::{Disk, LayerFile, Medium};

/// Counts syncs, and fails the n-th: its data is lost, as a disk that gives up on a page loses it.
#[derive(Clone)]
struct FailingSync {
    syncs: Arc<AtomicUsize>,
    fail_at: usize,
}

impl Medium for FailingSync {
    fn create(&self, layer: &Entry, bytes: u64, header: &[u8]) -> Result<(), IoFailure> {
        Disk::default().create(layer, bytes, header)
    }

    fn sync_names(&self, directory: &Entry) -> Result<(), IoFailure> {
        Disk::default().sync_names(directory)
    }

    fn open(&self, layer: &Entry, bytes: u64) -> Result<Box<dyn LayerFile>> {
        Ok(Box::new(FailingFile {
            file: Disk::default().open(layer, bytes)?,
            medium: self.clone(),
        }))
    }

    fn protect(&self, layer: &Entry) -> Result<(), IoFailure> {
        Disk::default().protect(layer)
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

/// Fails some of the syncs of a key that is made in groups of one batch, each of which syncs so many levels.
fn fail_syncs(key: TestedKey, batches: usize, levels: usize, one_in: usize) {
    let whole = tempfile::tempdir().unwrap();
    key.run(whole.path(), Box::new(Disk::default())).unwrap();
    let expected = layers(whole.path());
    // The levels of the crown begin with the highest one of the batches.
    let crown = usize::from(key.scheme().log_lifetime()) + 1 - 10;
    for fail_at in (0..batches * levels + crown).step_by(one_in) {
        let directory = tempfile::tempdir().unwrap();
        let medium = FailingSync {
            syncs: Arc::default(),
            fail_at,
        };
        let failed = key.run(directory.path(), Box::new(medium.clone())).unwrap_err();
        assert!(failed.reason() == Reason::Call, "sync {fail_at}: {failed}");
        assert_eq!(
            medium.syncs.load(Ordering::Relaxed),
            fail_at + 1,
            "a sync followed the failed one"
        );
        assert_eq!(
            records(directory.path()).0.len(),
            batches.min(fail_at / levels),
            "sync {fail_at}"
        );
        key.run(directory.path(), Box::new(Disk::default())).unwrap();
        assert!(
            layers(directory.path()) == expected,
            "sync {fail_at}: the resumed key differs"
        );
    }
}

#[test]
fn a_failed_sync_ends_the_job_is_never_repeated_and_commits_nothing_of_its_group() {
    fail_syncs(POSEIDON, BATCHES as usize, 11, 3);
    let leanvm = TestedKey {
        group_batches: 1,
        ..LEANVM_TRIMMED
    };
    fail_syncs(leanvm, 21, 11 - 4, 11);
}

#[test]
fn a_committed_batch_that_was_damaged_is_computed_again() {
    let directory = tempfile::tempdir().unwrap();
    let medium = FailingSync {
        syncs: Arc::default(),
        fail_at: 2 * 11,
    };
    POSEIDON.run(directory.path(), Box::new(medium)).unwrap_err();
    // Whichever two were complete first.
    let committed = records(directory.path()).0[0].0;
    let path = directory.path().join("layers/03.nodes");
    let mut bytes = std::fs::read(&path).unwrap();
    // A batch has 128 nodes there, of 28 bytes.
    bytes[4096 + 128 * 28 * committed.0 as usize + 77] ^= 0x10;
    std::fs::write(&path, &bytes).unwrap();
    let summary = POSEIDON.run(directory.path(), Box::new(Disk::default())).unwrap();
    assert_eq!(summary.epochs_computed, 3 * 1024);
    let whole = tempfile::tempdir().unwrap();
    POSEIDON.run(whole.path(), Box::new(Disk::default())).unwrap();
    assert!(layers(directory.path()) == layers(whole.path()));
}

#[test]
fn a_job_that_goes_on_reads_layer_files_from_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let cut_short = |call| {
        Faults::below(directory.path(), move |now, path| {
            if now == call && path.ends_with("05.nodes") {
                Fate::Fail(5)
            } else {
                Fate::Pass
            }
        })
    };
    let faults = cut_short("write to mapping");
    POSEIDON.run(directory.path(), Box::<Disk>::default()).unwrap_err();
    drop(faults);
    let calls = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&calls);
    let faults = Faults::below(directory.path(), move |call, path| {
        if path.ends_with("05.nodes") {
            noted.lock().unwrap().push(call);
        }
        Fate::Pass
    });
    let cancel = CancelHandle::default();
    let job = POSEIDON
        .open(directory.path(), Box::<Disk>::default(), cancel.clone())
        .unwrap();
    cancel.cancel();
    job.run(&NoProgress).unwrap_err();
    drop(faults);
    let calls = calls.lock().unwrap();
    let expected = [
        "open",
        "stat",
        "fallocate",
        "fsync",
        "posix_fadvise",
        "posix_fadvise",
        "mmap",
        "pread",
    ];
    assert_eq!(calls[..8], expected);
    for call in ["fsync", "posix_fadvise"] {
        let faults = cut_short(call);
        let failed = POSEIDON.run(directory.path(), Box::<Disk>::default()).unwrap_err();
        drop(faults);
        assert!(failed.reason() == Reason::Call, "{call}: {failed}");
    }
}

#[test]
fn a_creation_that_is_cancelled_is_interrupted_and_the_same_request_finishes_it() {
    let directory = tempfile::tempdir().unwrap();
    let cancel = CancelHandle::default();
    cancel.cancel();
    let stopped = POSEIDON.open(directory.path(), Box::new(Disk::default()), cancel).err();
    assert_eq!(stopped.map(|error| error.reason()), Some(Reason::Interrupted));
    assert!(!directory.path().join("layers").exists());
    let summary = POSEIDON.run(directory.path(), Box::new(Disk::default())).unwrap();
    assert_eq!(summary.epochs_computed, BATCHES * 1024);
}
