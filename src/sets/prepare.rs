//! From a request and a directory to a set that can be worked on. Everything is looked at before the first key is made.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::begun::{Begun, name};
use super::finished::{Finished, Key};
use super::key_files::reading_bytes;
use super::names::{Half, LOCK, Role, SetPaths, WORK};
use super::plan::{Mending, SetPlan, Source};
use super::record::Record;
use super::request::SetRequest;
use super::survey::{Survey, unfinished};
use crate::error::{Error, Result};
use crate::failure::{IoFailure, attempt};
use crate::files::publish::{Mode, is_draft};
use crate::files::{self, Directory, exists, make_directories, make_directory, parent_of, sync_directory};
use crate::keydir::{DirectoryLock, is_there};
use crate::plan::Plan;
use crate::remedy::Remedy;

/// How the name begins of a key directory that is being removed.
const REMOVED_PREFIX: &str = "removed-";

/// A set under its lock, and what is to be done for it.
pub(super) struct Prepared {
    pub(super) paths: SetPaths,
    pub(super) finished: Finished,
    pub(super) mend: BTreeMap<Key, Mending>,
    pub(super) settle: Vec<Key>,
    pub(super) lock: DirectoryLock,
}

impl Prepared {
    /// The most that reading one of the secrets takes of which files are rebuilt.
    pub(super) fn reading_bytes(&self, request: &SetRequest) -> Result<u64> {
        let mut most = 0;
        for (&key, mending) in &self.mend {
            if let Source::Secret(form) = mending.source {
                let proposer = self.finished.public_key((key.0, Role::Proposer));
                let name = name(request, key, proposer.as_ref())?;
                let path = self.paths.file(name, (Half::Secret, form));
                most = most.max(reading_bytes(&path, &[form.of_secret(request.scheme)])?);
            }
        }
        Ok(most)
    }
}

/// Looks at the directory, makes what is missing of it, and takes its lock.
pub(super) fn prepare(directory: &Path, request: &SetRequest, plan: &Plan, jobs: usize) -> Result<Prepared> {
    let paths = SetPaths::new(directory);
    let decide = || {
        let set = planned(directory, request, plan)?;
        check_room(directory, set.needed_bytes(request, plan, jobs))?;
        Ok::<_, Error>(set)
    };
    // Before anything is written. Where there is a set already, its lock has to be taken first: another process may be at work.
    if !is_there(directory)? || !exists(&paths.work())? {
        decide()?;
    }
    let lock = begin(&paths, request.public_mode)?;
    let set = decide()?;
    if set.discards {
        discard(&paths)?;
    }
    Record::of(request).write(&paths.request())?;
    let finished = Finished::open(&paths, set.finished)?;
    sync_directory(directory)?;
    Ok(Prepared {
        paths,
        finished,
        mend: set.mend,
        settle: set.settle,
        lock,
    })
}

/// What is to be done for a set that is in this directory, or is to be.
pub(super) fn planned(directory: &Path, request: &SetRequest, plan: &Plan) -> Result<SetPlan> {
    let (survey, begun) = match Survey::if_there(directory)? {
        Some(survey) => {
            let begun = Begun::read(&survey, request, plan)?;
            (survey, begun)
        }
        None => (Survey::empty(directory), Begun::nothing()),
    };
    SetPlan::new(&survey, begun, request)
}

/// Makes the directory of a set, takes its lock, and removes what a process that died was writing or removing.
pub(super) fn begin(paths: &SetPaths, public_mode: u32) -> Result<DirectoryLock> {
    // A user who may read may also enter; the umask of this process is narrower.
    let mode = 0o700 | public_mode | ((public_mode & 0o444) >> 2);
    make_directories(paths.root(), Mode::Exact(mode))?;
    make_directory(&paths.work())?;
    let work = Directory::open(paths.root())?.entry(WORK).open_directory()?;
    let lock = DirectoryLock::take_of(&work.entry(LOCK), "a key set")?;
    remove_temporaries(paths)?;
    Ok(lock)
}

/// All that a set consists of is made by name: the name has to lead to the directory that was locked.
pub(super) fn check_place(lock: &DirectoryLock, paths: &SetPaths) -> Result<(), IoFailure> {
    lock.directory().check_by(&paths.work())
}

/// Removes what is noted about another set, and its unfinished keys.
fn discard(paths: &SetPaths) -> Result<()> {
    let remove = |path: PathBuf| {
        if exists(&path)? {
            attempt("unlink", &path, || std::fs::remove_file(&path))?;
        }
        Ok::<_, IoFailure>(())
    };
    // First, so that what is left is not taken for a set.
    remove(paths.manifest())?;
    // Before what says whose they are: without that, one that is left would pass for a key of the new set.
    for key in unfinished(paths)? {
        remove_key(&paths.work().join(key.to_string()))?;
    }
    remove(paths.finished())?;
    // On the disk, before there is what says whose the set is now: beside that, the list would make the old keys its own.
    sync_directory(&paths.work())?;
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

fn remove_temporaries(paths: &SetPaths) -> Result<(), IoFailure> {
    let work = paths.work();
    for name in Directory::open(&work)?.names()? {
        let (path, name) = (work.join(&name), name.to_string_lossy());
        if name.starts_with(REMOVED_PREFIX) {
            attempt("rmdir", &path, || std::fs::remove_dir_all(&path))?;
        } else if is_draft(&name) {
            attempt("unlink", &path, || std::fs::remove_file(&path))?;
        }
    }
    Ok(())
}

/// Compares what a directory is to take with the space on the file system.
pub(super) fn check_room(directory: &Path, needed_bytes: u64) -> Result<()> {
    let on = directory.ancestors().find(|path| path.is_dir());
    files::check_room(
        directory,
        on.unwrap_or(Path::new(".")),
        needed_bytes,
        Remedy::AskForLess,
    )
}
