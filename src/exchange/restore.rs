//! A key directory from a backup: the same manifest, secret and layer files, byte for byte.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use super::backup::Backup;
use crate::keydir::{KeyDir, KeyDirError, Manifest};
use crate::keygen::{CancelHandle, JobOptions, KeyDefaults, KeyRequest, KeygenError, KeygenJob, Progress, Summary};
use crate::plan::MemoryPlan;
use crate::units::KeyId;

/// A key could not be made again.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The directory cannot be used.
    #[error(transparent)]
    KeyDir(#[from] KeyDirError),
    /// The job could not begin, or ended early. Restoring again goes on.
    #[error(transparent)]
    Keygen(#[from] KeygenError),
    /// The directory has another key.
    #[error(
        "'{}' holds the key {found}, and the backup is of the key {expected}; choose another directory",
        .directory.display()
    )]
    OtherKey {
        /// The key directory.
        directory: PathBuf,
        /// The key in it.
        found: KeyId,
        /// The key of the backup.
        expected: KeyId,
    },
    /// The tree has another root than it had.
    #[error(
        "the key in '{}' has the public key {found}, and the backup names {expected}: do not use it. One of them was \
         computed wrong; 'keymill check --deep' tells whether it was this one",
        .directory.display()
    )]
    OtherPublicKey {
        /// The key directory.
        directory: PathBuf,
        /// Its public key, in hex.
        found: String,
        /// The public key of the backup, in hex.
        expected: String,
    },
}

/// A key that is being made again. Holds the directory's lock as long as it lives.
pub struct RestoreJob {
    job: KeygenJob,
    directory: PathBuf,
    public_key: Option<Vec<u8>>,
}

impl RestoreJob {
    /// Creates the key directory, or opens one in which the same key was begun. The key may have signed elsewhere, so its
    /// ledger begins without a known history.
    ///
    /// # Errors
    /// [`RestoreError`] if the directory has another key or is something else, or as [`KeygenJob::open`].
    pub fn open(
        directory: &Path,
        backup: &Backup,
        options: JobOptions,
        cancel: CancelHandle,
    ) -> Result<Self, RestoreError> {
        let plan = backup.plan();
        let found = found_key(directory)?;
        if let Some(found) = found.filter(|&found| found != backup.key_id()) {
            return Err(RestoreError::OtherKey {
                directory: directory.to_owned(),
                found,
                expected: backup.key_id(),
            });
        }
        let request = KeyRequest {
            scheme: Some(plan.scheme()),
            activation_epoch: Some(plan.activation_epoch()),
            epochs: Some(plan.active_epochs()),
            secret: Some(backup.secret().clone()),
            parameter: backup.parameter(),
            fillers: backup.fillers().map(<[u8]>::to_vec),
            // The same key may have been trimmed since.
            trim: found.is_none().then(|| plan.trim()),
            restored: Some(backup.origin()),
        };
        let defaults = KeyDefaults {
            scheme: plan.scheme(),
            epochs: plan.active_epochs(),
            trim: plan.trim(),
        };
        Ok(Self {
            job: KeygenJob::open(directory, &request, &defaults, options, cancel)?,
            directory: directory.to_owned(),
            public_key: backup.public_key().map(<[u8]>::to_vec),
        })
    }

    /// Everything public about the key.
    pub fn manifest(&self) -> &Manifest {
        self.job.manifest()
    }

    /// What the job keeps in memory; none for a sealed key.
    pub fn memory(&self) -> Option<&MemoryPlan> {
        self.job.memory()
    }

    /// Computes what is missing, seals the key, and compares its public key with the one that it had.
    ///
    /// # Errors
    /// [`RestoreError`]; restoring again goes on.
    pub fn run(self, progress: &dyn Progress) -> Result<Summary, RestoreError> {
        let summary = self.job.run(progress)?;
        match self.public_key.filter(|expected| *expected != summary.public_key) {
            None => Ok(summary),
            Some(expected) => Err(RestoreError::OtherPublicKey {
                directory: self.directory,
                found: hex::encode(&summary.public_key),
                expected: hex::encode(expected),
            }),
        }
    }
}

/// The key that is in a directory already.
fn found_key(directory: &Path) -> Result<Option<KeyId>, KeyDirError> {
    match KeyDir::open_any_version(directory) {
        Ok(key) => Ok(Some(key.manifest().key_id())),
        Err(KeyDirError::NoDirectory(_) | KeyDirError::NoManifest(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
