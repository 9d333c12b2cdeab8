//! What the checkpoints of a trimmed key take on disk.

use std::path::Path;

use crate::keygen::tests::in_memory;
use crate::plan::Plan;
use crate::state::{BatchRecord, ProgressRecord, Store};
use crate::trim::shorten_records;
use crate::units::{BatchIndex, Level};
use keymill_xmss::scheme::Scheme;

const FAMILIES: [&str; 4] = ["meta", "batches", "crown", "ledger"];
const BINDING: [u8; 32] = [0xb2; 32];
/// Those of 2^26 epochs.
const BATCHES: u64 = 1 << 16;
const GROUP: u64 = 256;

fn record(batch: u64, levels: u32) -> BatchRecord {
    let crc32 = |level: u32| crc32fast::hash(&[batch.to_le_bytes(), u64::from(level).to_le_bytes()].concat());
    BatchRecord {
        slice_crc32: (11 - levels..11).map(crc32).collect(),
    }
}

/// The bytes of a store with records of so many levels, of which `kept` remain.
fn bytes(path: &Path, levels: u32, kept: u32) -> u64 {
    let state = &crate::files::Entry::of(path).unwrap();
    Store::create(state, &FAMILIES, &BINDING).unwrap();
    let store = Store::open(state, &BINDING).unwrap();
    for first in (0..BATCHES).step_by(GROUP as usize) {
        let group: Vec<_> = (first..first + GROUP)
            .map(|batch| (BatchIndex(batch), record(batch, levels)))
            .collect();
        store.commit_batches(&group, &ProgressRecord::default()).unwrap();
    }
    let scheme = Scheme::by_id("leansig-p1-l32-abort-v46-w8").unwrap();
    let plan = Plan::new(scheme, 0, 1 << 26).unwrap();
    let plan = plan.trimmed(Level(11 - kept as u8)).unwrap();
    shorten_records(&store, plan.batches()).unwrap();
    store.compact().unwrap();
    let mut expected = (0..BATCHES).map(|batch| (BatchIndex(batch), record(batch, kept)));
    assert!(store.batches().unwrap().map(Result::unwrap).eq(expected.by_ref()));
    let files = std::fs::read_dir(path).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn records_that_are_shortened_take_as_little_as_if_they_had_been_short_from_the_beginning() {
    let parent = in_memory();
    let short = bytes(&parent.path().join("short"), 3, 3);
    let shortened = bytes(&parent.path().join("shortened"), 11, 3);
    assert!(shortened < short + short / 10, "{shortened} bytes instead of {short}");
    assert!(shortened < 3 << 20, "{shortened} bytes");
    let long = bytes(&parent.path().join("long"), 11, 11);
    assert!(long > 2 * short, "{long} bytes beside {short}");
}
