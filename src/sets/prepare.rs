//! From a request and a directory to a set that can be worked on. Everything is looked at before the first key is made.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::error::SetError;
use super::key_files;
use super::manifest::SetManifest;
use super::mend::{Broken, broken};
use super::names::{Form, Half, LOCK, MANIFEST, Named, Prefix, Role, SetPaths, WORK};
use super::notes::{FinishedKeys, Record};
use super::record::{Finished, manifest_of};
use super::request::SetRequest;
use super::room::{needed_bytes, refuse_too_little_room};
use crate::failure::{IoFailure, attempt};
use crate::files::publish::{Mode, is_draft};
use crate::files::{self, Directory, exists, make_directories, make_directory, parent_of, sync_directory};
use crate::keydir::{DirectoryLock, KeyDir, KeyDirError};
use crate::plan::Plan;

/// How the name begins of a key directory that is being removed.
const REMOVED_PREFIX: &str = "removed-";

/// A set under its lock.
pub(super) struct Prepared {
    pub(super) paths: SetPaths,
    pub(super) finished: Finished,
    /// Finished keys that lack a file.
    pub(super) broken: Broken,
    pub(super) lock: DirectoryLock,
}

/// Looks at the directory, makes what is missing of it, and takes its lock.
pub(super) fn prepare(directory: &Path, request: &SetRequest, plan: &Plan, jobs: usize) -> Result<Prepared, SetError> {
    let paths = SetPaths::new(directory);
    let is_there = is_directory(directory)?;
    // Before anything is written. Where there is a set already, its lock has to be had first: somebody may be at work.
    if is_there && !exists(&paths.work())? {
        look(&paths, request)?;
    }
    refuse_too_little_room(directory, needed_bytes(&paths, request, plan, jobs)?)?;
    make_public_directory(directory, request.public_mode)?;
    make_directory(&paths.work())?;
    let lock = take_lock(&paths)?;
    remove_temporaries(&paths)?;
    let broken = match look(&paths, request)? {
        Found::ThisOrNothing(broken) => broken,
        Found::Another => {
            discard(&paths)?;
            Broken::new()
        }
    };
    Record::of(request).write(&paths.request())?;
    let finished = Finished::open(&paths, request.scheme)?;
    sync_directory(directory)?;
    Ok(Prepared {
        paths,
        finished,
        broken,
        lock,
    })
}

/// Whether there is such a directory; anything else of its name is refused.
pub(super) fn is_directory(directory: &Path) -> Result<bool, SetError> {
    match attempt("stat", directory, || std::fs::metadata(directory)) {
        Err(failure) if failure.is_missing() => Ok(KeyDirError::refuse_dangling_link(directory).map(|()| false)?),
        Ok(metadata) if !metadata.is_dir() => Err(SetError::NotADirectory(directory.to_owned())),
        metadata => Ok(metadata.map(|_| true)?),
    }
}

pub(super) fn take_lock(paths: &SetPaths) -> Result<DirectoryLock, SetError> {
    let work = Directory::open(paths.root())?.entry(WORK).open_directory()?;
    DirectoryLock::take(&work.entry(LOCK)).map_err(|error| match error {
        KeyDirError::Locked { path, holder } => SetError::Locked { path, holder },
        error => error.into(),
    })
}

/// All that a set consists of is made by name: the name has to lead to the directory that was locked.
pub(super) fn check_place(lock: &DirectoryLock, paths: &SetPaths) -> Result<(), IoFailure> {
    lock.directory().check_by(&paths.work())
}

/// What there is in the place of the set.
enum Found {
    /// Nothing, or a part of this set, of which finished keys may lack files.
    ThisOrNothing(Broken),
    /// Another set, which may be overwritten.
    Another,
}

/// Refuses to begin where something would be overwritten or does not belong to the rest.
fn look(paths: &SetPaths, request: &SetRequest) -> Result<Found, SetError> {
    let begun = match begun(paths, request) {
        Err(SetError::Contradiction { .. } | SetError::Record { .. }) if request.overwrites => {
            refuse_directories(paths, request, &FinishedKeys::new())?;
            return Ok(Found::Another);
        }
        begun => begun?,
    };
    let finished = begun.clone().unwrap_or_default();
    for (&(index, role), public_key) in &finished {
        let prefix = prefix(request, index, finished.get(&(index, Role::Proposer)))?;
        check_finished(paths, request, &prefix, role, public_key)?;
    }
    let broken = broken(paths, request, &finished)?;
    refuse_directories(paths, request, &finished)?;
    match check_entries(paths, request, &finished) {
        // What this set has finished stays, whatever else is overwritten.
        Err(SetError::Exists(_)) if request.overwrites => Ok(match begun {
            Some(_) => Found::ThisOrNothing(broken),
            None => Found::Another,
        }),
        checked => checked.map(|()| Found::ThisOrNothing(broken)),
    }
}

