//! Whether the nodes of a secret key are the hashes of each other.

use super::{GiveNodes, KeyShape, Level, NodeIndex, SecretKeyFile, Slice, Tree};
use crate::plan::pieces;
use keymill_xmss::hash::Kernel;
use keymill_xmss::tree::first_wrong;

/// The first node that is not the hash of its children: of the left bottom tree, the right one, and then of the top tree,
/// each from below. `nodes` gives what is recorded.
pub(crate) fn first_wrong_node<E>(
    shape: &KeyShape,
    kernel: &dyn Kernel,
    nodes: &mut GiveNodes<'_, E>,
) -> Result<Option<(Level, NodeIndex)>, E> {
    let (mut children, mut recorded) = (Vec::new(), Vec::new());
    for tree in [Tree::Left, Tree::Right, Tree::Top] {
        for below in shape.slices(tree) {
            let level = below.level.up();
            if below.level.0 == shape.log_lifetime() || (tree != Tree::Top && level > shape.bottom_level()) {
                continue;
            }
            for slice in pieces(level, below.nodes.start / 2..below.nodes.end / 2) {
                let nodes_below = 2 * slice.nodes.start..2 * slice.nodes.end;
                let below = Slice {
                    level: below.level,
                    nodes: nodes_below,
                };
                nodes(&below, &mut children)?;
                nodes(&slice, &mut recorded)?;
                if let Some(wrong) = first_wrong(kernel, &slice, &children, &recorded, shape.digest_bytes()) {
                    return Ok(Some((level, wrong)));
                }
            }
        }
    }
    Ok(None)
}

impl SecretKeyFile {
    /// The first node of the file that is not the hash of its children. Takes a hash a node.
    pub fn first_wrong_node(&self, kernel: &dyn Kernel) -> Option<(Level, NodeIndex)> {
        let mut nodes = |slice: &Slice, digests: &mut Vec<u8>| {
            self.nodes(slice, digests);
            Ok::<(), std::convert::Infallible>(())
        };
        let Ok(wrong) = first_wrong_node(&self.head.shape, kernel, &mut nodes);
        wrong
    }
}
