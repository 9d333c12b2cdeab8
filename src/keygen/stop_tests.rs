//! A job that is asked to stop does so after the call in flight, however much is left to do.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::{CancelHandle, JobOptions, KeyDefaults, KeygenJob, NoProgress, crown};
use crate::error::{Reason, Result};
use crate::failure::IoFailure;
use crate::faults::{Fate, Faults};
use crate::files::Entry;
use crate::keydir::{KeyPaths, Manifest, Origin};
use crate::layers::{Disk, LayerFile, LayerWriter, Medium};
use crate::migrations;
use crate::plan::{MemoryRequest, Plan};
use crate::state::Store;
use crate::units::Level;
use keymill_xmss::scheme::Parameter;

use keymill_xmss::Scheme;

const EINTR: i32 = 4;
const EIO: i32 = 5;
const EOPNOTSUPP: i32 = 95;

/// Files of zeros behind their headers, of any size. Its n-th call asks the job to stop.
#[derive(Clone, Default)]
struct Zeros {
    headers: Arc<Mutex<HashMap<PathBuf, Vec<u8>>>>,
    calls: Arc<AtomicUsize>,
    stop_at: usize,
    cancel: CancelHandle,
}

impl Zeros {
    fn called(&self) {
        if self.calls.fetch_add(1, Ordering::Relaxed) == self.stop_at {
            self.cancel.cancel();
        }
    }
}

impl Medium for Zeros {
    fn create(&self, layer: &Entry, _bytes: u64, header: &[u8]) -> Result<(), IoFailure> {
        self.headers
            .lock()
            .unwrap()
            .insert(layer.path().to_owned(), header.to_vec());
        Ok(())
    }

    fn sync_names(&self, _directory: &Entry) -> Result<(), IoFailure> {
        Ok(())
    }

    fn open(&self, layer: &Entry, _bytes: u64) -> Result<Box<dyn LayerFile>> {
        let header = self.headers.lock().unwrap()[layer.path()].clone();
        Ok(Box::new(ZeroFile {
            header,
            medium: self.clone(),
        }))
    }

    fn protect(&self, _layer: &Entry) -> Result<(), IoFailure> {
        Ok(())
    }
}

struct ZeroFile {
    header: Vec<u8>,
    medium: Zeros,
}

impl LayerFile for ZeroFile {
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), IoFailure> {
        if offset == 0 {
            bytes.copy_from_slice(&self.header);
            return Ok(());
        }
        self.medium.called();
        bytes.fill(0);
        Ok(())
    }

    fn write(&mut self, _offset: u64, _bytes: &[u8]) -> Result<(), IoFailure> {
        self.medium.called();
        Ok(())
    }

    fn sync(&mut self, _range: Range<u64>) -> Result<(), IoFailure> {
        self.medium.called();
        Ok(())
    }

    fn release(&mut self, _range: Range<u64>) -> Result<(), IoFailure> {
        self.medium.called();
        Ok(())
    }
}

#[test]
fn a_crown_is_abandoned_between_two_pieces() {
    // Level 10 has 2^18 nodes, 256 pieces: two syncs and 256 reads; then 128 times read, write and release, and so on up.
    let scheme = Scheme::by_id("leansig-p2-l32-top-v64-w8").unwrap();
    let plan = Plan::new(scheme, 0, 1 << 28).unwrap();
    let fillers = vec![0; plan.filler_count() * scheme.digest_bytes()];
    let manifest = Manifest::begin(plan, Parameter::of(&[0; 20]), [0; 32], Origin::Seed, fillers);
    for stop_at in [0, 1, 2, 100, 257, 258, 259, 260, 500, 700, 1000] {
        let directory = tempfile::tempdir().unwrap();
        let medium = Zeros {
            stop_at,
            ..Zeros::default()
        };
        let paths = KeyPaths::open(directory.path()).unwrap().lock().unwrap();
        let manifest = migrations::run(&paths, manifest.clone(), &medium, &migrations::steps(), |_| true).unwrap();
        let mut writer = LayerWriter::open(&medium, &paths.layers(), manifest.plan(), &manifest.binding()).unwrap();
        let store = Store::open(&paths.state(), &manifest.binding()).unwrap();
        let kernel = scheme.kernel(manifest.parameter());
        let outcome = crown::fold(&manifest, kernel.as_ref(), &mut writer, &store, &medium.cancel);
        assert!(
            outcome
                .as_ref()
                .is_err_and(|error| error.reason() == Reason::Interrupted),
            "stopped at {stop_at}: {outcome:?}"
        );
        let later = medium.calls.load(Ordering::Relaxed) - stop_at - 1;
        assert!(later <= 2, "stopped at {stop_at}: {later} calls followed");
    }
}

