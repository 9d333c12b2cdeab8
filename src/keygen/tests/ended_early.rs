//! Whatever ends a job early, what is complete by then is committed, no thread is left waiting, and the next run goes on.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::quick_kernel::{JobKernel, JobOnly, Quick};
use super::{BATCHES, POSEIDON, Undisturbed, in_memory, records};
use crate::error::Reason;
use crate::keydir::KeyDir;
use crate::keygen::{CancelHandle, Event, NoProgress, Progress, disk_unreliable};
use crate::layers::Disk;
use crate::state::Store;
use crate::units::{Epoch, Level, NodeIndex};
use keymill_xmss::arena::{Arena, ArenaOverflow};
use keymill_xmss::hash::PrfKey;

const QUICK: Quick = Quick { digest_bytes: 28 };
/// The block of leaves at which a worker fails: in the third batch of 64 blocks.
const FAILS_AT: u64 = 150;

/// Fails at one block, in one way or another.
struct Failing {
    blocks: AtomicU64,
    panics: bool,
}

impl Failing {
    fn new(panics: bool) -> Self {
        Self {
            blocks: AtomicU64::new(0),
            panics,
        }
    }
}

impl JobKernel for Failing {
    fn block(&self, prf_key: &PrfKey, first: Epoch, leaves: &mut [u8], arena: &Arena) -> Result<(), ArenaOverflow> {
        if self.blocks.fetch_add(1, Ordering::Relaxed) == FAILS_AT {
            assert!(!self.panics, "on purpose");
            arena.slice(1 << 20, 0u8)?;
        }
        QUICK.block(prf_key, first, leaves, arena)
    }

    fn fold(&self, level: Level, first: NodeIndex, children: &[u8], parents: &mut [u8]) {
        QUICK.fold(level, first, children, parents);
    }
}

/// Batches that have a record, beside one of the arenas; then the key is finished, and is as if nothing had happened.
fn committed_then_finished(directory: &Path, case: &str) -> u64 {
    let committed = records(directory).0.len() as u64;
    let key = KeyDir::open(directory).unwrap();
    let store = Store::open_read_only(&key.paths().state(), &key.manifest().binding()).unwrap();
    let arena = store.arena().unwrap().unwrap();
    assert_eq!(
        (arena.high_water_bytes, arena.capacity_bytes >= 448),
        (448, true),
        "{case}: {arena:?}"
    );
    drop(store);
    POSEIDON.run_quick(directory, Box::<Disk>::default()).unwrap();
    Undisturbed::new(POSEIDON).assert_same(directory, case);
    committed
}

#[test]
fn a_worker_that_panics_takes_the_job_with_it() {
    let directory = in_memory();
    let job = POSEIDON
        .open(directory.path(), Box::<Disk>::default(), CancelHandle::default())
        .unwrap();
    let ended = std::panic::catch_unwind(AssertUnwindSafe(|| {
        job.run_with(&JobOnly(Failing::new(true)), &NoProgress)
    }));
    assert_eq!(ended.unwrap_err().downcast_ref(), Some(&"on purpose"));
    let committed = committed_then_finished(directory.path(), "panic");
    assert!((1..BATCHES).contains(&committed), "{committed}");
}

#[test]
fn an_arena_that_overflows_ends_the_job_with_an_error_that_names_it() {
    let directory = in_memory();
    let job = POSEIDON
        .open(directory.path(), Box::<Disk>::default(), CancelHandle::default())
        .unwrap();
    let ended = job.run_with(&JobOnly(Failing::new(false)), &NoProgress).unwrap_err();
    assert!(ended.to_string().contains("1048576"), "{ended}");
    let committed = committed_then_finished(directory.path(), "overflow");
    assert!((1..BATCHES).contains(&committed), "{committed}");
}

/// Ends the job at its first commit, for a reason.
struct EndsBecause(CancelHandle);

impl Progress for EndsBecause {
    fn event(&self, event: Event) {
        if matches!(event, Event::Committed { .. }) {
            self.0.cancel_because(disk_unreliable(Path::new("somewhere"), 77));
        }
    }
}

#[test]
fn a_job_that_is_cancelled_for_a_reason_ends_with_it() {
    let directory = in_memory();
    let cancel = CancelHandle::default();
    let job = POSEIDON
        .open(directory.path(), Box::<Disk>::default(), cancel.clone())
        .unwrap();
    let ended = job.run_with(&JobOnly(QUICK), &EndsBecause(cancel.clone())).unwrap_err();
    assert!(ended.to_string().contains("77 times"), "{ended}");
    // The reason is told once; a job that is asked again was merely asked.
    assert_eq!(cancel.proceed().unwrap_err().reason(), Reason::Interrupted);
    let committed = committed_then_finished(directory.path(), "reason");
    assert!((1..BATCHES).contains(&committed), "{committed}");
}
