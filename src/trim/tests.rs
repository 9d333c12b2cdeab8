//! Trimmed keys beside those that store every level: the same paths, whatever becomes of the trim.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::{TrimError, TrimReport, trim};
use crate::audit::fixture_tests::{LONG, OPTIONS, TINY, TestKey, open_request, seeded};
use crate::audit::{RepairReport, check, repair};
use crate::faults::{Fate, Faults};
use crate::keydir::{KeyDir, KeyDirError};
use crate::keygen::{CancelHandle, Event, KeyRequest, KeygenError, NoProgress, Progress};
use crate::ledger;
use crate::plan::PlanError;
use crate::scheme::Scheme;
use crate::signing::{AuthenticationPath, PathReader, Signer, SigningError};
use crate::state::{BatchRecord, Store};
use crate::units::{Epoch, Level, NodeIndex};

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
    let report = check(&key.path(), true).unwrap();
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
    // On rayon's own threads, which also compute the blocks: one that waits may be given another path to compute.
    let scattered = (0..1024u32).into_par_iter().map(|n| n.wrapping_mul(0x9e37_79b1) >> 24);
    let wrong: Vec<u32> = scattered
        .filter(|&epoch| reader.path(Epoch(epoch)).unwrap() != truth[epoch as usize])
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// What stands in a directory, but for the lock and RocksDB's own files.
fn visible(key: &TestKey) -> (BTreeMap<String, Vec<u8>>, Vec<u8>) {
    (key.layers(), std::fs::read(key.path().join("manifest.toml")).unwrap())
}

/// Trims copies of a key, of which the n-th call and all after it fail, as when the process ends there; with `made`, the
/// n-th is made before. Then the key is used, and trimmed undisturbed. Gives the number of calls.
fn every_call_ends_it(untrimmed: &TestKey, truth: &[AuthenticationPath], made: bool) -> usize {
    let layers = untrimmed.layers();
    for number in 0.. {
        let key = untrimmed.copy_in_memory();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&calls);
        let faults = Faults::below(&key.path(), move |call, path| {
            let mut calls = noted.lock().unwrap();
            calls.push(format!("{call} on {}", path.display()));
            match calls.len() - 1 {
                now if now < number => Fate::Pass,
                now if now == number && made => Fate::FailAfterwards(5),
                _ => Fate::Fail(5),
            }
        });
        let outcome = trim(&key.path(), Level(3));
        drop(faults);
        let calls = calls.lock().unwrap().clone();
        if calls.len() <= number {
            outcome.unwrap();
            return number;
        }
        let case = format!("call {number}, made: {made}: {}", calls[number]);
        let message = outcome.unwrap_err().to_string();
        assert!(message.contains("nput/output"), "{case}: {message}");
        assert!(paths(&key.path(), truth.len()) == truth, "{case}: a path differs");
        let report = key.check();
        assert!(report.damage.is_empty(), "{case}: {:?}", report.damage);
        let again = trim(&key.path(), Level(3)).unwrap_or_else(|error| panic!("{case}: {error}"));
        for file in &report.left_over {
            assert!(again.files_removed.contains(file), "{case}");
        }
        assert!(key.layers() == from_level(&layers, 3), "{case}: layer files differ");
        assert!(
            batch_records(&key.path()).iter().all(|r| r.slice_crc32.len() == 6),
            "{case}"
        );
        let report = key.check();
        assert_eq!(
            (&report.damage[..], &report.left_over[..]),
            (&[][..], &[][..]),
            "{case}"
        );
    }
    0
}

#[test]
fn a_trim_that_ends_at_any_call_leaves_a_key_that_can_be_used_and_is_finished_by_the_next() {
    let key = TestKey::trimmed(TINY, 0, 256, 23, 0);
    let truth = paths(&key.path(), 32);
    std::thread::scope(|scope| {
        for made in [false, true] {
            let (key, truth) = (&key, &truth);
            scope.spawn(move || {
                let calls = every_call_ends_it(key, truth, made);
                assert!(calls > 60, "{calls}");
            });
        }
    });
}

