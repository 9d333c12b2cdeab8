//! Every byte of a small key's layer files, damaged one by one.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::CheckReport;
use super::batches::FoundBatch;
use super::fixture_tests::{LONG, TINY, TestKey};
use super::tree::Tree;
use crate::error::Reason;
use crate::keydir::KeyDir;
use crate::layers::{LayerFiles, Unusable};
use crate::plan::LAYER_HEADER_BYTES;
use crate::signing::{AuthenticationPath, PathReader};
use crate::state::{BatchRecord, CrownRecord, Store};
use crate::units::{BatchIndex, Epoch, Level};
use crate::workers::Workers;

const EPOCHS: u32 = 256;

/// One bit of the byte at an offset; which one changes with the offset.
fn bit(offset: u64) -> u8 {
    1 << (offset % 8)
}

fn flip(file: &File, offset: u64) {
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ bit(offset)], offset).unwrap();
}

fn open_files(key: &TestKey, levels: u8) -> Vec<File> {
    let open = |level| {
        key.edit(level, |_| {});
        File::options().read(true).write(true).open(key.layer(level)).unwrap()
    };
    (0..=levels).map(open).collect()
}

#[test]
fn every_byte_of_every_header_counts() {
    let test_key = TestKey::new(TINY, 256, 1);
    let files = open_files(&test_key, 8);
    let key = KeyDir::open(&test_key.path()).unwrap();
    let manifest = key.manifest();
    let layers = key.paths().layers();
    for (level, file) in files.iter().enumerate() {
        for offset in 0..LAYER_HEADER_BYTES {
            flip(file, offset);
            let (_, unusable) = LayerFiles::open_usable(&layers, manifest.plan(), &manifest.binding()).unwrap();
            let [
                Unusable {
                    level: found, error, ..
                },
            ] = &unusable[..]
            else {
                panic!("level {level}, offset {offset}: {unusable:?}");
            };
            let path = test_key.layer(level as u8);
            assert_eq!((*found, error.path()), (Some(Level(level as u8)), Some(&*path)));
            // Of a version that looks newer, the whole field is named.
            let named = if (8..12).contains(&offset) { 8 } else { offset };
            assert!(
                error.to_string().contains(&format!(" at byte {named} (")),
                "{offset}: {error}"
            );
            if offset % 101 == 0 {
                let refused = PathReader::open(&test_key.path()).err();
                assert!(
                    refused.is_some_and(|error| error.to_string().contains(" at byte ")),
                    "level {level}, offset {offset}"
                );
            }
            flip(file, offset);
        }
    }
    assert!(test_key.check().damage.is_empty());
}

/// A small key, open in every way that its nodes are looked at.
struct OpenKey<'a> {
    tree: Tree<'a>,
    batch: BatchRecord,
    crown: CrownRecord,
}

impl OpenKey<'_> {
    fn look(&self) -> (FoundBatch, CheckReport) {
        let mut report = CheckReport::default();
        let found = self.tree.batch(BatchIndex(0), Some(&self.batch)).unwrap();
        report.damage.extend(found.damage.iter().cloned());
        let root_level = self.tree.plan().geometry().root_level();
        let span = self.tree.plan().geometry().level(root_level);
        self.tree.crown_level(span, Some(&self.crown), &[], &mut report);
        self.tree.root(&mut report);
        (found, report)
    }
}

/// The epochs whose path or leaf holds a node.
fn holders(level: u32, node: u32) -> Vec<u32> {
    match level {
        0 => vec![node, node ^ 1],
        // The root is compared with the manifest's and is in no path, and its neighbour is hashed into nothing.
        8 => Vec::new(),
        _ => ((node ^ 1) << level..((node ^ 1) + 1) << level).collect(),
    }
}

