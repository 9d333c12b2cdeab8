//! The SSZ secret key of a fresh key (docs/FORMAT.md, "Secret keys of other programs").

use super::hash::Reference;
use super::tree::Tree;

/// First index and digests.
type Layer = (u64, Vec<Vec<u8>>);

/// PRF key, P, first epoch, number of epochs, offset of the top tree, index of the left bottom
/// tree, offsets of the left and of the right one.
const FIXED_PART: usize = 32 + 20 + 8 + 8 + 4 + 8 + 4 + 4;

/// The secret key of a widened interval, with the first two bottom trees as its window.
pub fn secret_key_ssz(reference: &Reference, prf_key: &[u8; 32], stored: (u64, u64), tree: &Tree) -> Vec<u8> {
    let h = reference.params.h;
    let half = h / 2;
    let left_index = stored.0 >> half;
    let top = tree_ssz(h, half, &tree.layers[usize::from(half)..]);
    let left = tree_ssz(h, 0, &bottom_tree(tree, half, left_index));
    let right = tree_ssz(h, 0, &bottom_tree(tree, half, left_index + 1));

    let mut bytes = prf_key.to_vec();
    bytes.extend(reference.parameter());
    bytes.extend(stored.0.to_le_bytes());
    bytes.extend((stored.1 - stored.0).to_le_bytes());
    bytes.extend(offset(FIXED_PART));
    bytes.extend(left_index.to_le_bytes());
    bytes.extend(offset(FIXED_PART + top.len()));
    bytes.extend(offset(FIXED_PART + top.len() + left.len()));
    assert_eq!(bytes.len(), FIXED_PART);
    bytes.extend([top, left, right].concat());
    bytes
}

/// The layers 0 to h/2 under node (h/2, index).
fn bottom_tree(tree: &Tree, half: u8, index: u64) -> Vec<Layer> {
    let layer = |level: u8| {
        let width = 1u64 << (half - level);
        let first = index * width;
        let nodes = first..first + width;
        (first, nodes.map(|i| tree.node(level, i)).collect())
    };
    (0..=half).map(layer).collect()
}

fn tree_ssz(depth: u8, lowest_level: u8, layers: &[Layer]) -> Vec<u8> {
    let mut bytes = u64::from(depth).to_le_bytes().to_vec();
    bytes.extend(u64::from(lowest_level).to_le_bytes());
    bytes.extend(offset(8 + 8 + 4));

    let layers: Vec<Vec<u8>> = layers.iter().map(layer_ssz).collect();
    let mut layer_at = 4 * layers.len();
    for layer in &layers {
        bytes.extend(offset(layer_at));
        layer_at += layer.len();
    }
    bytes.extend(layers.concat());
    bytes
}

fn layer_ssz(layer: &Layer) -> Vec<u8> {
    let mut bytes = layer.0.to_le_bytes().to_vec();
    bytes.extend(offset(8 + 4));
    bytes.extend(layer.1.concat());
    bytes
}

fn offset(at: usize) -> [u8; 4] {
    (at as u32).to_le_bytes()
}