#[test]
fn files_that_a_trim_left_are_named_and_in_nobodys_way() {
    let key = TestKey::trimmed(TINY, 0, 256, 24, 0);
    let (layers, truth) = (key.layers(), paths(&key.path(), 64));
    let faults = Faults::below(&key.path(), |call, path| match call {
        "unlink" if path.ends_with("01.nodes") => Fate::Fail(5),
        _ => Fate::Pass,
    });
    let failed = trim(&key.path(), Level(4)).unwrap_err();
    assert!(matches!(failed, TrimError::Io(_)), "{failed}");
    drop(faults);
    let left = [key.layer(1), key.layer(2), key.layer(3)];
    // What they hold does not matter any more.
    key.edit(2, |bytes| bytes[HEADER_BYTES + 1] ^= 1);
    assert!(paths(&key.path(), 64) == truth);
    let report = check(&key.path(), true).unwrap();
    assert_eq!((&report.left_over[..], &report.damage[..]), (&left[..], &[][..]));
    let again = trim(&key.path(), Level(4)).unwrap();
    let expected = TrimReport {
        before: Level(4),
        level: Level(4),
        blocks_compared: Vec::new(),
        files_removed: left.to_vec(),
    };
    assert_eq!(again, expected);
    is_whole(&key, &layers, &truth, 4, "finished");
}

#[test]
fn a_level_that_was_deleted_or_that_every_key_stores_is_refused_and_nothing_changes() {
    let key = TestKey::trimmed(TINY, 0, 256, 25, 3);
    let before = visible(&key);
    let lower = trim(&key.path(), Level(2)).unwrap_err();
    assert!(
        matches!(
            lower,
            TrimError::Lower {
                present: Level(3),
                asked: Level(2),
                ..
            }
        ),
        "{lower}"
    );
    let higher = trim(&key.path(), Level(9)).unwrap_err();
    let limit = matches!(
        higher,
        TrimError::Plan(PlanError::TrimTooHigh {
            trim: Level(9),
            limit: Level(8),
            ..
        })
    );
    assert!(limit, "{higher}");
    let equal = trim(&key.path(), Level(3)).unwrap();
    assert_eq!((equal.before, &equal.files_removed[..]), (Level(3), &[][..]));
    assert!(visible(&key) == before);
}

#[test]
fn a_key_that_could_not_be_used_afterwards_is_not_trimmed() {
    let whole = TestKey::trimmed(TINY, 37, 20, 26, 0);
    let damages: [(&str, fn(&TestKey)); 6] = [
        ("the secret is missing", |key| {
            std::fs::remove_file(key.path().join("secret")).unwrap()
        }),
        ("the secret is another key's", |key| {
            let other = TestKey::trimmed(TINY, 37, 20, 27, 0);
            std::fs::copy(other.path().join("secret"), key.path().join("secret")).unwrap();
        }),
        ("a node that stays differs", |key| {
            key.edit(4, |bytes| bytes[HEADER_BYTES] ^= 1)
        }),
        ("a node above differs", |key| {
            key.edit(6, |bytes| bytes[HEADER_BYTES + 40] ^= 1)
        }),
        ("a file that stays is missing", |key| {
            std::fs::remove_file(key.layer(5)).unwrap()
        }),
        ("the store is damaged", |key| {
            std::fs::remove_file(key.path().join("state/CURRENT")).unwrap()
        }),
    ];
    for (case, damage) in damages {
        let key = whole.copy();
        damage(&key);
        let before = visible(&key);
        let refused = trim(&key.path(), Level(4));
        assert!(refused.is_err(), "{case}");
        assert!(visible(&key) == before, "{case}");
    }
    // What is deleted anyway may be damaged.
    let key = whole.copy();
    key.edit(2, |bytes| bytes[HEADER_BYTES] ^= 1);
    std::fs::remove_file(key.layer(0)).unwrap();
    trim(&key.path(), Level(4)).unwrap();
    is_whole(&key, &whole.layers(), &paths(&whole.path(), 32), 4, "damaged below");
}