#[test]
fn every_byte_of_every_node_counts_for_paths_and_is_found_by_level_and_batch() {
    let test_key = TestKey::new(TINY, 256, 2);
    let files = open_files(&test_key, 8);
    let reader = PathReader::open(&test_key.path()).unwrap();
    let truth: Vec<AuthenticationPath> = (0..EPOCHS).map(|epoch| reader.path(Epoch(epoch)).unwrap()).collect();
    let key = KeyDir::open(&test_key.path()).unwrap();
    let manifest = key.manifest();
    let store = Store::open_read_only(&key.paths().state(), &manifest.binding()).unwrap();
    let layers = LayerFiles::open(&key.paths().layers(), manifest.plan(), &manifest.binding()).unwrap();
    let kernel = key.kernel();
    let workers = Workers::start(1, 0).unwrap();
    let open = OpenKey {
        tree: Tree {
            key: &key,
            layers: &layers,
            kernel: kernel.as_ref(),
            prf_key: None,
            workers: &workers,
        },
        batch: store.batch(BatchIndex(0)).unwrap().unwrap(),
        crown: store.crown(Level(8)).unwrap().unwrap(),
    };
    assert!(open.look().1.damage.is_empty());
    for (level, file) in files.iter().enumerate() {
        let level = level as u32;
        let bytes = file.metadata().unwrap().len() - LAYER_HEADER_BYTES;
        for offset in 0..bytes {
            let at = LAYER_HEADER_BYTES + offset;
            flip(file, at);
            let node = (offset / 32) as u32;
            for epoch in holders(level, node) {
                let refused = reader.path(Epoch(epoch)).err();
                assert!(
                    refused.is_some_and(|error| error.reason() == Reason::Damaged),
                    "epoch {epoch} has the path with byte {offset} of level {level} flipped"
                );
            }
            // An epoch below the node needs only what is beside its way to the root.
            let below = (node << level).min(EPOCHS - 1);
            if level > 0 {
                assert_eq!(reader.path(Epoch(below)).unwrap(), truth[below as usize]);
            }
            let (found, report) = open.look();
            let damage = &report.damage[..];
            assert_eq!(damage.len(), 1, "level {level}, byte {offset}: {damage:?}");
            assert_eq!(damage[0].level, Some(Level(level as u8)));
            assert!(damage[0].nodes.as_ref().unwrap().contains(&u64::from(node)));
            // The filler beside the root belongs to no batch.
            let batch = (level != 8 || node == 0).then_some(BatchIndex(0));
            assert_eq!(damage[0].batch, batch, "level {level}, byte {offset}");
            assert_eq!(found.damage.len(), usize::from(batch.is_some()));
            flip(file, at);
        }
    }
    assert!(open.look().1.damage.is_empty());
}

#[test]
fn without_checkpoints_the_tree_itself_shows_every_damaged_node() {
    let test_key = TestKey::new(TINY, 256, 3);
    std::fs::remove_dir_all(test_key.path().join("state")).unwrap();
    let files = open_files(&test_key, 8);
    for (level, file) in files.iter().enumerate() {
        let bytes = file.metadata().unwrap().len() - LAYER_HEADER_BYTES;
        for offset in (0..bytes).step_by(61) {
            flip(file, LAYER_HEADER_BYTES + offset);
            let damage = test_key.check().damage;
            assert!(damage[0].file.ends_with("state"), "{damage:?}");
            let levels: Vec<usize> = damage[1..].iter().map(|d| d.level.unwrap().0.into()).collect();
            // It shows where the node is compared with its children, and where its parent is compared with it.
            assert!(!levels.is_empty(), "level {level}, byte {offset}");
            assert!(
                levels.iter().all(|found| (level..=level + 1).contains(found)),
                "level {level}, byte {offset}: {damage:?}"
            );
            flip(file, LAYER_HEADER_BYTES + offset);
        }
    }
    assert_eq!(test_key.check().damage.len(), 1);
}

/// Adds the prime to the first element of the first node for which there is room: the same digest for the kernel, and
/// another one for everybody who compares bytes.
fn make_first_element_too_large(bytes: &mut [u8]) -> usize {
    const PRIME: u32 = 0x7f00_0001;
    let nodes = bytes[LAYER_HEADER_BYTES as usize..].chunks_exact_mut(32);
    for (index, node) in nodes.enumerate() {
        let element = u32::from_le_bytes(node[..4].try_into().unwrap());
        if let Some(larger) = element.checked_add(PRIME) {
            node[..4].copy_from_slice(&larger.to_le_bytes());
            return index;
        }
    }
    panic!("no element has room");
}

#[test]
fn a_digest_in_another_form_is_damage_although_it_hashes_to_the_same() {
    for level in [0, 3] {
        let test_key = TestKey::new(TINY, 256, 4);
        let mut node = 0;
        test_key.edit(level, |bytes| node = make_first_element_too_large(bytes));
        let reader = PathReader::open(&test_key.path()).unwrap();
        for epoch in holders(level.into(), node as u32) {
            let refused = reader.path(Epoch(epoch)).err();
            assert_eq!(
                refused.map(|error| error.reason()),
                Some(Reason::Damaged),
                "level {level}"
            );
        }
        assert_eq!(test_key.check().damage[0].level, Some(Level(level)));
        std::fs::remove_dir_all(test_key.path().join("state")).unwrap();
        assert_eq!(test_key.check().damage[1].level, Some(Level(level)));
    }
}

#[test]
fn all_unusable_files_are_named_and_all_others_are_checked() {
    let key = TestKey::new(LONG, 3000, 5);
    std::fs::remove_file(key.layer(4)).unwrap();
    key.edit(6, |bytes| bytes.truncate(5000));
    key.edit(12, |bytes| bytes[20] ^= 1);
    key.edit(1, |bytes| bytes[4096 + 28 * 600] ^= 1);
    key.edit(9, |bytes| bytes[4096 + 28 * 5] ^= 1);
    key.edit(15, |bytes| bytes[4096] ^= 1);
    let found: Vec<_> = key
        .check()
        .damage
        .iter()
        .map(|d| (d.level.unwrap().0, d.batch))
        .collect();
    let expected = [
        (4, None),
        (6, None),
        (12, None),
        (1, Some(BatchIndex(1))),
        (9, Some(BatchIndex(2))),
        (15, None),
    ];
    assert_eq!(found, expected);
}
