//! Checking batches: the slices of each, and the tree that they form.

use super::damage::Damage;
use super::tree::Tree;
use crate::state::BatchRecord;
use crate::units::{BatchIndex, Slice};
use keymill_xmss::arena::ArenaOverflow;

/// Batches that are looked at side by side.
pub(super) const WINDOW_BATCHES: usize = 64;

/// A batch as it was found.
pub(super) struct FoundBatch {
    /// Everything that is wrong with it.
    pub(super) damage: Vec<Damage>,
    /// The checksums of its slices; of use only if nothing is wrong and all its files could be read.
    pub(super) record: BatchRecord,
}

impl Tree<'_> {
    /// Whether a record has a checksum of each slice that a batch of this key stores.
    pub(super) fn fits(&self, record: &BatchRecord) -> bool {
        record.of_stored(self.plan().batches()).is_some()
    }

    /// Compares the slices of a batch with their checksums, if there is a record, and every node with its children.
    pub(super) fn batch(&self, batch: BatchIndex, record: Option<&BatchRecord>) -> Result<FoundBatch, ArenaOverflow> {
        let batches = self.plan().batches();
        let recorded = record.and_then(|record| record.of_stored(batches));
        let (mut damage, mut slice_crc32) = (Vec::new(), Vec::new());
        // Nodes that are wrong, or cannot be read, say nothing about those above and below them.
        let mut below: Option<Vec<u8>> = None;
        for (position, level) in batches.stored_levels().enumerate() {
            let nodes = batches.slice(batch, level);
            let slice = Slice { level, nodes };
            let crc32 = recorded.and_then(|recorded| recorded.get(position).copied());
            let stored = self.read(&slice, crc32).unwrap_or_else(|what| {
                damage.push(self.damage(&slice, Some(batch), what));
                None
            });
            if let Some(stored) = &stored {
                damage.extend(match (position, &below) {
                    (0, _) => self.lowest(batch, &slice, stored)?,
                    (_, Some(children)) => self.parents(&slice, children, stored, Some(batch)),
                    (_, None) => None,
                });
                slice_crc32.push(crc32fast::hash(stored));
            }
            below = stored;
        }
        let record = BatchRecord { slice_crc32 };
        Ok(FoundBatch { damage, record })
    }
}
