//! Trimmed keys beside those that store every level: the same paths, whatever becomes of the trim.

mod damaged;
mod interrupted;
mod size;

use std::collections::BTreeMap;
use std::path::Path;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::trim;
use crate::audit::fixture_tests::{LONG, OPTIONS, TINY, TestKey};
use crate::audit::{RepairReport, check, repair};
use crate::error::Reason;
use crate::failure::FailureKind;
use crate::keydir::KeyDir;
use crate::keygen::CancelHandle;
use crate::ledger;
use crate::remedy::Remedy;
use crate::signing::{AuthenticationPath, PathReader, Signer};
use crate::state::{BatchRecord, Store};
use crate::units::{Epoch, Level};

const HEADER_BYTES: usize = 4096;
const OTHER_TINY: &str = "leansig-p2-l8-top-v64-w8";

/// Paths of so many of a key's epochs, spread over all of them.
fn paths(directory: &Path, count: usize) -> Vec<AuthenticationPath> {
    let reader = PathReader::open(directory).unwrap();
    let stored = reader.manifest().plan().stored();
    assert_eq!(stored.count() % count as u64, 0);
    let step = stored.count() as usize / count;
    let epochs = stored.as_range().step_by(step);
    epochs.map(|epoch| reader.path(Epoch(epoch as u32)).unwrap()).collect()
}

/// Those layer files that a key trimmed to this level stores.
fn from_level(layers: &BTreeMap<String, Vec<u8>>, trim: u8) -> BTreeMap<String, Vec<u8>> {
    let kept = layers.iter().filter(|(name, _)| name[..] >= *format!("{trim:02}"));
    kept.map(|(name, bytes)| (name.clone(), bytes.clone())).collect()
}

fn batch_records(directory: &Path) -> Vec<BatchRecord> {
    let key = KeyDir::open(directory).unwrap();
    let store = Store::open_read_only(&key.paths().state(), &key.manifest().binding()).unwrap();
    store.batches().unwrap().map(|entry| entry.unwrap().1).collect()
}

/// Everything about a trimmed key agrees with the untrimmed one that it could have been.
#[track_caller]
fn is_whole(key: &TestKey, layers: &BTreeMap<String, Vec<u8>>, truth: &[AuthenticationPath], trim: u8, case: &str) {
    assert!(key.layers() == from_level(layers, trim), "{case}: layer files differ");
    assert!(key.are_protected(), "{case}: a layer file is writable");
    assert!(paths(&key.path(), truth.len()) == truth, "{case}: a path differs");
    let report = check(&key.path(), true, OPTIONS).unwrap();
    assert_eq!(
        (&report.damage[..], &report.left_over[..]),
        (&[][..], &[][..]),
        "{case}"
    );
    let manifest = KeyDir::open(&key.path()).unwrap().manifest().clone();
    assert_eq!(manifest.plan().trim(), Level(trim), "{case}");
    let levels = manifest.plan().batches().stored_levels().len();
    let records = batch_records(&key.path());
    assert!(records.iter().all(|r| r.slice_crc32.len() == levels), "{case}");
    let repaired = repair(&key.path(), OPTIONS, &CancelHandle::default()).unwrap();
    assert_eq!(repaired, RepairReport::default(), "{case}");
}

/// Every trim of a key, from the beginning and later, against the key that stores every level.
fn every_trim(scheme: &'static str, activation: u64, epochs: u64, trims: &[u8], count: usize) {
    let untrimmed = TestKey::trimmed(scheme, activation, epochs, 21, 0);
    let (layers, truth) = (untrimmed.layers(), paths(&untrimmed.path(), count));
    let sealed = KeyDir::open(&untrimmed.path()).unwrap().manifest().clone();
    for &level in trims {
        let case = format!("{scheme} from {activation}, trimmed to {level}");
        let made = TestKey::trimmed(scheme, activation, epochs, 21, level);
        is_whole(&made, &layers, &truth, level, &case);
        let trimmed_later = untrimmed.copy();
        // Not in one step, if there can be two.
        for level in [level / 2, level] {
            trim(&trimmed_later.path(), Level(level)).unwrap();
        }
        is_whole(&trimmed_later, &layers, &truth, level, &format!("{case} later"));
        for key in [&made, &trimmed_later] {
            let manifest = KeyDir::open(&key.path()).unwrap().manifest().clone();
            assert_eq!(manifest, sealed.clone().trimmed(Level(level)).unwrap(), "{case}");
            assert_eq!(manifest.key_id(), sealed.key_id(), "{case}");
        }
        assert_eq!(
            batch_records(&made.path()),
            batch_records(&trimmed_later.path()),
            "{case}"
        );
    }
}

