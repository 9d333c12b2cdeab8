//! Workers wait neither for the last block of a group nor for the disk.

use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::quick_kernel::{JobOnly, Quick};
use super::{BATCHES, POSEIDON, in_memory};
use crate::error::Result;
use crate::failure::IoFailure;
use crate::files::Entry;
use crate::keygen::{CancelHandle, Event, Progress};
use crate::layers::{Disk, LayerFile, Medium};

/// In a job that waits for what it should not wait for, the test waits so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// Blocks of leaves in a batch, which is a group here.
const GROUP_BLOCKS: u64 = 1024 / 16;

/// Counts blocks of leaves.
#[derive(Clone, Default)]
struct Computed(Arc<(Mutex<u64>, Condvar)>);

impl Computed {
    /// Counts a block, and gives its number.
    fn count(&self) -> u64 {
        let (computed, changed) = &*self.0;
        let mut computed = computed.lock().unwrap();
        *computed += 1;
        changed.notify_all();
        *computed
    }

    /// Waits until there are more than so many, and says whether they came.
    fn passes(&self, blocks: u64) -> bool {
        let (computed, changed) = &*self.0;
        let waited = changed.wait_timeout_while(computed.lock().unwrap(), PATIENCE, |computed| *computed <= blocks);
        *waited.unwrap().0 > blocks
    }
}

impl Progress for Computed {
    fn event(&self, event: Event) {
        if matches!(event, Event::Computed { .. }) {
            self.count();
        }
    }
}

/// Holds the worker that comes with the last but a few blocks of the first group, until the others are well in the second.
#[derive(Default)]
struct HoldsOneWorker {
    computed: Computed,
    in_vain: Mutex<bool>,
}

impl Progress for HoldsOneWorker {
    fn event(&self, event: Event) {
        // Of two workers, one comes with this block; both have been handed blocks of the first group only.
        let is_held = matches!(event, Event::Computed { .. }) && self.computed.count() == GROUP_BLOCKS - 4;
        if is_held && !self.computed.passes(GROUP_BLOCKS) {
            *self.in_vain.lock().unwrap() = true;
        }
    }
}

#[test]
fn a_worker_goes_on_with_the_next_group_while_another_is_on_a_block_of_the_last() {
    let directory = in_memory();
    let progress = HoldsOneWorker::default();
    let job = POSEIDON
        .open(directory.path(), Box::<Disk>::default(), CancelHandle::default())
        .unwrap();
    let summary = job.run_with(&JobOnly(Quick { digest_bytes: 28 }), &progress).unwrap();
    assert_eq!(summary.epochs_computed, BATCHES * 1024);
    assert!(!*progress.in_vain.lock().unwrap());
}

/// A disk whose syncs take until the second group is begun.
#[derive(Clone, Default)]
struct SlowSync {
    computed: Computed,
    in_vain: Arc<Mutex<bool>>,
}

impl Medium for SlowSync {
    fn create(&self, layer: &Entry, bytes: u64, header: &[u8]) -> Result<(), IoFailure> {
        Disk::default().create(layer, bytes, header)
    }

    fn sync_names(&self, directory: &Entry) -> Result<(), IoFailure> {
        Disk::default().sync_names(directory)
    }

    fn open(&self, layer: &Entry, bytes: u64) -> Result<Box<dyn LayerFile>> {
        Ok(Box::new(SlowFile {
            file: Disk::default().open(layer, bytes)?,
            medium: self.clone(),
        }))
    }

    fn protect(&self, layer: &Entry) -> Result<(), IoFailure> {
        Disk::default().protect(layer)
    }
}

struct SlowFile {
    file: Box<dyn LayerFile>,
    medium: SlowSync,
}

impl LayerFile for SlowFile {
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), IoFailure> {
        self.file.read(offset, bytes)
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), IoFailure> {
        self.file.write(offset, bytes)
    }

    fn sync(&mut self, range: Range<u64>) -> Result<(), IoFailure> {
        let mut in_vain = self.medium.in_vain.lock().unwrap();
        // Once is enough to know.
        *in_vain = *in_vain || !self.medium.computed.passes(GROUP_BLOCKS);
        self.file.sync(range)
    }

    fn release(&mut self, range: Range<u64>) -> Result<(), IoFailure> {
        self.file.release(range)
    }
}

#[test]
fn the_next_group_is_computed_while_one_is_synced() {
    let directory = in_memory();
    let medium = SlowSync::default();
    let job = POSEIDON
        .open(directory.path(), Box::new(medium.clone()), CancelHandle::default())
        .unwrap();
    job.run_with(&JobOnly(Quick { digest_bytes: 28 }), &medium.computed)
        .unwrap();
    assert!(!*medium.in_vain.lock().unwrap());
}
