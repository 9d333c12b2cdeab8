//! Whether what is left of a set to be made has room on the disk.

use std::collections::HashSet;
use std::path::Path;

use super::error::SetError;
use super::key_files;
use super::mend::{Broken, Source, broken};
use super::names::{self, Named, SetPaths};
use super::notes::FinishedKeys;
use super::prepare::{begun, entries, finished_names, unfinished};
use super::request::SetRequest;
use crate::files::{self, available_bytes};
use crate::plan::Plan;

/// What the rest of the set takes, while it is made and afterwards, beside what it has taken.
pub(super) fn needed_bytes(paths: &SetPaths, request: &SetRequest, plan: &Plan, jobs: usize) -> Result<u64, SetError> {
    let finished = match begun(paths, request) {
        // It is of another set, and refused or discarded later.
        Err(SetError::Contradiction { .. } | SetError::Record { .. }) => None,
        begun => begun?,
    };
    let (broken, begun_bytes) = match &finished {
        Some(finished) => {
            let broken = broken(paths, request, finished)?;
            let begun_bytes = begun_bytes(paths, request, finished, &broken)?;
            (broken, begun_bytes)
        }
        None => <_>::default(),
    };
    let keys_unfinished = request
        .keys()
        .saturating_sub(finished.map_or(0, |finished| finished.len() as u64));
    let grown_again = broken.values().filter(|mending| mending.source == Source::Seed).count() as u64;
    let keys_left = keys_unfinished.saturating_add(grown_again);
    let at_once = keys_left.min(jobs as u64);
    let kept = if request.keeps_directories {
        keys_left - at_once
    } else {
        0
    };
    let directories_bytes = at_once
        .saturating_mul(plan.disk_bytes())
        .saturating_add(kept.saturating_mul(plan.kept_bytes()));
    // A file that a process that died had written is written once more, and compared.
    let keys_written = keys_unfinished.saturating_add(keys_unfinished.min(jobs as u64));
    let files_bytes = keys_written.saturating_mul(key_files::bytes(plan, names::key_files(request.with_json)));
    let missing_bytes: u64 = broken
        .values()
        .map(|mending| key_files::bytes(plan, &mending.missing))
        .sum();
    Ok(files_bytes
        .saturating_sub(begun_bytes.files)
        .saturating_add(missing_bytes)
        .saturating_add(directories_bytes.saturating_sub(begun_bytes.directories)))
}

/// Bytes on disk of the keys that a process that died had begun.
#[derive(Default)]
struct BegunBytes {
    directories: u64,
    files: u64,
}

fn begun_bytes(
    paths: &SetPaths,
    request: &SetRequest,
    finished: &FinishedKeys,
    broken: &Broken,
) -> Result<BegunBytes, SetError> {
    let is_grown_again = |key| broken.get(key).is_some_and(|mending| mending.source == Source::Seed);
    let settled = finished.keys().filter(|key| !is_grown_again(key));
    let settled: HashSet<_> = settled.map(|&(index, role)| paths.unfinished(index, role)).collect();
    let mut bytes = BegunBytes::default();
    for directory in unfinished(paths)? {
        if !settled.contains(&directory) {
            bytes.directories += files::allocated_bytes(&directory)?;
        }
    }
    // Of files that are in the way, nobody knows yet whether they are replaced.
    if request.overwrites {
        return Ok(bytes);
    }
    let ours = finished_names(request, finished)?;
    for file in entries(paths.root(), |name| match Named::parse(name) {
        Some(Named::File(prefix, role, ..)) => !ours.contains(&(prefix, role)),
        _ => false,
    })? {
        bytes.files += files::allocated_bytes(&file)?;
    }
    Ok(bytes)
}

/// Compares what a directory is to take with the space on the file system.
pub(super) fn refuse_too_little_room(directory: &Path, needed_bytes: u64) -> Result<(), SetError> {
    let on = directory
        .ancestors()
        .find(|path| path.is_dir())
        .unwrap_or(Path::new("."));
    let available_bytes = available_bytes(on)?;
    if available_bytes >= needed_bytes {
        return Ok(());
    }
    Err(SetError::TooLittleDisk {
        directory: directory.to_owned(),
        needed_bytes,
        available_bytes,
    })
}
