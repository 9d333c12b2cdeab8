//! A join of very many batches, with files of the real form and hash functions that cost nothing.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::ticket::Ticket;
use super::super::{Division, JoinRequest, Joining, PartIndex};
use super::{OPTIONS, Place, SEED, TestedKey};
use crate::alone::is_alone;
use crate::error::Result;
use crate::keydir::Manifest;
use crate::keygen::tests::quick_kernel::{JobOnly, Quick};
use crate::keygen::{CancelHandle, Event, Progress};
use crate::layers::part::{self as part_file, Layout};
use crate::memory::ProcessMemory;
use crate::units::{Level, NodeIndex, Slice};
use keymill_xmss::hash::Kernel;

const PARTS: u64 = 256;
const KERNEL: JobOnly<Quick> = JobOnly(Quick { digest_bytes: 16 });
/// What a join may hold, whatever the key.
const ANONYMOUS_BYTES_MAX: u64 = 48 << 20;

/// Only the roots of the batches are stored: what is below would be computed for hours.
fn key(log_epochs: u32) -> TestedKey {
    TestedKey {
        scheme: "leanvm-blake2s-l32-ts-v42-w8",
        first: 0,
        epochs: 1 << log_epochs,
        trim: 10,
    }
}

/// Publishes a part over roots of batches that are made up.
fn publish(place: &Place, key: &Manifest, part: &Manifest) {
    let fold = part.fold(&KERNEL);
    let mut levels: Vec<(Slice, Vec<u8>)> = Vec::new();
    for span in part.plan().geometry().stored_levels() {
        let slice = Slice {
            level: span.level,
            nodes: span.stored.clone(),
        };
        let digests = match levels.last() {
            Some((_, below)) => fold.folded(&slice, below),
            None => {
                let mut roots = vec![0; slice.count() * 16];
                let (computed, digests) = fold.computed(&slice, &mut roots);
                let children = vec![0x55; 2 * digests.len()];
                KERNEL.parents(Level(10), NodeIndex(computed.nodes.start), &children, digests);
                roots
            }
        };
        levels.push((slice, digests));
    }
    let read = |piece: &Slice, bytes: &mut Vec<u8>| -> Result<()> {
        let (slice, digests) = levels.iter().find(|(slice, _)| slice.level == piece.level).unwrap();
        bytes.clear();
        bytes.extend_from_slice(&digests[slice.place(&piece.nodes, 16)]);
        Ok(())
    };
    let mut content = Vec::new();
    let put = |bytes: &[u8]| {
        content.extend_from_slice(bytes);
        Ok(())
    };
    let prf_key = key.scheme().draw(&SEED, &[]).prf_key;
    let layout = Layout::of(part.plan(), &part.binding());
    part_file::write(part.plan(), &layout, &prf_key, read, put).unwrap();
    let name = part_file::file_name(part.plan(), part.key_id());
    fs::write(place.out.join(name), content).unwrap();
}

/// Looks after each group.
#[derive(Default)]
struct Watch {
    anonymous_bytes_max: AtomicU64,
}

impl Progress for Watch {
    fn event(&self, event: Event) {
        if matches!(event, Event::Committed { .. } | Event::Phase(_)) {
            let bytes = ProcessMemory::read().unwrap().anonymous_bytes;
            self.anonymous_bytes_max.fetch_max(bytes, Ordering::Relaxed);
        }
    }
}

fn joined_in_bytes(log_epochs: u32) -> u64 {
    let place = Place::new(key(log_epochs), Division::Parts(PARTS));
    let ticket = Ticket::of_key(&place.key).unwrap();
    fs::create_dir(&place.out).unwrap();
    for index in 0..PARTS {
        publish(&place, ticket.key(), &ticket.part(PartIndex(index)).unwrap());
    }
    let request = JoinRequest {
        sample: Some(0),
        ..JoinRequest::new(&place.key, &place.out)
    };
    let watch = Watch::default();
    let joining = Joining::open(request, OPTIONS, CancelHandle::default()).unwrap();
    let report = joining.run_with(&KERNEL, &watch).unwrap();
    assert!(report.summary.is_some(), "{report:?}");
    watch.anonymous_bytes_max.into_inner()
}

/// `KEYMILL_TEST_JOIN_LOG_EPOCHS=32` takes a few minutes.
#[test]
fn a_join_of_256_parts_holds_little_memory_however_many_batches_they_have() {
    if is_alone("parts::tests::simulated::a_join_of_256_parts_holds_little_memory_however_many_batches_they_have") {
        let asked = std::env::var("KEYMILL_TEST_JOIN_LOG_EPOCHS").ok();
        let log_epochs = asked.map_or(26, |asked| asked.parse().unwrap());
        let held_bytes = joined_in_bytes(log_epochs);
        assert!(held_bytes <= ANONYMOUS_BYTES_MAX, "{held_bytes}");
    }
}
