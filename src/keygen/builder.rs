//! What a job is asked for: which key, where, and how it may use the machine.

use std::path::{Path, PathBuf};

use super::cancel::CancelHandle;
use super::job::KeygenJob;
use super::options::JobOptions;
use super::prepare::{Begun, begin};
use super::request::{KeyDefaults, KeyRequest};
use crate::error::Result;
use crate::keydir::{KeyDir, KeyPlace, LockedDir};
use crate::keystore::Passphrase;
use crate::layers::Disk;
use crate::plan::Plan;

/// What becomes of the files of parts when a key is joined from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PartFiles {
    /// What is in them is copied into layer files, and they are not needed any more.
    Copied,
    /// They are moved into the key, which reads its lowest levels from them.
    Adopted,
}

/// Where the batches of a job come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Batches {
    /// They are computed.
    Computed,
    /// They are in files of parts. Without a word of what becomes of these, it stays as it was begun.
    Joined(Option<PartFiles>),
}

/// A job that is not begun yet ([`KeygenJob::builder`]).
#[derive(Debug)]
pub struct KeygenBuilder {
    pub(super) directory: PathBuf,
    pub(super) request: KeyRequest,
    pub(super) defaults: Option<KeyDefaults>,
    pub(super) options: JobOptions,
    pub(super) cancel: CancelHandle,
    pub(super) passphrase: Option<Passphrase>,
    pub(super) is_sealing: bool,
    pub(super) batches: Batches,
}

impl KeygenBuilder {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            request: KeyRequest::default(),
            defaults: None,
            options: JobOptions::DEFAULT,
            cancel: CancelHandle::default(),
            passphrase: None,
            is_sealing: false,
            batches: Batches::Computed,
        }
    }

    /// Which key. A silent request goes on with the key that is there.
    #[must_use]
    pub fn request(self, request: KeyRequest) -> Self {
        Self { request, ..self }
    }

    /// What a new key is where the request is silent. Without them, the request has to name scheme and epochs.
    #[must_use]
    pub fn defaults(self, defaults: KeyDefaults) -> Self {
        let defaults = Some(defaults);
        Self { defaults, ..self }
    }

    /// How the job may use the machine.
    #[must_use]
    pub fn options(self, options: JobOptions) -> Self {
        Self { options, ..self }
    }

    /// What stops the job, while it is opened and while it runs.
    #[must_use]
    pub fn cancel(self, cancel: CancelHandle) -> Self {
        Self { cancel, ..self }
    }

    /// What the secret is under, if it is under a passphrase.
    #[must_use]
    pub fn passphrase(self, passphrase: impl Into<Option<Passphrase>>) -> Self {
        let passphrase = passphrase.into();
        Self { passphrase, ..self }
    }

    /// A secret that comes to lie in the directory does so under this passphrase, and never as plain text. One that is there
    /// already stays as it is.
    #[must_use]
    pub fn seal_secret(self, passphrase: Passphrase) -> Self {
        Self {
            passphrase: Some(passphrase),
            is_sealing: true,
            ..self
        }
    }

    /// Batches are not computed but come from parts.
    #[must_use]
    pub(crate) fn joins(self, files: Option<PartFiles>) -> Self {
        Self {
            batches: Batches::Joined(files),
            ..self
        }
    }

    pub(super) fn place(&self) -> KeyPlace<'_> {
        KeyPlace::new(&self.directory).passphrase(self.passphrase.as_ref())
    }

    /// Writes the manifest and the secret of a new key, and nothing else: [`open`](Self::open) makes the rest. Gives what is public
    /// about the key, under its lock unless it is sealed, and whether the secret of the request was written. `check` can refuse
    /// a new key for this directory before anything is written.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for the room on the disk.
    pub(crate) fn begin(
        &self,
        check: impl Fn(&Plan, &Path) -> Result<()>,
    ) -> Result<(KeyDir, Option<LockedDir>, bool)> {
        let Begun {
            key,
            locked,
            has_taken_secret,
        } = begin(self, |directory, _, plan| check(plan, directory))?;
        Ok((key, locked, has_taken_secret))
    }

    /// Creates the key directory, or opens one that exists to finish its key.
    ///
    /// # Errors
    /// [`Error`](crate::Error) if the request is unsound or contradicts the directory, if the directory is something else or
    /// locked, or if there is too little disk or memory. Nothing has then been written.
    pub fn open(self) -> Result<KeygenJob> {
        KeygenJob::open_on(Box::new(Disk::new(self.cancel.flag())), self)
    }
}
