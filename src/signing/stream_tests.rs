//! Streamed paths are what single ones are, and damage is never among them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::tests::key;
use super::{AuthenticationPath, PathReader, PathStream};
use crate::error::Reason;
use crate::faults::{Fate, Faults};
use crate::keydir::KeyPaths;
use crate::units::{Epoch, Level};

const EPOCHS: u32 = 256;
const LEVELS: u8 = 8;
const HEADER_BYTES: u64 = 4096;
const DIGEST_BYTES: u64 = 32;
const PRIME: u32 = 0x7f00_0001;

/// The orders in which paths are asked for: each has every epoch, some of them twice.
fn orders() -> Vec<Vec<u32>> {
    let forward: Vec<u32> = (0..EPOCHS).collect();
    let scattered = |step: u32| (0..2 * EPOCHS).map(|i| i * step % EPOCHS).collect();
    vec![
        forward.iter().rev().copied().collect(),
        forward.iter().map(|epoch| epoch.reverse_bits() >> 24).collect(),
        forward.iter().flat_map(|&epoch| [epoch, epoch]).collect(),
        forward,
        scattered(7),
        scattered(101),
    ]
}

fn single_paths(reader: &PathReader) -> Vec<AuthenticationPath> {
    (0..EPOCHS).map(|epoch| reader.path(Epoch(epoch)).unwrap()).collect()
}

#[test]
fn streamed_paths_are_the_single_ones_in_any_order() {
    let directory = key();
    let reader = PathReader::open(directory.path()).unwrap();
    let expected = single_paths(&reader);
    for order in orders() {
        let mut stream = reader.stream();
        for &epoch in &order {
            assert_eq!(
                stream.path(Epoch(epoch)).unwrap(),
                &expected[epoch as usize],
                "{order:?}"
            );
        }
        let outside = stream.path(Epoch(EPOCHS)).err();
        assert_eq!(outside.map(|error| error.reason()), Some(Reason::OutsideKey));
        assert_eq!(stream.path(Epoch(order[0])).unwrap().epoch, Epoch(order[0]));
    }
}

/// The epochs whose path or leaf holds a node.
fn holds(epoch: u32, level: u8, node: u32) -> bool {
    (epoch >> level) ^ 1 == node || (level == 0 && epoch == node)
}

/// A node of the layer files, changed while they are mapped, and put back.
struct Changed {
    file: File,
    offset: u64,
    right: [u8; DIGEST_BYTES as usize],
}

impl Changed {
    fn new(directory: &Path, level: u8, node: u32, change: impl FnOnce(&mut [u8])) -> Self {
        let path = KeyPaths::open(directory).unwrap().layer(Level(level));
        let file = File::options().read(true).write(true).open(path).unwrap();
        let offset = HEADER_BYTES + u64::from(node) * DIGEST_BYTES;
        let mut right = [0; DIGEST_BYTES as usize];
        file.read_exact_at(&mut right, offset).unwrap();
        let mut wrong = right;
        change(&mut wrong);
        file.write_all_at(&wrong, offset).unwrap();
        Self { file, offset, right }
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        self.file.write_all_at(&self.right, self.offset).unwrap();
    }
}

/// Asks for paths in an order: exactly those that hold the changed node are refused, and all others are right.
#[track_caller]
fn assert_never_served(
    stream: &mut PathStream<'_>,
    order: &[u32],
    (level, node): (u8, u32),
    expected: &[AuthenticationPath],
) {
    for &epoch in order {
        let case = format!("epoch {epoch} with node {node} of level {level} changed, in the order {order:?}");
        match stream.path(Epoch(epoch)) {
            Ok(path) => {
                assert!(!holds(epoch, level, node), "{case}: it was given");
                assert_eq!(path, &expected[epoch as usize], "{case}");
            }
            Err(error) if error.reason() == Reason::Damaged => {
                let named = format!("the path of epoch {epoch} ");
                assert!(error.to_string().starts_with(&named), "{case}: {error}");
                assert!(holds(epoch, level, node), "{case}: it was refused");
            }
            Err(error) => panic!("{case}: {error}"),
        }
    }
}

