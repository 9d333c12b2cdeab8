//! Checked paths of many epochs: what one path has bound to the root, the next need not prove again.

use super::{AuthenticationPath, PathReader};
use crate::error::Result;
use crate::units::{Epoch, Level, NodeIndex};

/// Nodes that were read for the first time, about, between two times that their pages are given up. A mapping keeps what
/// was ever read through it, so that a stream would come to hold all of a key.
const NODES_HELD: usize = 1024;

/// Gives paths one after the other, each checked against the root as [`PathReader::path`] does it.
///
/// Two epochs have their way to the root in common from some level on, and one level below that each stands beside the
/// other's. So a path is folded up to that level only, and compared from there on with the path that was checked before:
/// of consecutive epochs, that is one hash a path on average. Any order of epochs will do.
pub struct PathStream<'a> {
    reader: &'a PathReader,
    last: Option<Checked>,
    /// The path in hand: once it is checked it changes places with the last one, whose memory the next one takes.
    path: AuthenticationPath,
    /// The nodes above the leaf in hand, from level 0 upward, as far as they were computed.
    climbed: Vec<u8>,
    /// A node and its sibling, the left one first.
    pair: Vec<u8>,
    /// Nodes that were read since pages were given up.
    nodes_held: usize,
}

/// A path that leads to the root.
struct Checked {
    path: AuthenticationPath,
    /// The nodes from the leaf up to the root, from level 0 upward.
    nodes: Vec<u8>,
}

impl<'a> PathStream<'a> {
    pub(super) fn new(reader: &'a PathReader) -> Self {
        Self {
            reader,
            last: None,
            path: AuthenticationPath::empty(),
            climbed: Vec::new(),
            pair: Vec::new(),
            nodes_held: 0,
        }
    }

    /// The path of an epoch, checked against the root.
    ///
    /// # Errors
    /// As [`PathReader::path`], of exactly the same epochs, and others can be asked for afterwards; or
    /// [`Reason::Call`](crate::Reason::Call) if memory cannot be given up.
    pub fn path(&mut self, epoch: Epoch) -> Result<&AuthenticationPath> {
        if self.nodes_held >= NODES_HELD {
            self.reader.layers()?.release()?;
            self.nodes_held = 0;
        }
        self.reader.copy_path(epoch, &mut self.path)?;
        if !self.leads_to_root() {
            return Err(self.reader.damaged(epoch));
        }
        let last = self.last.get_or_insert_with(|| Checked {
            path: AuthenticationPath::empty(),
            nodes: vec![0; self.path.leaf.len() + self.path.siblings.len()],
        });
        last.nodes[..self.climbed.len()].copy_from_slice(&self.climbed);
        std::mem::swap(&mut last.path, &mut self.path);
        Ok(&last.path)
    }

    /// Climbs from the leaf of the path in hand to the first node that is known, and compares everything from there on.
    fn leads_to_root(&mut self) -> bool {
        let (kernel, path) = (self.reader.kernel(), &self.path);
        let digest_bytes = path.leaf.len();
        let height = path.siblings.len() / digest_bytes;
        let met = self
            .last
            .as_ref()
            .map_or(height, |last| meeting(path.epoch, last.path.epoch));
        self.nodes_held += met + 1;
        let folded = &path.siblings[..met * digest_bytes];
        // The hash reduces what is not canonical, so that two forms of a digest would lead to the same node.
        let scheme = self.reader.manifest().scheme();
        if scheme.check_canonical(&path.leaf).is_err() || scheme.check_canonical(folded).is_err() {
            return false;
        }
        self.climbed.clear();
        self.climbed.extend_from_slice(&path.leaf);
        for (level, sibling) in folded.chunks_exact(digest_bytes).enumerate() {
            let node = &self.climbed[level * digest_bytes..];
            let index = u64::from(path.epoch.0) >> level;
            let (left, right) = if index.is_multiple_of(2) {
                (node, sibling)
            } else {
                (sibling, node)
            };
            self.pair.clear();
            self.pair.extend_from_slice(left);
            self.pair.extend_from_slice(right);
            let (above, known_bytes) = (Level(level as u8 + 1), self.climbed.len());
            self.climbed.resize(known_bytes + digest_bytes, 0);
            let parent = &mut self.climbed[known_bytes..];
            kernel.parents(above, NodeIndex(index / 2), &self.pair, parent);
        }
        let top = &self.climbed[met * digest_bytes..];
        match &self.last {
            None => top == self.reader.root(),
            Some(last) => last.agrees(path, met, top),
        }
    }
}

impl Checked {
    /// Whether `node`, to which a path leads at level `met`, is the one that is known there, and whatever the path has from
    /// there on as well.
    fn agrees(&self, path: &AuthenticationPath, met: usize, node: &[u8]) -> bool {
        let digest_bytes = node.len();
        let at = |level: usize| level * digest_bytes..(level + 1) * digest_bytes;
        if path.epoch == self.path.epoch {
            return node == self.path.leaf && path.siblings == self.path.siblings;
        }
        let above = (met + 1) * digest_bytes;
        node == &self.path.siblings[at(met)]
            && path.siblings[at(met)] == self.nodes[at(met)]
            && path.siblings[above..] == self.path.siblings[above..]
    }
}

/// The level at which the nodes above two epochs are siblings; 0 for the same epoch.
fn meeting(a: Epoch, b: Epoch) -> usize {
    match a.0 ^ b.0 {
        0 => 0,
        different => different.ilog2() as usize,
    }
}
