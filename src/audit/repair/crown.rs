//! The crown of a sealed key: proving it, and writing again what is wrong in it.

use super::{Repair, RewrittenLevel};
use crate::error::{Reason, Result};
use crate::plan::{LevelSpan, pieces};
use crate::state::CrownRecord;
use crate::units::Slice;

/// Nodes of the batches' roots that are held in memory at once while the root is folded.
const FOLDED_NODES: u64 = 1024;

impl Repair<'_> {
    /// The root that the batches lead to. Reads none of the levels above them, and writes nothing.
    pub(super) fn folded_root(&self) -> Result<Vec<u8>> {
        let level = self.tree.manifest().scheme().root_level();
        self.folded(&Slice { level, nodes: 0..1 })
    }

    /// Stored nodes of a level of the crown, as the batches' roots and the fillers give them.
    fn folded(&self, slice: &Slice) -> Result<Vec<u8>> {
        self.go_on()?;
        let lowest = self.tree.plan().batches().root_level();
        if slice.nodes.is_empty() {
            return Ok(Vec::new());
        }
        if slice.level == lowest {
            let mut roots = Vec::new();
            self.tree.layers.read(slice, &mut roots)?;
            self.tree.manifest().fillers().put(slice, &mut roots);
            return Ok(roots);
        }
        let count = slice.nodes.end - slice.nodes.start;
        if count > 1 && count << (slice.level.0 - lowest.0) > FOLDED_NODES {
            let middle = slice.nodes.start + count / 2;
            let half = |nodes| {
                self.folded(&Slice {
                    level: slice.level,
                    nodes,
                })
            };
            let mut nodes = half(slice.nodes.start..middle)?;
            nodes.extend(half(middle..slice.nodes.end)?);
            return Ok(nodes);
        }
        let fold = self.tree.fold();
        let children = self.folded(&fold.children(slice))?;
        Ok(fold.folded(slice, &children))
    }

    /// Compares every level of the crown with the one below, writes the nodes that differ, makes them durable, and then
    /// commits the checksums that differ: the order in which a job commits.
    pub(super) fn mend_crown(&mut self) -> Result<()> {
        let tree = self.tree;
        let lowest = usize::from(tree.plan().batches().root_level().0);
        let mut renewed = Vec::new();
        for span in &tree.plan().geometry().levels()[lowest..] {
            let record = self.mend_level(span)?;
            let known = match self.store.crown(span.level) {
                // What cannot be decoded counts as absent.
                Err(error) if error.reason() == Reason::Damaged => None,
                known => known?,
            };
            if known.as_ref() != Some(&record) {
                renewed.push((span.level, record));
            }
        }
        if renewed.is_empty() {
            return Ok(());
        }
        // A node that is right need not have been made durable when it was written.
        self.sync_levels(&tree.plan().geometry().levels()[lowest..])?;
        self.store.commit_crown(&renewed)?;
        self.report.crown_records_renewed = renewed.into_iter().map(|(level, _)| level).collect();
        Ok(())
    }

    fn mend_level(&mut self, span: &LevelSpan) -> Result<CrownRecord> {
        let tree = self.tree;
        let level = span.level;
        let digest_bytes = tree.manifest().scheme().digest_bytes();
        let (mut piece_crc32, mut wrong_nodes) = (Vec::new(), 0);
        let mut stored = Vec::new();
        for piece in pieces(level, span.stored.clone()) {
            self.go_on()?;
            let expected = self.piece(&piece)?;
            tree.layers.read(&piece, &mut stored)?;
            let pairs = stored.chunks(digest_bytes).zip(expected.chunks(digest_bytes));
            let wrong = pairs.filter(|(stored, expected)| stored != expected).count() as u64;
            if wrong > 0 {
                self.with_writer(|_, writer| writer.write(&piece, &expected))?;
                wrong_nodes += wrong;
            }
            piece_crc32.push(crc32fast::hash(&expected));
        }
        if wrong_nodes > 0 {
            self.sync_levels(std::slice::from_ref(span))?;
            self.report.crown_rewritten.push(RewrittenLevel {
                file: tree.key.paths().layer(level).path().to_owned(),
                level,
                nodes: wrong_nodes,
            });
        }
        Ok(CrownRecord { piece_crc32 })
    }

    /// A piece as it has to be; the level below has been mended already.
    fn piece(&self, piece: &Slice) -> Result<Vec<u8>> {
        let mut below = Vec::new();
        if piece.level == self.tree.plan().batches().root_level() {
            self.tree.layers.read(piece, &mut below)?;
            self.tree.manifest().fillers().put(piece, &mut below);
            return Ok(below);
        }
        let fold = self.tree.fold();
        self.tree.layers.read(&fold.children(piece), &mut below)?;
        Ok(fold.folded(piece, &below))
    }
}
