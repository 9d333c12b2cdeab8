//! Parts whose files the key keeps. A file is moved to its place before anything of it is committed, so that no record ever vouches
//! for what is not there, and is moved out again if it turns out to be wrong.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::error::{other_file_system, part_overlaps};
use super::inspect::{Highest, OpenPart, Refusal, take};
use crate::error::{Error, Result};
use crate::failure::{IoFailure, attempt};
use crate::files::{Directory, Entry};
use crate::keygen::Gathering;
use crate::layers::part::{file_name, of_name};
use crate::layers::{Content, NodeFile};
use crate::units::EpochRange;

/// Refuses what lies on another file system than the key, from which no file can be moved into it.
pub(super) fn check_file_system(key: &Path, parts: &Path) -> Result<()> {
    let device = |path: &Path| Ok::<_, IoFailure>(attempt("stat", path, || std::fs::metadata(path))?.dev());
    let layers = key.join("layers");
    let of_key = match device(&layers) {
        // It may lie elsewhere than the key, behind a link.
        Err(failure) if failure.is_missing() => device(key)?,
        device => device?,
    };
    if device(parts)? == of_key {
        Ok(())
    } else {
        Err(other_file_system(parts))
    }
}

/// The parts that the key has adopted as a whole. The files of others go back to where the parts come from: an earlier run ended
/// before it was done with them, or they were damaged since.
pub(super) fn adopted_before(
    parts: &Entry,
    source: &Directory,
    gathering: &mut Gathering<'_>,
) -> Result<Vec<(Entry, EpochRange)>> {
    let (key, mut names) = (gathering.manifest, Vec::new());
    parts.open_directory()?.each_entry(|name, _| names.push(name))?;
    names.sort();
    let mut adopted = Vec::new();
    for name in names {
        let Some(plan) = of_name(&name, key.plan(), key.key_id()) else {
            continue;
        };
        let (epochs, place) = (plan.stored(), parts.join(&name));
        if gathering.overlapping(epochs) == Some(epochs) && gathering.has_all(epochs) {
            adopted.push((place, epochs));
            continue;
        }
        if gathering.overlapping(epochs) == Some(epochs) {
            gathering.expel(epochs);
        }
        move_back(&place, &source.entry(&name))?;
    }
    Ok(adopted)
}

/// Moves the file of a part into the key, puts its batches in, and gives its place.
pub(super) fn adopt(
    parts: &Entry,
    file: &Entry,
    part: &OpenPart,
    highest: &Highest,
    gathering: &mut Gathering<'_>,
) -> Result<Entry, Refusal> {
    let (plan, key) = (part.part.plan(), gathering.manifest);
    let epochs = plan.stored();
    if let Some(other) = gathering.overlapping(epochs) {
        return Err(Refusal::Bad(part_overlaps(other)));
    }
    part.sync()?;
    let place = parts.join(file_name(plan, key.key_id()));
    move_file(file, &place)?;
    gathering.adopt(&NodeFile {
        entry: place.clone(),
        content: Content::of_part(plan.clone(), &key.binding()),
    })?;
    let outcome = take(part, highest, gathering);
    if let Err(Refusal::Bad(_)) = &outcome {
        gathering.expel(epochs);
        move_back(&place, file)?;
    }
    outcome.map(|()| place)
}

/// Moves a file out of the key. Where there is one of its name already, that is the one to look at, and this one is of no use.
fn move_back(place: &Entry, source: &Entry) -> Result<()> {
    if source.exists()? {
        place.unlink()?;
        return Ok(place.sync_name()?);
    }
    move_file(place, source)
}

/// Durable in the new place, and gone from the old one.
fn move_file(from: &Entry, to: &Entry) -> Result<()> {
    match attempt("rename", from.path(), || from.rename(to)) {
        Err(failure) if failure.source.raw_os_error() == Some(rustix::io::Errno::XDEV.raw_os_error()) => {
            return Err(other_file_system(from.path()));
        }
        renamed => renamed?,
    }
    to.sync_name().map_err(Error::from)?;
    Ok(from.sync_name()?)
}