#[test]
fn every_byte_of_the_lowest_level_counts_and_is_mended() {
    let key = TestKey::trimmed(TINY, 0, 256, 28, 5);
    let layers = key.layers();
    let nodes = (256 >> 5) * 32;
    for offset in 0..nodes {
        key.edit(5, |bytes| bytes[HEADER_BYTES + offset] ^= 1 << (offset % 8));
        let node = offset as u64 / 32;
        let reader = PathReader::open(&key.path()).unwrap();
        let of = |node: u64| reader.path(Epoch((node << 5) as u32 + 7));
        let own = of(node).unwrap_err();
        assert!(
            matches!(own, SigningError::DamagedBlock { level: Level(5), node: NodeIndex(found), .. } if found == node),
            "offset {offset}: {own}"
        );
        let beside = of(node ^ 1).unwrap_err();
        assert!(
            matches!(beside, SigningError::Damaged { .. }),
            "offset {offset}: {beside}"
        );
        of(node ^ 2).unwrap();
        let damage = key.check().damage;
        assert!(
            damage.iter().any(|d| d.level == Some(Level(5)) && d.batch.is_some()),
            "{damage:?}"
        );
        key.edit(5, |bytes| bytes[HEADER_BYTES + offset] ^= 1 << (offset % 8));
    }
    key.edit(5, |bytes| bytes[HEADER_BYTES + 100] ^= 1);
    let report = repair(&key.path(), OPTIONS, &CancelHandle::default()).unwrap();
    let expected = RepairReport {
        batches_recomputed: std::iter::once(0..1).collect(),
        ..RepairReport::default()
    };
    assert_eq!(report, expected);
    assert!(key.layers() == layers);
}

#[test]
fn a_wrong_node_of_the_lowest_level_that_agrees_with_all_above_is_found_by_a_deep_check() {
    // A record that vouches for it, and a tree made of it up to the batch's root.
    let key = TestKey::trimmed(LONG, 0, 1024, 29, 9);
    let opened = KeyDir::open(&key.path()).unwrap();
    let mut slice_crc32 = Vec::new();
    key.edit(9, |bytes| bytes[HEADER_BYTES] ^= 1);
    let children = std::fs::read(key.layer(9)).unwrap()[HEADER_BYTES..].to_vec();
    let mut root = vec![0; 28];
    opened.kernel().parents(Level(10), NodeIndex(0), &children, &mut root);
    key.edit(10, |bytes| {
        bytes[HEADER_BYTES..HEADER_BYTES + 28].copy_from_slice(&root)
    });
    slice_crc32.extend([crc32fast::hash(&children), crc32fast::hash(&root)]);
    let store = Store::open(&key.path().join("state"), &opened.manifest().binding()).unwrap();
    let records = [(crate::units::BatchIndex(0), BatchRecord { slice_crc32 })];
    store.commit_batches(&records, &store.progress().unwrap()).unwrap();
    drop(store);
    let at_the_lowest = |deep| {
        let damage = check(&key.path(), deep).unwrap().damage;
        damage.iter().filter(|damage| damage.level == Some(Level(9))).count()
    };
    assert_eq!((at_the_lowest(false), at_the_lowest(true)), (0, 1));
}