#[test]
fn a_file_that_takes_long_to_allocate_is_abandoned() {
    let directory = tempfile::tempdir().unwrap();
    let (stop, writes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let rule = {
        let (stop, writes) = (Arc::clone(&stop), Arc::clone(&writes));
        move |call: &'static str, _: &Path| match call {
            "fallocate" => Fate::Fail(EOPNOTSUPP),
            "write" => {
                stop.store(true, Ordering::Relaxed);
                writes.fetch_add(1, Ordering::Relaxed);
                Fate::Pass
            }
            _ => Fate::Pass,
        }
    };
    let _faults = Faults::below(directory.path(), rule);
    let medium = Disk::new(stop);
    let layer = Entry::of(&directory.path().join("00.nodes")).unwrap();
    let failure = medium.create(&layer, 100 << 20, b"header").unwrap_err();
    assert_eq!(failure.source.kind(), std::io::ErrorKind::Interrupted, "{failure}");
    assert_eq!(writes.load(Ordering::Relaxed), 1);
}

fn open(directory: &Path, cancel: &CancelHandle) -> Result<KeygenJob> {
    let defaults = KeyDefaults {
        scheme: Scheme::by_id("leansig-p2-l18-top-v64-w8").unwrap(),
        epochs: 4 * 1024,
        trim: Level(0),
    };
    let options = JobOptions::DEFAULT
        .threads(2)
        .group_batches(1)
        .memory(MemoryRequest::NoLimit);
    KeygenJob::builder(directory)
        .defaults(defaults)
        .options(options)
        .cancel(cancel.clone())
        .open()
}

#[test]
fn an_allocation_that_a_signal_cuts_short_is_an_interruption_and_not_begun_again() {
    let directory = tempfile::tempdir().unwrap();
    let cancel = CancelHandle::default();
    let asked = cancel.clone();
    // As tmpfs does it: a signal undoes an allocation, and the next attempt begins at its beginning.
    let faults = Faults::below(directory.path(), move |call, path| {
        if call == "fallocate" && path.ends_with("03.nodes") {
            asked.cancel();
            Fate::Fail(EINTR)
        } else {
            Fate::Pass
        }
    });
    let outcome = open(directory.path(), &cancel).err();
    assert_eq!(outcome.map(|error| error.reason()), Some(Reason::Interrupted));
    drop(faults);
    let again = CancelHandle::default();
    open(directory.path(), &again).unwrap().run(&NoProgress).unwrap();
}

#[test]
fn a_check_of_what_is_there_is_abandoned_after_the_batch_in_hand() {
    let directory = tempfile::tempdir().unwrap();
    let fails = Faults::below(directory.path(), |call, path| match call {
        "msync" if path.ends_with("11.nodes") => Fate::Fail(EIO),
        _ => Fate::Pass,
    });
    let cancel = CancelHandle::default();
    let failed = open(directory.path(), &cancel).unwrap().run(&NoProgress).unwrap_err();
    assert_eq!(failed.reason(), Reason::Call, "{failed}");
    drop(fails);
    // 19 headers, then 11 slices a batch.
    let reads = Arc::new(AtomicUsize::new(0));
    let (counted, asked) = (Arc::clone(&reads), cancel.clone());
    let _faults = Faults::below(directory.path(), move |call, _| {
        if call == "pread" && counted.fetch_add(1, Ordering::Relaxed) == 19 {
            asked.cancel();
        }
        Fate::Pass
    });
    let outcome = open(directory.path(), &cancel).unwrap().run(&NoProgress);
    assert_eq!(outcome.map_err(|error| error.reason()).err(), Some(Reason::Interrupted));
    assert_eq!(reads.load(Ordering::Relaxed), 19 + 11);
}
