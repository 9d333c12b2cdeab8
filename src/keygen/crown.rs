//! The crown: the levels above the batches, folded level by level in one stream once every batch is in.

use super::cancel::CancelHandle;
use crate::error::Result;
use crate::keydir::Manifest;
use crate::layers::LayerWriter;
use crate::plan::{LevelSpan, pieces};
use crate::state::{CrownRecord, Store};
use crate::units::{Level, Slice};
use keymill_xmss::hash::Kernel;
use keymill_xmss::tree::Fold;

/// Folds the crown, makes it durable, and commits its checksums.
pub(crate) fn fold(
    manifest: &Manifest,
    kernel: &dyn Kernel,
    writer: &mut LayerWriter,
    store: &Store,
    cancel: &CancelHandle,
) -> Result<()> {
    let plan = manifest.plan();
    let mut level = plan.batches().root_level();
    let mut records = Vec::new();
    write_fillers(manifest, writer, level)?;
    loop {
        let span = plan.geometry().level(level);
        finish_level(span, writer, &mut records, cancel)?;
        if level == plan.geometry().root_level() {
            break;
        }
        level = level.up();
        fold_level(&manifest.fold(kernel), plan.geometry().level(level), writer, cancel)?;
    }
    store.commit_crown(&records)
}

/// The root of a tree whose crown is folded.
pub(super) fn root(manifest: &Manifest, writer: &LayerWriter) -> Result<Vec<u8>> {
    let level = manifest.plan().geometry().root_level();
    let root = Slice { level, nodes: 0..1 };
    let mut digest = Vec::new();
    writer.read(&root, &mut digest)?;
    Ok(digest)
}

/// Writes the fillers beside the batches' roots.
fn write_fillers(manifest: &Manifest, writer: &mut LayerWriter, level: Level) -> Result<()> {
    let stored = &manifest.plan().geometry().level(level).stored;
    let fillers = manifest.fillers().of_level(level);
    // A part of a key has those at its own ends alone.
    for (node, digest) in fillers.filter(|(node, _)| stored.contains(&node.0)) {
        let nodes = node.0..node.0 + 1;
        writer.write(&Slice { level, nodes }, digest)?;
    }
    Ok(())
}

/// Folds the level below into a level.
fn fold_level(fold: &Fold<'_>, span: &LevelSpan, writer: &mut LayerWriter, cancel: &CancelHandle) -> Result<()> {
    let mut children = Vec::new();
    for slice in pieces(span.level, span.stored.clone()) {
        cancel.proceed()?;
        writer.read(&fold.children(&slice), &mut children)?;
        writer.write(&slice, &fold.folded(&slice, &children))?;
        // Not synced yet: giving up a shared page keeps what was written to it in the page cache.
        writer.release(&slice)?;
    }
    Ok(())
}

/// Makes a level durable and takes its checksums.
fn finish_level(
    span: &LevelSpan,
    writer: &mut LayerWriter,
    records: &mut Vec<(Level, CrownRecord)>,
    cancel: &CancelHandle,
) -> Result<()> {
    let (level, stored) = (span.level, span.stored.clone());
    writer.sync_level(span, || cancel.proceed())?;
    let (mut piece_crc32, mut bytes) = (Vec::new(), Vec::new());
    for piece in pieces(level, stored) {
        cancel.proceed()?;
        writer.read(&piece, &mut bytes)?;
        piece_crc32.push(crc32fast::hash(&bytes));
    }
    records.push((level, CrownRecord { piece_crc32 }));
    Ok(())
}
