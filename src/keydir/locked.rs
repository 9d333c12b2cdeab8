//! A key directory under its lock. Whatever is written in one asks for this type.

use std::ops::Deref;

use super::{DirectoryLock, FORMAT_VERSION, KeyDir, KeyPaths, Manifest, fingerprint_of};
use crate::error::Result;

/// A key directory that no other process writes to for as long as this lives.
#[derive(Debug)]
pub(crate) struct LockedDir {
    paths: KeyPaths,
    _lock: DirectoryLock,
}

impl KeyPaths {
    /// Takes the lock, and removes what a process that died was writing: one of these files may hold the secret.
    #[track_caller]
    pub(crate) fn lock(&self) -> Result<LockedDir> {
        let lock = DirectoryLock::take(&self.lock_file())?;
        self.remove_temporaries()?;
        Ok(LockedDir {
            paths: self.clone(),
            _lock: lock,
        })
    }
}

impl KeyDir {
    /// Takes the lock of the directory. Ask it for the [`key`](LockedDir::key): a process that held the lock before may have
    /// written to it.
    #[track_caller]
    pub(crate) fn lock(&self) -> Result<LockedDir> {
        self.paths.lock()
    }
}

impl Deref for LockedDir {
    type Target = KeyPaths;

    fn deref(&self) -> &KeyPaths {
        &self.paths
    }
}

impl LockedDir {
    /// The key as it is now that no other process can be writing it, of whatever version.
    pub(crate) fn key(&self) -> Result<KeyDir> {
        KeyDir::in_directory(&self.paths)
    }

    /// The manifest with the fingerprint. If the one on disk lacks it and the secret is at hand, it is added there too.
    pub(crate) fn note_fingerprint(&self, manifest: Manifest) -> Result<Manifest> {
        // One of an earlier version is given it by its migration.
        if manifest.fingerprint().is_some() || manifest.format_version < FORMAT_VERSION {
            return Ok(manifest);
        }
        let Some(found) = fingerprint_of(&self.paths, &manifest)? else {
            return Ok(manifest);
        };
        let manifest = manifest.with_fingerprint(found);
        manifest.write(self)?;
        Ok(manifest)
    }
}