/// The finished keys of this set; none if it was not begun.
pub(super) fn begun(paths: &SetPaths, request: &SetRequest) -> Result<Option<FinishedKeys>, SetError> {
    match Record::read(&paths.request())? {
        Some(record) => {
            record.agrees_with(request, &paths.request())?;
            Ok(Some(Finished::read(paths, request.scheme)?))
        }
        None if exists(&paths.finished())? => Err(SetError::Record {
            path: paths.request(),
            what: "it is missing, but there are finished keys".to_owned(),
        }),
        None => Ok(None),
    }
}

/// How the files of a validator begin.
pub(super) fn prefix(request: &SetRequest, index: u64, proposer: Option<&Vec<u8>>) -> Result<Prefix, SetError> {
    match (request.is_distributed, proposer) {
        (false, _) => Ok(Prefix::of_index(index)),
        (true, Some(proposer)) => Ok(Prefix::of_public_key(proposer)),
        (true, None) => Err(SetError::Request(format!(
            "validator {index} has no proposer key to be named by"
        ))),
    }
}

/// The files of a finished key that are there belong together.
fn check_finished(
    paths: &SetPaths,
    request: &SetRequest,
    prefix: &Prefix,
    role: Role,
    public_key: &[u8],
) -> Result<(), SetError> {
    for &(half, form) in super::names::key_files(request.with_json) {
        let path = paths.entry(&prefix.file(role, half, form));
        if form == Form::Ssz && exists(&path)? {
            match half {
                Half::Public => key_files::check_public(&path, public_key)?,
                Half::Secret => drop(key_files::check_secret_head(&path, request.scheme, public_key)?),
            }
        }
    }
    Ok(())
}

/// No directory has the name of a key but those that this set keeps. No file can be put in the place of another one, and it may
/// hold a ledger.
fn refuse_directories(paths: &SetPaths, request: &SetRequest, finished: &FinishedKeys) -> Result<(), SetError> {
    let ours = finished_names(request, finished)?;
    for path in entries(paths.root(), |name| Named::parse(name).is_some() || name == MANIFEST)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_refused = match Named::parse(&name) {
            Some(Named::Directory(prefix, role)) => !ours.contains(&(prefix, role)),
            _ => files::is_directory(&path)?,
        };
        if is_refused {
            return Err(SetError::KeptDirectory(path));
        }
    }
    Ok(())
}

/// The names of finished keys.
pub(super) fn finished_names(
    request: &SetRequest,
    finished: &FinishedKeys,
) -> Result<HashSet<(Prefix, Role)>, SetError> {
    let keys = finished.keys();
    keys.map(|&(index, role)| Ok((prefix(request, index, finished.get(&(index, Role::Proposer)))?, role)))
        .collect()
}

/// Nothing that has the name of a key, or of the manifest, is there but what this set has put there.
fn check_entries(paths: &SetPaths, request: &SetRequest, finished: &FinishedKeys) -> Result<(), SetError> {
    let ours = own_keys(paths, request, finished)?;
    let root = paths.root();
    for entry in attempt("readdir", root, || std::fs::read_dir(root))? {
        let name = attempt("readdir", root, || entry)?.file_name();
        let Some(name) = name.to_str() else { continue };
        let is_ours = match Named::parse(name) {
            Some(Named::File(prefix, role, ..) | Named::Directory(prefix, role)) => ours.contains(&(prefix, role)),
            None if name == MANIFEST => is_own_manifest(paths, request, finished)?,
            None => true,
        };
        if !is_ours {
            return Err(SetError::Exists(root.join(name)));
        }
    }
    Ok(())
}

