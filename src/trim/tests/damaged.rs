//! Damage of trimmed keys, and of keys that are to be trimmed.

use std::path::Path;

use super::{HEADER_BYTES, flip, is_whole, paths, visible};
use crate::audit::fixture_tests::{LONG, OPTIONS, TINY, TestKey};
use crate::audit::{RepairReport, check, repair};
use crate::error::Reason;
use crate::faults::{Fate, Faults};
use crate::keydir::KeyDir;
use crate::keygen::CancelHandle;
use crate::signing::PathReader;
use crate::state::damage_tests::flip_in_tables;
use crate::state::{BatchRecord, Store};
use crate::trim::trim;
use crate::units::{BatchIndex, Epoch, Level, NodeIndex};

/// Something that is done to a key.
type Damaging = fn(&TestKey);

fn remove(path: &Path) {
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_key_that_could_not_be_used_afterwards_is_not_trimmed() {
    let whole = TestKey::trimmed(TINY, 37, 20, 26, 0);
    let damages: [(&str, Damaging); 6] = [
        ("the secret is missing", |key| remove(&key.path().join("secret"))),
        ("the secret is another key's", |key| {
            let other = TestKey::trimmed(TINY, 37, 20, 27, 0);
            std::fs::copy(other.path().join("secret"), key.path().join("secret")).unwrap();
        }),
        ("a node that stays differs", |key| flip(key, 4, 0)),
        ("a node above differs", |key| flip(key, 6, 40)),
        ("a file that stays is missing", |key| remove(&key.layer(5))),
        ("the store is damaged", |key| remove(&key.path().join("state/CURRENT"))),
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
    flip(&key, 2, 0);
    remove(&key.layer(0));
    trim(&key.path(), Level(4)).unwrap();
    is_whole(&key, &whole.layers(), &paths(&whole.path(), 32), 4, "damaged below");
}

#[test]
fn a_store_of_which_any_record_is_damaged_is_met_before_anything_is_deleted() {
    let whole = TestKey::trimmed(TINY, 0, 256, 38, 0);
    let put = |key: &TestKey, family: &'static str, at: &[u8]| {
        let opened = KeyDir::open(&key.path()).unwrap();
        let store = Store::open(&opened.paths().state(), &opened.manifest().binding()).unwrap();
        store.put_bytes(family, at, &[0xff]).unwrap();
    };
    type InStore<'a> = &'a dyn Fn(&TestKey);
    let damages: [(&str, InStore<'_>); 5] = [
        ("a flipped bit of the batches", &|key| {
            flip_in_tables(&key.path().join("state"), "batches");
        }),
        ("a flipped bit of the crown", &|key| {
            flip_in_tables(&key.path().join("state"), "crown");
        }),
        ("a batch record", &|key| put(key, "batches", &[0; 8])),
        ("the key of a batch record", &|key| put(key, "batches", &[0; 7])),
        ("the progress", &|key| put(key, "meta", b"progress")),
    ];
    for (case, damage) in damages {
        for finishing in [false, true] {
            let key = whole.copy();
            if finishing {
                let faults = Faults::below(&key.path(), |call, _| match call {
                    "unlink" => Fate::Fail(5),
                    _ => Fate::Pass,
                });
                trim(&key.path(), Level(4)).unwrap_err();
                drop(faults);
            }
            damage(&key);
            let before = visible(&key);
            let refused = trim(&key.path(), Level(4)).unwrap_err();
            assert_eq!(refused.reason(), Reason::Damaged, "{case}: {refused}");
            assert!(visible(&key) == before, "{case}");
        }
    }
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
            own.reason() == Reason::Damaged && own.to_string().starts_with(&format!("node {node} of level 5 ")),
            "offset {offset}: {own}"
        );
        let beside = of(node ^ 1).unwrap_err();
        assert!(
            beside.to_string().contains("does not lead to the root"),
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
    flip(&key, 5, 100);
    let report = repair(&key.path(), OPTIONS, &CancelHandle::default()).unwrap();
    let expected = RepairReport {
        batches_recomputed: std::iter::once(BatchIndex(0)).collect(),
        ..RepairReport::default()
    };
    assert_eq!(report, expected);
    assert!(key.layers() == layers);
}

#[test]
fn a_wrong_node_of_the_lowest_level_that_agrees_with_all_above_is_found_by_a_deep_check() {
    // A record that vouches for it, and a tree made of it up to the batch's root.
    let key = TestKey::trimmed(LONG, 0, 1024, 29, 9);
    let layers = key.layers();
    let opened = KeyDir::open(&key.path()).unwrap();
    let mut slice_crc32 = Vec::new();
    flip(&key, 9, 0);
    let children = std::fs::read(key.layer(9)).unwrap()[HEADER_BYTES..].to_vec();
    let mut root = vec![0; 28];
    opened.kernel().parents(Level(10), NodeIndex(0), &children, &mut root);
    key.edit(10, |bytes| {
        bytes[HEADER_BYTES..HEADER_BYTES + 28].copy_from_slice(&root);
    });
    slice_crc32.extend([crc32fast::hash(&children), crc32fast::hash(&root)]);
    let store = Store::open(&key.entry("state"), &opened.manifest().binding()).unwrap();
    let records = [(BatchIndex(0), BatchRecord { slice_crc32 })];
    store.commit_batches(&records, &store.progress().unwrap()).unwrap();
    drop(store);
    let at_the_lowest = |deep| {
        let damage = check(&key.path(), deep, OPTIONS).unwrap().damage;
        damage.iter().filter(|damage| damage.level == Some(Level(9))).count()
    };
    assert_eq!((at_the_lowest(false), at_the_lowest(true)), (0, 1));
    // It does not lead to the root, so a repair finds it too.
    repair(&key.path(), OPTIONS, &CancelHandle::default()).unwrap();
    assert!(key.layers() == layers);
}

#[test]
fn the_manifest_of_before_a_trim_and_a_repair_put_the_levels_back() {
    let key = TestKey::trimmed(LONG, 1000, 3000, 36, 1);
    let (layers, truth) = (key.layers(), paths(&key.path(), 32));
    let manifest = std::fs::read(key.path().join("manifest.toml")).unwrap();
    trim(&key.path(), Level(7)).unwrap();
    std::fs::write(key.path().join("manifest.toml"), manifest).unwrap();
    let refused = PathReader::open(&key.path()).err().unwrap();
    assert!(refused.to_string().contains("is missing"), "{refused}");
    repair(&key.path(), OPTIONS, &CancelHandle::default()).unwrap();
    is_whole(&key, &layers, &truth, 1, "put back");
}

#[test]
fn without_its_secret_a_trimmed_key_gives_no_path_and_says_what_it_needs() {
    let key = TestKey::trimmed(TINY, 0, 256, 30, 2);
    let secret = key.path().join("secret");
    std::fs::remove_file(&secret).unwrap();
    let refused = PathReader::open(&key.path()).err().unwrap();
    assert_eq!(refused.reason(), Reason::SecretMissing, "{refused}");
    let needed = refused.to_string().contains("its levels below 2 are not stored");
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
fn a_trimmed_key_that_lost_files_or_checkpoints_is_repaired_without_the_levels_below() {
    let key = TestKey::trimmed(LONG, 1000, 3000, 32, 6);
    let (layers, truth) = (key.layers(), paths(&key.path(), 7));
    let damages: [Damaging; 4] = [
        |key| remove(&key.layer(6)),
        |key| std::fs::remove_dir_all(key.path().join("state")).unwrap(),
        |key| key.edit(8, |bytes| bytes.truncate(HEADER_BYTES + 5)),
        |key| flip(key, 13, 3),
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        damage(&key);
        assert!(!key.check().damage.is_empty(), "damage {number}");
        let report = repair(&key.path(), OPTIONS, &CancelHandle::default()).unwrap();
        assert!(report.did_something(), "damage {number}");
        is_whole(&key, &layers, &truth, 6, &format!("damage {number}"));
    }
}

#[test]
fn a_node_of_the_lowest_level_in_another_form_is_damage_although_it_hashes_to_the_same() {
    let key = TestKey::trimmed(TINY, 0, 256, 37, 6);
    let layers = key.layers();
    key.edit(6, |bytes| {
        let element = &mut bytes[HEADER_BYTES..HEADER_BYTES + 4];
        let unreduced = u32::from_le_bytes(element.try_into().unwrap()) + 0x7f00_0001;
        element.copy_from_slice(&unreduced.to_le_bytes());
    });
    // No checksum tells.
    std::fs::remove_dir_all(key.path().join("state")).unwrap();
    let damage = key.check().damage;
    assert!(damage.iter().any(|damage| damage.level == Some(Level(6))), "{damage:?}");
    let reader = PathReader::open(&key.path()).unwrap();
    let own = reader.path(Epoch(3)).unwrap_err();
    assert!(own.to_string().contains("is not what the secret gives"), "{own}");
    let beside = reader.path(Epoch(64)).unwrap_err();
    assert!(beside.to_string().contains("does not lead to the root"), "{beside}");
    repair(&key.path(), OPTIONS, &CancelHandle::default()).unwrap();
    assert!(key.layers() == layers);
}
