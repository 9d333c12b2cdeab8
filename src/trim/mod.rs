//! Trimming a finished key: its lowest levels are deleted, and from then on computed from the secret for each path.

mod adopted;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use crate::error::{Error, Reason, Result};
use crate::files::Entry;
use crate::keydir::{KeyDir, KeyPlace, LockedDir};
use crate::layers::{self, levels_in_parts};
use crate::plan::Batches;
use crate::remedy::Remedy;
use crate::signing::PathReader;
use crate::state::{BatchRecord, Store};
use crate::units::{Epoch, EpochRange, Level};

/// Records that are shortened in one synced write.
const RECORDS_IN_ONE_WRITE: usize = 4096;

/// What a trim did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrimReport {
    /// The lowest level that was stored before.
    pub before: Level,
    /// The lowest level that is stored now.
    pub level: Level,
    /// The blocks of epochs that were computed from the secret and led to the nodes that stay and to the root.
    pub blocks_compared: Vec<EpochRange>,
    /// Layer files that were deleted, those that an earlier trim had left among them.
    pub files_removed: Vec<PathBuf>,
}

/// Deletes the levels below `level` of the finished key in a directory.
///
/// Before anything is changed, the paths of its first, its middle and its last epoch are computed as they will be
/// afterwards: from the secret up to `level`, whose stored node they have to agree with, and from there to the root.
///
/// A trim that ended early, in whatever way, leaves a key that can be used, and is finished by another one.
///
/// # Errors
/// If the key is not finished or is locked, if it has been trimmed higher, if `level` is above the roots of
/// the batches, if the secret is missing or what stays does not follow from it, or if the checkpoint store is damaged.
/// Nothing has then been changed.
pub fn trim<'a>(place: impl Into<KeyPlace<'a>>, level: Level) -> Result<TrimReport> {
    let key = ready(KeyDir::open_sealed(place)?, level)?;
    let directory = key.lock()?;
    let key = directory.key()?.of_this_version()?.sealed()?;
    let before = key.manifest().plan().trim();
    let trimmed = ready(key.clone(), level)?;
    let copies = if level > before {
        adopted::copy_out(&key, &directory, level)?
    } else {
        Vec::new()
    };
    let looked_at = look_before(&trimmed, before);
    let (blocks_compared, store, below) = looked_at.inspect_err(|_| adopted::remove_copies(&copies))?;
    let key = trimmed;
    let unread = if level > before {
        Vec::new()
    } else {
        // A trim to a higher level had ended before its manifest.
        key.paths()
            .unread_layers(level, levels_in_parts(key.manifest().plan()))?
    };
    // The names of the copies, before a manifest that needs them.
    directory.layers().sync()?;
    // A trim that left files may have ended before the name of its manifest was durable: then it is written once more.
    if level > before || !below.is_empty() || !key.paths().left_over_parts(level)?.is_empty() {
        // From here on no command looks for the levels below, whether or not they have been deleted.
        key.manifest().write(&directory)?;
    }
    let below = [below, unread].concat();
    let removed = [below.clone(), adopted::remove_parts(&key)?].concat();
    remove_layers(&directory, &below)?;
    shorten_records(&store, key.manifest().plan().batches())?;
    store.compact()?;
    Ok(TrimReport {
        before,
        level,
        blocks_compared,
        files_removed: removed.iter().map(|file| file.path().to_owned()).collect(),
    })
}

/// Everything that can be wrong is looked at before anything is changed: gives the blocks that were compared, the checkpoint store,
/// and the layer files that are to be deleted.
fn look_before(key: &KeyDir, before: Level) -> Result<(Vec<EpochRange>, Store, Vec<Entry>)> {
    let blocks_compared = if key.manifest().plan().trim() > before {
        compare_blocks(key)?
    } else {
        Vec::new()
    };
    let store = Store::open(&key.paths().state(), &key.manifest().binding())?;
    read_through(&store)?;
    Ok((blocks_compared, store, layers_below(key)?))
}

