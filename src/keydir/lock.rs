//! One writer at a time: DIR/LOCK is held exclusively for as long as a process writes.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek};
use std::path::Path;

use rustix::fs::OFlags;

use super::error::{locked, unopened};
use crate::error::Result;
use crate::failure::{attempt, write_whole};
use crate::files::{Directory, Entry};
use crate::resources::{Registration, ResourceKind, register};
use crate::time::pause;

/// A reader that asks whether the directory is locked holds the lock for a moment; so try more than once.
const ATTEMPTS: u32 = 4;
const ATTEMPT_INTERVAL_MS: u64 = 25;
const LOCK_MODE: u32 = 0o600;

/// Held by the one process that writes a key directory. The kernel drops it with the process, however that ends.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    file: File,
    directory: Directory,
    _registration: Registration,
}

impl DirectoryLock {
    /// Takes the lock, and notes this process in the file for those who find it taken.
    #[track_caller]
    pub(crate) fn take(lock: &Entry) -> Result<Self> {
        Self::take_of(lock, "a key directory")
    }

    /// As [`take`](Self::take), of what is not a key directory.
    #[track_caller]
    pub(crate) fn take_of(lock: &Entry, of: &str) -> Result<Self> {
        let path = lock.path();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW;
        let mut file = lock.open(flags, LOCK_MODE).map_err(unopened)?;
        try_often(&mut file, path, of, File::try_lock)?;
        let holder = format!("process {} ({})\n", std::process::id(), program());
        attempt("ftruncate", path, || file.set_len(0))?;
        attempt("lseek", path, || file.rewind())?;
        write_whole(&file, holder.as_bytes(), path)?;
        // The directory may have been moved between its opening and this moment.
        lock.directory().check()?;
        Ok(Self {
            file,
            directory: lock.directory().clone(),
            _registration: register(ResourceKind::File, 0),
        })
    }

    /// The directory that is locked.
    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Who holds the lock at this moment, without taking it for longer than it takes to look.
    pub(crate) fn holder(lock: &Entry) -> Option<String> {
        let mut file = lock.open_to_read().ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(read_holder(&mut file)),
            Ok(()) => {
                unlock(&file);
                None
            }
            Err(TryLockError::Error(_)) => None,
        }
    }
}

/// Held by readers beside which no process may write. It makes and writes nothing, so the directory may be read-only.
#[derive(Debug)]
pub(crate) struct ReadLock {
    _held: DirectoryLock,
}

impl ReadLock {
    /// Takes the lock beside other readers; none where no writer has ever made the file.
    #[track_caller]
    pub(crate) fn take(lock: &Entry) -> Result<Option<Self>> {
        let mut file = match lock.open(OFlags::RDONLY | OFlags::NOFOLLOW, 0) {
            Err(failure) if failure.is_missing() => return Ok(None),
            opened => opened.map_err(unopened)?,
        };
        try_often(&mut file, lock.path(), "a key directory", File::try_lock_shared)?;
        let _held = DirectoryLock {
            file,
            directory: lock.directory().clone(),
            _registration: register(ResourceKind::File, 0),
        };
        Ok(Some(Self { _held }))
    }
}

/// Tries to take a lock, more than once.
fn try_often(
    file: &mut File,
    path: &Path,
    of: &str,
    try_lock: impl Fn(&File) -> Result<(), TryLockError>,
) -> Result<()> {
    for number in 1..=ATTEMPTS {
        let is_taken = attempt("flock", path, || match try_lock(file) {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        })?;
        if is_taken {
            return Ok(());
        }
        if number < ATTEMPTS {
            pause(ATTEMPT_INTERVAL_MS);
        }
    }
    // What is written in it is of the last writer, who may be long gone while others read.
    let holder = match file.try_lock_shared() {
        Ok(()) => "a process that reads the directory".to_owned(),
        Err(_) => read_holder(file),
    };
    Err(locked(path, &holder, of))
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // A child that was forked while the lock was held has the open file too, but gives back nothing that its parent holds.
        if self.directory.opened_before_fork().is_none() {
            unlock(&self.file);
        }
    }
}

/// Gives a lock back at once. To close the file would not do while a process that was started meanwhile has a copy of its
/// descriptor: the lock is the open file's, and a child keeps its copies until it executes its program (flock(2)).
fn unlock(file: &File) {
    // It fails for no lock that is held, and the closing that follows does the same.
    let _ = file.unlock();
}

fn program() -> String {
    let name = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&name).file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn read_holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.take(200).read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_given_back_is_free_although_a_child_still_has_a_copy_of_its_descriptor() {
        let place = tempfile::tempdir().unwrap();
        let path = Directory::open(place.path()).unwrap().entry("LOCK");
        let lock = DirectoryLock::take(&path).unwrap();
        // As a fork makes one: of the same open file.
        let copy = lock.file.try_clone().unwrap();
        assert!(DirectoryLock::take(&path).is_err());
        drop(lock);
        DirectoryLock::take(&path).unwrap();
        drop(copy);
    }

    /// Whether a writer gets the lock although at so many of its attempts a reader holds it, to see who does.
    fn is_taken_beside_readers(attempts: u32) -> bool {
        use crate::faults::{Fate, Faults};

        let place = tempfile::tempdir().unwrap();
        let lock = Directory::open(place.path()).unwrap().entry("LOCK");
        let reader = File::create(lock.path()).unwrap();
        reader.lock_shared().unwrap();
        let mut made = 0;
        let _faults = Faults::below(place.path(), move |call, _| {
            made += u32::from(call == "flock");
            if made > attempts {
                unlock(&reader);
            }
            Fate::Pass
        });
        match DirectoryLock::take(&lock) {
            Ok(_) => true,
            Err(error) if error.reason() == crate::error::Reason::Locked => false,
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn readers_who_ask_for_the_holder_do_not_keep_a_writer_from_its_lock_unless_at_every_attempt() {
        let taken = (0..=ATTEMPTS).map(is_taken_beside_readers);
        let expected = (0..=ATTEMPTS).map(|attempts| attempts < ATTEMPTS);
        assert!(taken.eq(expected));
    }
}
