//! What reading a large key takes of the heap: no more than reading a small one.

use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use allocation_counter::measure;

use super::CheckReport;
use super::check::check_key;
use crate::keydir::KeyDir;
use crate::keygen::tests::{LARGE_QUICK, in_memory, open_large};
use crate::keygen::{JobOptions, NoProgress};
use crate::plan::{LAYER_HEADER_BYTES, MemoryRequest};
use crate::signing::PathReader;
use crate::units::Epoch;
use crate::workers::Workers;

/// A key of hash functions that cost nothing.
fn key(parent: &Path, log_epochs: u8, trim: u8) -> KeyDir {
    let directory = parent.join(format!("{log_epochs}-{trim}"));
    let options = JobOptions::DEFAULT
        .threads(2)
        .group_batches(256)
        .memory(MemoryRequest::NoLimit);
    let job = open_large(&directory, 1 << log_epochs, trim, options);
    job.run_with(&LARGE_QUICK, &NoProgress).unwrap();
    KeyDir::open(&directory).unwrap()
}

/// Checks a key, and tells how many bytes of the heap that takes at its peak, in whatever thread.
fn checked(key: &KeyDir) -> (CheckReport, u64) {
    // The counter counts by thread. In a pool of one, all is done in that one.
    let workers = Workers::start(1, 0).unwrap();
    workers.install(|| {
        let mut report = CheckReport::default();
        let taken = measure(|| report = check_key(key, &LARGE_QUICK, false, &workers).unwrap());
        (report, taken.bytes_max)
    })
}

#[test]
fn a_key_of_2_to_the_22_epochs_is_checked_in_the_memory_of_a_small_one() {
    let parent = in_memory();
    let (small, large) = (key(parent.path(), 17, 4), key(parent.path(), 22, 4));
    let (report, small_bytes) = checked(&small);
    assert_eq!((report.batches_checked, &report.damage[..]), (128, &[][..]));
    let (report, large_bytes) = checked(&large);
    assert_eq!((report.batches_checked, &report.damage[..]), (4096, &[][..]));
    // The small key has no whole piece above its batches. The large one's are read with their children and computed again.
    let piece_bytes = 1024 * 32;
    assert!(
        large_bytes <= small_bytes + 4 * piece_bytes,
        "{large_bytes} bytes, and {small_bytes} of the small one"
    );
}

#[test]
fn a_key_that_is_damaged_everywhere_is_reported_in_little_memory() {
    let parent = in_memory();
    let key = key(parent.path(), 22, 4);
    for span in key.manifest().plan().geometry().stored_levels() {
        let path = key.paths().layer(span.level);
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        let node_bytes = file.metadata().unwrap().len() - LAYER_HEADER_BYTES;
        file.write_all_at(&vec![0; node_bytes as usize], LAYER_HEADER_BYTES)
            .unwrap();
    }
    let (report, bytes) = checked(&key);
    assert_eq!((report.damage.len(), report.batches_checked), (10_000, 4096));
    // Seven levels of every batch, and of the levels above them at least each piece of each.
    assert!(report.damage_count() >= 4096 * 7, "{} places", report.damage_count());
    assert!(bytes < 4 << 20, "{bytes} bytes");
}

#[test]
fn half_a_million_paths_are_streamed_in_the_memory_of_a_few() {
    let parent = in_memory();
    let key = key(parent.path(), 19, 0);
    let reader = PathReader::of(key).unwrap().with_kernel(Box::new(LARGE_QUICK));
    let heap_bytes_max = |count: u32| {
        let streamed = measure(|| {
            let mut paths = reader.stream();
            (0..count).for_each(|epoch| assert_eq!(paths.path(Epoch(epoch)).unwrap().epoch, Epoch(epoch)));
        });
        streamed.bytes_max
    };
    let few = heap_bytes_max(2);
    assert!(few < 8 << 10, "{few} bytes");
    assert_eq!(heap_bytes_max(500_000), few);
}