/// The key as it will be, if it can be trimmed to this level.
fn ready(key: KeyDir, level: Level) -> Result<KeyDir> {
    let present = key.manifest().plan().trim();
    let directory = key.path().to_owned();
    let trimmed = key.trimmed(level)?;
    if level < present {
        return Err(levels_are_gone(directory, present, level));
    }
    Ok(trimmed)
}

fn levels_are_gone(directory: PathBuf, present: Level, asked: Level) -> Error {
    let what = format!(
        "the key in '{}' is trimmed to level {present}, and the levels below are deleted",
        directory.display()
    );
    let untrim = Remedy::Untrim {
        directory: directory.clone(),
        level: asked,
    };
    Error::directory(what)
        .because(Reason::LevelsAreGone)
        .at(directory)
        .mend([untrim])
}

/// Computes blocks of epochs from the secret, at both ends of the key and in its middle, and makes sure that they lead to
/// the nodes that stay above them, and on to the root. Gives the blocks.
fn compare_blocks(key: &KeyDir) -> Result<Vec<EpochRange>> {
    let needed = "a trimmed key needs its secret for every path, so nothing was trimmed";
    key.prf_key().map_err(|error| error.within(needed))?;
    let reader = PathReader::of(key.clone()).map_err(|error| error.within("nothing was trimmed"))?;
    let (level, stored) = (key.manifest().plan().trim(), key.manifest().plan().stored());
    let mut blocks: Vec<EpochRange> = Vec::new();
    for number in [stored.start, stored.start + stored.count() / 2, stored.end - 1] {
        let epoch = Epoch(number as u32);
        if blocks.iter().any(|block| block.contains(epoch)) {
            continue;
        }
        reader
            .path(epoch)
            .map_err(|error| error.within("nothing was trimmed"))?;
        let start = number >> level.0 << level.0;
        blocks.push(EpochRange {
            start: start.max(stored.start),
            end: (start + (1 << level.0)).min(stored.end),
        });
    }
    Ok(blocks)
}

/// Reads the whole store, as compacting it will, and the records that are written again: what is damaged is to be mended
/// while every level is there.
fn read_through(store: &Store) -> Result<()> {
    store.read_through()?;
    store.progress()?;
    store.batches()?.try_for_each(|entry| entry.map(drop))
}

/// Takes the checksums of levels that are not stored any more from the batch records. No command reads them, but in a key with
/// few levels they would be most of what is on disk of the checkpoints.
fn shorten_records(store: &Store, batches: &Batches) -> Result<()> {
    let progress = store.progress()?;
    let mut shortened = Vec::new();
    // What the iterator gives is the store as it is now.
    for entry in store.batches()? {
        let (batch, record) = entry?;
        match record.of_stored(batches) {
            Some(stored) if stored.len() < record.slice_crc32.len() => {
                let slice_crc32 = stored.to_vec();
                shortened.push((batch, BatchRecord { slice_crc32 }));
            }
            // 'check' finds a record that does not belong to this key.
            _ => {}
        }
        if shortened.len() == RECORDS_IN_ONE_WRITE {
            store.commit_batches(&shortened, &progress)?;
            shortened.clear();
        }
    }
    if shortened.is_empty() {
        return Ok(());
    }
    store.commit_batches(&shortened, &progress)
}

/// The layer files of all levels that the key does not store any more.
fn layers_below(key: &KeyDir) -> Result<Vec<Entry>> {
    let directory = key.paths().layers();
    // Behind it files of something else could lie.
    if directory.is_link()? {
        return Err(layers::link(directory.path()));
    }
    directory.make_directory()?;
    let below = key.paths().left_over_layers(key.manifest().plan().trim())?;
    for file in &below {
        if file.is_directory()? {
            let what = format!(
                "'{}' is a directory and not a layer file, and is not deleted",
                file.path().display()
            );
            let away = Remedy::MoveAway(file.path().to_owned());
            return Err(Error::directory(what).at(file.path()).mend([away]));
        }
    }
    Ok(below)
}

/// Deletes layer files, durably.
fn remove_layers(directory: &LockedDir, files: &[Entry]) -> Result<()> {
    files.iter().try_for_each(Entry::unlink)?;
    // Always: a trim that was killed may have deleted files whose names are still on the disk.
    Ok(directory.layers().sync()?)
}
