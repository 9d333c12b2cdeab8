//! The hash tree over a stored interval, naively and in memory (docs/SCHEMES.md, "Tree").

use super::hash::Reference;
use super::key::Filler;

/// Every level from the lowest to the root, fillers included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// Level of the first layer: 0 unless built by [`Tree::build_above`].
    pub lowest_level: u8,
    /// First index and digests of each layer. Each begins at an even index and ends before one.
    pub layers: Vec<(u64, Vec<Vec<u8>>)>,
}

/// Where the tree over the epochs [start, end) needs fillers: level by level from the lowest,
/// at each first the one before the interval, then the one after it. This is the drawing order.
pub fn fillers_needed(h: u8, start: u64, end: u64) -> Vec<(u8, u64)> {
    assert!(start < end && end <= 1 << h);
    let mut needed = Vec::new();
    for level in 0..=h {
        let (first, last) = (start >> level, (end - 1) >> level);
        if !first.is_multiple_of(2) {
            needed.push((level, first - 1));
        }
        if last.is_multiple_of(2) {
            needed.push((level, last + 1));
        }
    }
    needed
}

impl Tree {
    /// The tree over any interval of epochs, given its leaves and the fillers it needs.
    pub fn build(reference: &Reference, start_epoch: u64, leaves: Vec<Vec<u8>>, fillers: &[Filler]) -> Tree {
        Tree::build_above(reference, 0, start_epoch, leaves, fillers)
    }

    /// The part of a tree from `lowest_level` up, given that level's nodes.
    pub fn build_above(
        reference: &Reference,
        lowest_level: u8,
        start_index: u64,
        nodes: Vec<Vec<u8>>,
        fillers: &[Filler],
    ) -> Tree {
        let mut layers = Vec::new();
        let (mut start, mut nodes) = (start_index, nodes);
        for level in lowest_level..=reference.params.h {
            let (padded_start, padded) = pad(level, start, nodes, fillers);
            start = padded_start / 2;
            // The pair of the root layer, root and filler, is never hashed.
            let pairs = if level < reference.params.h {
                padded.chunks(2)
            } else {
                [].chunks(2)
            };
            nodes = (start..)
                .zip(pairs)
                .map(|(index, pair)| reference.parent(level + 1, index, &pair[0], &pair[1]))
                .collect();
            layers.push((padded_start, padded));
        }
        Tree { lowest_level, layers }
    }

    /// Node (h, 0), the first of the two of the root layer.
    pub fn root(&self) -> Vec<u8> {
        let (start, nodes) = self.layers.last().expect("at least the root layer");
        assert_eq!((*start, nodes.len()), (0, 2));
        nodes[0].clone()
    }

    /// Any node of the tree or filler beside it.
    pub fn node(&self, level: u8, index: u64) -> Vec<u8> {
        let (start, nodes) = &self.layers[usize::from(level - self.lowest_level)];
        nodes[(index - start) as usize].clone()
    }

    /// The siblings on the way from an epoch's leaf to the root, from level 0 to level h - 1.
    pub fn siblings(&self, epoch: u64) -> Vec<Vec<u8>> {
        let levels_below_root = self.layers.len() as u8 - 1;
        (0..levels_below_root)
            .map(|level| self.node(level, (epoch >> level) ^ 1))
            .collect()
    }
}

/// The layer with the fillers it needs, so that it begins at an even index and ends before one.
fn pad(level: u8, start: u64, nodes: Vec<Vec<u8>>, fillers: &[Filler]) -> (u64, Vec<Vec<u8>>) {
    let filler = |index: u64| {
        let found = fillers.iter().find(|f| (f.0, f.1) == (level, index));
        found
            .unwrap_or_else(|| panic!("no filler for node ({level}, {index})"))
            .2
            .clone()
    };
    let end = start + nodes.len() as u64;
    let mut padded = Vec::new();
    if !start.is_multiple_of(2) {
        padded.push(filler(start - 1));
    }
    padded.extend(nodes);
    if !end.is_multiple_of(2) {
        padded.push(filler(end));
    }
    (start / 2 * 2, padded)
}
