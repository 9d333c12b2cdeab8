//! A whole job allocates nothing on the heap a batch once it is under way, whatever computes its leaves.
//!
//! Counted is what goes through Rust's global allocator, of all threads of the job. What RocksDB allocates for itself, in
//! C++, does not; nor do mappings. The job has no memory budget: the governor of one that has looks at files of the kernel
//! four times a second, whatever is computed meanwhile. A binary of its own, since the count is of the process.

#![expect(clippy::unwrap_used, reason = "tests say what they expect by unwrapping it")]

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;

use keymill::{
    CancelHandle, Event, JobOptions, KeyRequest, KeygenJob, MemoryRequest, Progress, Reason, Scheme, Secret,
};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// The first commits make what is kept from then on.
const COMMITS_TO_WARM_UP: usize = 6;
const COMMITS: usize = 18;
/// Batches a commit.
const GROUP_BATCHES: usize = 2;
const EPOCHS: u64 = 1 << 17;

/// Notes at each commit how many blocks were ever allocated, and ends the job after the last.
struct Counts {
    at_commit: Mutex<Vec<u64>>,
    cancel: CancelHandle,
}

impl Progress for Counts {
    fn event(&self, event: Event) {
        let Event::Committed { .. } = event else {
            return;
        };
        let mut at_commit = self.at_commit.lock().unwrap();
        if at_commit.len() < COMMITS {
            at_commit.push(dhat::HeapStats::get().total_blocks);
        } else {
            self.cancel.cancel();
        }
    }
}

/// Blocks that a job of this scheme has allocated until each commit.
fn blocks_allocated(scheme: &'static Scheme, directory: &Path) -> Vec<u64> {
    let counts = Counts {
        at_commit: Mutex::new(Vec::with_capacity(COMMITS)),
        cancel: CancelHandle::default(),
    };
    let request = KeyRequest::new(scheme).epochs(EPOCHS).secret(Secret::Seed([3; 32]));
    let options = JobOptions::DEFAULT
        .threads(2)
        .group_batches(GROUP_BATCHES)
        .memory(MemoryRequest::NoLimit);
    let job = KeygenJob::builder(directory)
        .request(request)
        .options(options)
        .cancel(counts.cancel.clone())
        .open()
        .unwrap();
    let ended = job.run(&counts);
    assert_eq!(ended.unwrap_err().reason(), Reason::Interrupted);
    counts.at_commit.into_inner().unwrap()
}

/// Of each kind of kernel, the scheme that takes least to compute.
fn one_scheme_a_kernel() -> impl Iterator<Item = &'static Scheme> {
    let mut found: HashMap<_, &Scheme> = HashMap::new();
    let steps = |scheme: &Scheme| scheme.chains() as u64 * u64::from(scheme.chain_length());
    for scheme in Scheme::all().iter().filter(|scheme| scheme.lifetime() >= EPOCHS) {
        let quickest = found
            .entry((scheme.family().permutation(), scheme.digest_bytes()))
            .or_insert(scheme);
        if steps(scheme) < steps(quickest) {
            *quickest = scheme;
        }
    }
    found.into_values()
}

#[test]
fn a_job_that_is_under_way_allocates_nothing_whatever_its_kernel() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let mut kernels = 0;
    for scheme in one_scheme_a_kernel() {
        let parent = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .unwrap();
        let blocks = blocks_allocated(scheme, &parent.path().join("key"));
        assert!(
            blocks.len() == COMMITS && blocks[0] > 100,
            "nothing was counted: {blocks:?}"
        );
        let under_way = &blocks[COMMITS_TO_WARM_UP..];
        assert!(
            under_way.windows(2).all(|pair| pair[0] == pair[1]),
            "{}: {blocks:?}",
            scheme.id()
        );
        kernels += 1;
    }
    assert_eq!(kernels, 4);
}
