//! Runs of nodes with their digests.

use std::ops::Range;

use crate::units::{NodeIndex, Slice};

/// The digests of a run of nodes, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nodes {
    /// Which nodes.
    pub slice: Slice,
    /// Their digests, without gaps.
    pub digests: Vec<u8>,
}

impl Nodes {
    /// The digest of one of them.
    pub fn get(&self, node: NodeIndex) -> Option<&[u8]> {
        self.range(node.0..node.0.checked_add(1)?)
    }

    /// The digests of a part of them; `None` if it is not a part.
    pub fn part(&self, slice: &Slice) -> Option<&[u8]> {
        if slice.level != self.slice.level {
            return None;
        }
        self.range(slice.nodes.clone())
    }

    fn range(&self, nodes: Range<u64>) -> Option<&[u8]> {
        let own = &self.slice.nodes;
        if nodes.start < own.start || nodes.end > own.end {
            return None;
        }
        let digest_bytes = self.digests.len().checked_div((own.end - own.start) as usize)?;
        self.digests.get(self.slice.place(&nodes, digest_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Level;

    #[test]
    fn a_run_of_nodes_gives_its_parts_and_nothing_beyond_them() {
        let slice = |level, nodes| Slice {
            level: Level(level),
            nodes,
        };
        let nodes = Nodes {
            slice: slice(3, 10..14),
            digests: vec![0, 0, 1, 1, 2, 2, 3, 3],
        };
        assert_eq!(nodes.get(NodeIndex(10)), Some(&[0, 0][..]));
        assert_eq!(nodes.get(NodeIndex(13)), Some(&[3, 3][..]));
        assert_eq!(nodes.part(&slice(3, 11..13)), Some(&[1, 1, 2, 2][..]));
        assert_eq!(nodes.part(&slice(3, 10..14)), Some(&nodes.digests[..]));
        for beyond in [NodeIndex(9), NodeIndex(14), NodeIndex(u64::MAX)] {
            assert_eq!(nodes.get(beyond), None);
        }
        for (level, beyond) in [(3, 9..11), (3, 13..15), (2, 11..13)] {
            assert_eq!(nodes.part(&slice(level, beyond)), None);
        }
    }
}