#[test]
fn every_path_of_a_trimmed_key_is_that_of_the_untrimmed_one_for_every_trim() {
    every_trim(TINY, 0, 256, &[1, 2, 3, 4, 5, 6, 7, 8], 256);
}

#[test]
fn fillers_below_the_trim_are_in_their_places() {
    // Stores [32, 64): the filler (5, 0) is below a trim of 6, (6, 1) below one of 7, (7, 1) below one of 8.
    every_trim(OTHER_TINY, 37, 20, &[5, 6, 7, 8], 32);
    // Stores [160, 224), with fillers on either side.
    every_trim(TINY, 161, 50, &[6, 7, 8], 64);
    // Stores [512, 4096): the filler (9, 0) is below a trim of 10.
    every_trim(LONG, 1000, 3000, &[4, 9, 10], 32);
}

#[test]
fn paths_in_any_order_and_from_many_threads_at_once_are_the_same() {
    let untrimmed = TestKey::trimmed(TINY, 0, 256, 22, 0);
    let truth = paths(&untrimmed.path(), 256);
    let key = TestKey::trimmed(TINY, 0, 256, 22, 3);
    let reader = PathReader::open(&key.path()).unwrap();
    // In tasks of rayon's: one that waited for others would be given another path to compute, and so on down the stack.
    let scattered = (0..1024u32).into_par_iter().map(|n| n.wrapping_mul(0x9e37_79b1) >> 24);
    let wrong: Vec<u32> = scattered
        .filter(|&epoch| reader.path(Epoch(epoch)).unwrap() != truth[epoch as usize])
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Flips the lowest bit of a byte behind the header.
fn flip(key: &TestKey, level: u8, offset: usize) {
    key.edit(level, |bytes| bytes[HEADER_BYTES + offset] ^= 1);
}

/// What stands in a directory, but for the lock and RocksDB's own files.
fn visible(key: &TestKey) -> (BTreeMap<String, Vec<u8>>, Vec<u8>) {
    (key.layers(), std::fs::read(key.path().join("manifest.toml")).unwrap())
}

#[test]
fn a_level_that_was_deleted_or_that_every_key_stores_is_refused_and_nothing_changes() {
    let key = TestKey::trimmed(TINY, 0, 256, 25, 3);
    let before = visible(&key);
    let lower = trim(&key.path(), Level(2)).unwrap_err();
    assert_eq!(lower.reason(), Reason::LevelsAreGone, "{lower}");
    let untrim = Remedy::Untrim {
        directory: key.path(),
        level: Level(2),
    };
    assert_eq!(lower.remedies(), [untrim]);
    let higher = trim(&key.path(), Level(9)).unwrap_err();
    assert_eq!(higher.kind(), FailureKind::Usage);
    assert!(higher.to_string().contains("it may be at most 8"), "{higher}");
    let equal = trim(&key.path(), Level(3)).unwrap();
    assert_eq!((equal.before, &equal.files_removed[..]), (Level(3), &[][..]));
    assert!(visible(&key) == before);
}

#[test]
fn a_trimmed_key_signs_with_the_same_bytes() {
    let untrimmed = TestKey::trimmed(TINY, 37, 20, 31, 0);
    ledger::init(&untrimmed.path(), 0).unwrap();
    let trimmed = untrimmed.copy();
    trim(&trimmed.path(), Level(7)).unwrap();
    for epoch in [32, 33, 47, 48, 63] {
        let signature = |key: &TestKey| Signer::open(&key.path()).unwrap().sign(Epoch(epoch), &[9; 32]).unwrap();
        assert_eq!(signature(&untrimmed), signature(&trimmed), "epoch {epoch}");
    }
    // The ledger went through the trim of a key that has signed.
    trim(&untrimmed.path(), Level(8)).unwrap();
    let spent = Signer::open(&untrimmed.path()).unwrap().sign(Epoch(47), &[8; 32]);
    assert_eq!(spent.unwrap_err().reason(), Reason::Spent);
}