/// The keys whose files may be there: the finished ones, and those of which a process that died had written some.
fn own_keys(
    paths: &SetPaths,
    request: &SetRequest,
    finished: &FinishedKeys,
) -> Result<HashSet<(Prefix, Role)>, SetError> {
    let mut ours = HashSet::new();
    for index in request.indices() {
        let mut proposer = None;
        for &role in &request.roles {
            let public_key = match finished.get(&(index, role)) {
                Some(public_key) => Some(public_key.clone()),
                // Only a sealed key has files.
                None => sealed_public_key(&paths.unfinished(index, role))?,
            };
            let Some(public_key) = public_key else { continue };
            if role == Role::Proposer {
                proposer = Some(public_key);
            }
            if let Ok(prefix) = prefix(request, index, proposer.as_ref()) {
                ours.insert((prefix, role));
            }
        }
    }
    Ok(ours)
}

/// The public key of a directory, if there is one of a sealed key.
fn sealed_public_key(directory: &Path) -> Result<Option<Vec<u8>>, SetError> {
    if !exists(directory)? {
        return Ok(None);
    }
    match KeyDir::open_sealed(directory) {
        Ok(key) => Ok(key.manifest().public_key()),
        Err(KeyDirError::Io(failure)) => Err(failure.into()),
        // What is wrong with it, its job will say.
        Err(_) => Ok(None),
    }
}

/// Whether a directory is that of this key, sealed.
pub(super) fn is_of_key(directory: &Path, public_key: &[u8]) -> Result<bool, SetError> {
    Ok(sealed_public_key(directory)?.as_deref() == Some(public_key))
}

/// Whether a manifest is one of this set, perhaps of fewer validators.
fn is_own_manifest(paths: &SetPaths, request: &SetRequest, finished: &FinishedKeys) -> Result<bool, SetError> {
    let found = match SetManifest::of_set(paths) {
        Err(SetError::Manifest { .. }) => return Ok(false),
        found => found?,
    };
    let ours = manifest_of(finished, request);
    Ok(found.kind == ours.kind && ours.validators.starts_with(&found.validators))
}

/// Removes what is noted about another set, and its unfinished keys.
fn discard(paths: &SetPaths) -> Result<(), SetError> {
    let remove = |path: PathBuf| match exists(&path)? {
        true => attempt("unlink", &path, || std::fs::remove_file(&path)),
        false => Ok(()),
    };
    // First, so that nobody takes what is left for a set.
    remove(paths.manifest())?;
    // Before what says whose they are: without that, one that is left would pass for a key of the new set.
    for path in unfinished(paths)? {
        remove_key(&path)?;
    }
    remove(paths.finished())?;
    Ok(remove(paths.request())?)
}

/// Removes the directory of a key. It loses its name first: half of it, left by a kill, could pass for the key.
pub(super) fn remove_key(directory: &Path) -> Result<(), IoFailure> {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    let removed = directory.with_file_name(format!("{REMOVED_PREFIX}{name}"));
    attempt("rename", directory, || std::fs::rename(directory, &removed))?;
    sync_directory(parent_of(directory))?;
    attempt("rmdir", &removed, || std::fs::remove_dir_all(&removed))
}

/// Removes what a process that died was writing or removing.
pub(super) fn remove_temporaries(paths: &SetPaths) -> Result<(), IoFailure> {
    for path in entries(&paths.work(), |name| name.starts_with(REMOVED_PREFIX))? {
        attempt("rmdir", &path, || std::fs::remove_dir_all(&path))?;
    }
    for path in entries(&paths.work(), is_draft)? {
        attempt("unlink", &path, || std::fs::remove_file(&path))?;
    }
    Ok(())
}

pub(super) fn entries(directory: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, IoFailure> {
    let mut found = Vec::new();
    for entry in attempt("readdir", directory, || std::fs::read_dir(directory))? {
        let entry = attempt("readdir", directory, || entry)?;
        if wanted(&entry.file_name().to_string_lossy()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Makes a directory that others may read as far as the caller's umask lets them, with those above it.
pub(super) fn make_public_directory(directory: &Path, public_mode: u32) -> Result<(), IoFailure> {
    // Whoever may read may also enter; the umask of this process is narrower.
    let mode = 0o700 | public_mode | ((public_mode & 0o444) >> 2);
    make_directories(directory, Mode::Exact(mode))
}

/// The directories of keys that are not finished.
pub(super) fn unfinished(paths: &SetPaths) -> Result<Vec<PathBuf>, IoFailure> {
    let is_of_a_key = |name: &str| matches!(Named::parse(name), Some(Named::Directory(..)));
    entries(&paths.work(), is_of_a_key)
}
