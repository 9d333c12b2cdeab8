//! What a large trimmed key takes on disk: while it is made, and for good.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{LARGE_QUICK, in_memory, open_large};
use crate::files::allocated_bytes;
use crate::keygen::{Event, JobOptions, Progress};
use crate::plan::MemoryRequest;

/// Groups between two looks at the directory.
const GROUPS_UNSEEN: u64 = 8;

/// Looks at the directory now and then.
struct Watch {
    directory: PathBuf,
    groups: AtomicU64,
    bytes_max: AtomicU64,
}

impl Progress for Watch {
    fn event(&self, event: Event) {
        let is_time = match event {
            Event::Committed { .. } => self
                .groups
                .fetch_add(1, Ordering::Relaxed)
                .is_multiple_of(GROUPS_UNSEEN),
            Event::Phase(_) => true,
            _ => false,
        };
        if is_time {
            self.bytes_max
                .fetch_max(allocated_bytes(&self.directory).unwrap(), Ordering::Relaxed);
        }
    }
}

#[test]
fn a_key_of_2_to_the_26_epochs_trimmed_to_level_8_fits_20_megabytes() {
    let parent = in_memory();
    let directory = parent.path().join("key");
    // So that much of what was committed last stands in RocksDB's log when the key is finished.
    let options = JobOptions::DEFAULT
        .threads(2)
        .group_batches(256)
        .memory(MemoryRequest::NoLimit);
    let job = open_large(&directory, 1 << 26, 8, options);
    let (needed_bytes, kept_bytes) = {
        let plan = job.manifest().plan();
        (plan.disk_bytes(), plan.kept_bytes())
    };
    let watch = Watch {
        directory: directory.clone(),
        groups: AtomicU64::new(0),
        bytes_max: AtomicU64::new(0),
    };
    job.run_with(&LARGE_QUICK, &watch).unwrap();
    let (bytes, bytes_max) = (allocated_bytes(&directory).unwrap(), watch.bytes_max.into_inner());
    assert!(bytes < 20_000_000, "{bytes} bytes");
    assert!(bytes <= kept_bytes, "{bytes} of {kept_bytes} bytes");
    // What `plan` says is enough while it is made, and not far from the truth.
    assert!(bytes_max <= needed_bytes, "{bytes_max} of {needed_bytes} bytes");
    assert!(needed_bytes <= 2 * bytes, "{needed_bytes} bytes for {bytes}");
}