#[test]
fn a_damaged_node_of_any_level_is_refused_in_exactly_the_streamed_paths_that_hold_it() {
    let directory = key();
    let reader = PathReader::open(directory.path()).unwrap();
    let expected = single_paths(&reader);
    let orders = orders();
    for level in 0..LEVELS {
        for node in 0..EPOCHS >> level {
            let order = &orders[(node as usize + usize::from(level)) % orders.len()];
            let byte = (7 * node as usize + usize::from(level)) % DIGEST_BYTES as usize;
            let mut stream = reader.stream();
            // It was damaged before the first path, or after one that was right.
            if node % 3 != 0 {
                stream.path(Epoch((node << level) ^ 0x55)).unwrap();
            }
            let _damage = Changed::new(directory.path(), level, node, |digest| digest[byte] ^= 1 << (node % 8));
            assert_never_served(&mut stream, order, (level, node), &expected);
        }
    }
}

#[test]
fn every_byte_of_a_node_counts_for_streamed_paths() {
    let directory = key();
    let reader = PathReader::open(directory.path()).unwrap();
    let expected = single_paths(&reader);
    let order: Vec<u32> = (0..EPOCHS).collect();
    for (level, node) in [(0, 77), (1, 38), (4, 0), (7, 1)] {
        for byte in 0..DIGEST_BYTES as usize {
            let _damage = Changed::new(directory.path(), level, node, |digest| digest[byte] ^= 0x10);
            assert_never_served(&mut reader.stream(), &order, (level, node), &expected);
        }
    }
}

#[test]
fn a_digest_in_another_form_is_refused_in_streamed_paths() {
    let directory = key();
    let reader = PathReader::open(directory.path()).unwrap();
    let expected = single_paths(&reader);
    for order in orders() {
        for (level, node) in [(0, 0), (0, 77), (1, 38), (4, 0), (7, 1)] {
            let _damage = Changed::new(directory.path(), level, node, |digest| {
                let element = u32::from_le_bytes(digest[4..8].try_into().unwrap());
                digest[4..8].copy_from_slice(&(element + PRIME).to_le_bytes());
            });
            assert_never_served(&mut reader.stream(), &order, (level, node), &expected);
        }
    }
}

#[test]
fn a_path_that_was_given_is_looked_at_again_when_it_is_asked_for_again() {
    let directory = key();
    let reader = PathReader::open(directory.path()).unwrap();
    let epoch = 77;
    let mut stream = reader.stream();
    let expected = stream.path(Epoch(epoch)).unwrap().clone();
    let siblings = (0..LEVELS).map(|level| (level, (epoch >> level) ^ 1));
    for (level, node) in siblings.chain([(0, epoch)]) {
        let damage = Changed::new(directory.path(), level, node, |digest| digest[31] ^= 1);
        let refused = stream.path(Epoch(epoch)).err();
        assert!(
            refused.is_some_and(|error| error.reason() == Reason::Damaged),
            "node {node} of level {level}"
        );
        drop(damage);
        assert_eq!(
            stream.path(Epoch(epoch)).unwrap(),
            &expected,
            "node {node} of level {level}"
        );
    }
}

#[test]
fn a_long_stream_gives_up_the_pages_that_it_read_and_says_if_it_cannot() {
    let directory = key();
    let reader = PathReader::open(directory.path()).unwrap();
    let expected = single_paths(&reader);
    let order: Vec<u32> = (0..20 * EPOCHS).map(|i| i % EPOCHS).collect();
    let released = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&released);
    let faults = Faults::below(directory.path(), move |call, path| {
        let is_leaves = call == "madvise" && path.ends_with("00.nodes");
        counted.fetch_add(usize::from(is_leaves), Ordering::Relaxed);
        Fate::Pass
    });
    let mut stream = reader.stream();
    for &epoch in &order {
        assert_eq!(stream.path(Epoch(epoch)).unwrap(), &expected[epoch as usize]);
    }
    drop(faults);
    // Two new nodes a path: its leaf, or the sibling beside it, and what it meets the path before at.
    let releases = released.load(Ordering::Relaxed);
    assert!((8..=12).contains(&releases), "{releases} in {} paths", order.len());
    let _faults = Faults::below(directory.path(), |call, _| match call {
        "madvise" => Fate::Fail(12),
        _ => Fate::Pass,
    });
    let mut stream = reader.stream();
    let failed = order.iter().find_map(|&epoch| stream.path(Epoch(epoch)).err());
    assert_eq!(failed.map(|error| error.reason()), Some(Reason::Call));
}