#[test]
fn without_its_secret_a_trimmed_key_gives_no_path_and_says_what_it_needs() {
    let key = TestKey::trimmed(TINY, 0, 256, 30, 2);
    let secret = key.path().join("secret");
    std::fs::remove_file(&secret).unwrap();
    let refused = PathReader::open(&key.path()).err().unwrap();
    let needed = matches!(
        refused,
        SigningError::SecretNeeded {
            trim: Level(2),
            source: KeyDirError::SecretMissing(_),
            ..
        }
    );
    assert!(needed, "{refused}");
    let damage = key.check().damage;
    assert!(damage.len() == 1 && damage[0].file == secret, "{damage:?}");
    // One that stores every level needs none.
    let whole = TestKey::trimmed(TINY, 0, 256, 30, 0);
    std::fs::remove_file(whole.path().join("secret")).unwrap();
    assert!(whole.check().damage.is_empty());
    paths(&whole.path(), 16);
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
    assert!(matches!(spent, Err(SigningError::Spent { .. })));
}

#[test]
fn a_trimmed_key_that_lost_files_or_checkpoints_is_repaired_without_the_levels_below() {
    let key = TestKey::trimmed(LONG, 1000, 3000, 32, 6);
    let (layers, truth) = (key.layers(), paths(&key.path(), 7));
    let damages: [fn(&TestKey); 4] = [
        |key| std::fs::remove_file(key.layer(6)).unwrap(),
        |key| std::fs::remove_dir_all(key.path().join("state")).unwrap(),
        |key| key.edit(8, |bytes| bytes.truncate(HEADER_BYTES + 5)),
        |key| key.edit(13, |bytes| bytes[HEADER_BYTES + 3] ^= 1),
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        damage(&key);
        assert!(!key.check().damage.is_empty(), "damage {number}");
        let report = repair(&key.path(), OPTIONS, &CancelHandle::default()).unwrap();
        assert!(report.did_something(), "damage {number}");
        is_whole(&key, &layers, &truth, 6, &format!("damage {number}"));
    }
}

/// Stops the job when its first group is committed.
struct StopAfterOneGroup(CancelHandle);

impl Progress for StopAfterOneGroup {
    fn event(&self, event: Event) {
        if let Event::Committed { .. } = event {
            self.0.cancel();
        }
    }
}

#[test]
fn an_unfinished_trimmed_key_is_resumed_from_its_checkpoints_and_never_trimmed() {
    let whole = TestKey::trimmed(LONG, 0, 16 * 1024, 33, 8);
    let (layers, truth) = (whole.layers(), paths(&whole.path(), 16));
    let request = KeyRequest {
        scheme: Some(Scheme::by_id(LONG).unwrap()),
        epochs: Some(16 * 1024),
        trim: Some(Level(8)),
        ..seeded(33)
    };
    let key = TestKey::empty();
    let cancel = CancelHandle::default();
    let job = open_request(&key.path(), &request, cancel.clone()).unwrap();
    let stopped = job.run(&StopAfterOneGroup(cancel)).unwrap_err();
    assert!(matches!(stopped, KeygenError::Interrupted), "{stopped}");
    let done = key.check().batches_checked;
    assert!((1..16).contains(&done), "{done}");
    let refused = trim(&key.path(), Level(9)).unwrap_err();
    assert!(
        matches!(refused, TrimError::KeyDir(KeyDirError::NotSealed(_))),
        "{refused}"
    );
    let other = KeyRequest {
        trim: Some(Level(7)),
        ..request
    };
    let contradicted = open_request(&key.path(), &other, CancelHandle::default())
        .err()
        .unwrap();
    assert!(
        matches!(contradicted, KeygenError::Contradiction { flag: "--trim", .. }),
        "{contradicted}"
    );
    // A batch that was committed and is damaged since then is found by its record.
    key.edit(8, |bytes| bytes[HEADER_BYTES + 1] ^= 1);
    let job = open_request(&key.path(), &seeded(33), CancelHandle::default()).unwrap();
    let summary = job.run(&NoProgress).unwrap();
    assert_eq!(summary.epochs_computed, (16 - done + 1) * 1024);
    is_whole(&key, &layers, &truth, 8, "resumed");
}
