//! Checking the crown: the levels above the batches, and the root.

use std::ops::Range;

use super::damage::{CheckReport, overlap};
use super::tree::Tree;
use crate::plan::{LevelSpan, pieces};
use crate::state::CrownRecord;
use crate::units::Slice;

impl Tree<'_> {
    /// Compares a level of the crown with its checksums, if there is a record, and with the level below, but for the
    /// nodes above `damaged_below`. Gives the nodes that say nothing about the level above.
    pub(super) fn crown_level(
        &self,
        span: &LevelSpan,
        record: Option<&CrownRecord>,
        damaged_below: &[Range<u64>],
        report: &mut CheckReport,
    ) -> Vec<Range<u64>> {
        let level = span.level;
        let is_lowest = level == self.plan().batches().root_level();
        let mut damaged = Vec::new();
        let mut crc32 = record.map(|record| record.piece_crc32.iter());
        for piece in pieces(level, span.stored.clone()) {
            // A record with too few checksums counts as one with wrong ones.
            let crc32 = crc32.as_mut().map(|crc32| crc32.next().copied().unwrap_or_default());
            let stored = match self.read(&piece, crc32) {
                Ok(Some(stored)) => stored,
                Ok(None) => return vec![span.stored.clone()],
                Err(what) => {
                    damaged.push(piece.nodes.clone());
                    // The batches' own roots have been looked at already.
                    if !report.names(&piece) {
                        report.add(self.damage(&piece, None, what));
                    }
                    continue;
                }
            };
            if is_lowest {
                continue;
            }
            let below = self.fold().children(&piece);
            if damaged_below.iter().any(|range| overlap(range, &below.nodes)) {
                continue;
            }
            // What cannot be read is damage of the level below, and named there.
            if let Ok(Some(children)) = self.read(&below, None) {
                let damage = self.parents(&piece, &children, &stored, None);
                damage.into_iter().for_each(|damage| report.add(damage));
            }
        }
        damaged
    }

    /// Compares the root with the one in the manifest.
    pub(super) fn root(&self, report: &mut CheckReport) {
        let root = Slice {
            level: self.manifest().scheme().root_level(),
            nodes: 0..1,
        };
        // What cannot be read has been named before.
        let Ok(Some(bytes)) = self.read(&root, None) else {
            return;
        };
        if Some(&bytes[..]) != self.manifest().root() && !report.names(&root) {
            let what = "it is not the root that the manifest names".to_owned();
            report.add(self.damage(&root, None, what));
        }
    }
}
