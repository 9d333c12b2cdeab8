//! Trimming a key that has adopted its parts: what it still stores of the levels below its batches' roots is copied into layer files
//! of its own, and the files of the parts are deleted.

use crate::error::{Error, Result};
use crate::files::Entry;
use crate::files::publish::{Draft, Existing, Mode};
use crate::keydir::{KeyDir, LockedDir};
use crate::layers::part::{EXTENSION, name_prefix};
use crate::layers::{Header, LayerFiles};
use crate::plan::{LevelSpan, pieces};
use crate::units::Level;

/// As every layer file of a sealed key.
const MODE: Mode = Mode::Exact(0o400);

/// Layer files of the levels that the key with this trim still stores and has in parts. Before the manifest names that trim, no
/// command looks for them.
pub(super) fn copy_out(key: &KeyDir, directory: &LockedDir, trim: Level) -> Result<Vec<Entry>> {
    if !key.shelf()?.has_adopted() {
        return Ok(Vec::new());
    }
    let (layers, plan) = (key.layers()?, key.manifest().plan());
    let levels = usize::from(trim.0)..usize::from(plan.batches().root_level().0);
    let mut copies = Vec::new();
    for span in &plan.geometry().levels()[levels] {
        let layer = directory.layer(span.level);
        let copied = copy_level(key, &layers, span, &layer);
        copies.push(layer);
        if let Err(error) = copied {
            remove_copies(&copies);
            return Err(error.within("nothing was trimmed"));
        }
    }
    Ok(copies)
}

fn copy_level(key: &KeyDir, layers: &LayerFiles, span: &LevelSpan, layer: &Entry) -> Result<()> {
    let manifest = key.manifest();
    let header = Header::new(manifest.key_id(), span, manifest.scheme().digest_bytes());
    let draft = Draft::of(layer.clone(), MODE)?;
    let written = draft.write(|out| {
        out.write_all(&header.to_page()).map_err(Error::unwritten)?;
        let mut digests = Vec::new();
        for piece in pieces(span.level, span.stored.clone()) {
            layers.read(&piece, &mut digests)?;
            out.write_all(&digests).map_err(Error::unwritten)?;
        }
        Ok::<(), Error>(())
    })?;
    written?;
    Ok(draft.publish(Existing::Replaced)?)
}

/// Takes back what nobody has looked for yet.
pub(super) fn remove_copies(copies: &[Entry]) {
    for copy in copies {
        if let Err(failure) = copy.unlink()
            && !failure.is_missing()
        {
            tracing::warn!("a layer file that is of no use was not deleted: {failure}");
        }
    }
}

/// Deletes the parts that a key had adopted and does not read any more, and gives their files. What else is in their directory
/// stays, and so does the directory then.
pub(super) fn remove_parts(key: &KeyDir) -> Result<Vec<Entry>> {
    let prefix = name_prefix(key.manifest().key_id());
    let mut removed = Vec::new();
    let left_over = key.paths().left_over_parts(key.manifest().plan().trim())?;
    if !left_over.is_empty() {
        // What takes their place is there.
        key.layers()?;
    }
    for parts in left_over {
        let mut names = Vec::new();
        parts.open_directory()?.each_entry(|name, _| names.push(name))?;
        names.sort();
        let (ours, others): (Vec<_>, Vec<_>) = names
            .into_iter()
            .partition(|name| name.starts_with(&prefix) && name.ends_with(EXTENSION));
        for name in ours {
            let file = parts.join(name);
            file.unlink()?;
            removed.push(file);
        }
        if others.is_empty() {
            parts.remove_directory()?;
        } else {
            tracing::warn!(
                "'{}' stays, because there are files of something else in it",
                parts.path().display()
            );
        }
    }
    Ok(removed)
}
