//! A key directory: its names, manifest, secret file and lock.

#[cfg(test)]
mod damage_tests;
mod elsewhere;
pub(crate) mod error;
mod ledger_mark;
mod lock;
mod locked;
mod manifest;
mod names;
mod place;
mod secret_files;

use std::io::{self, ErrorKind};
use std::path::Path;

pub(crate) use ledger_mark::{LedgerMark, Stage, with_checksum};
pub(crate) use lock::DirectoryLock;
pub(crate) use lock::ReadLock;
pub(crate) use locked::LockedDir;
pub(crate) use manifest::check_digest;
pub use manifest::{FORMAT_VERSION, KeyState, Manifest};
pub(crate) use names::{KEYSTORE, KeyPaths, MANIFEST, SECRET, TICKET};
pub(crate) use names::{free_names_aside, is_bystander};
pub use place::KeyPlace;
pub use secret_files::SecretForm;
pub(crate) use secret_files::{SecretFiles, facts, read_secret_file};

pub use crate::keystore::{Origin, Secret};
pub(crate) use keymill_xmss::hash::commitment;

use crate::error::{Reason, Result};
use crate::failure::attempt;
use crate::layers::{LayerFiles, LayerReader, Shelf};
use crate::plan::PlanError;
use crate::units::Fingerprint;
use crate::units::Level;
use keymill_xmss::hash::{Kernel, PrfKey, fingerprint};

/// A key directory that exists: what is public about it, and the way to its files.
///
/// Opening one takes no lock and writes nothing.
#[derive(Clone, Debug)]
pub struct KeyDir {
    paths: KeyPaths,
    manifest: Manifest,
}

impl KeyDir {
    /// Opens the key directory at `path`, finished or not.
    ///
    /// # Errors
    /// [`Error`](crate::Error) if there is none, if its manifest is damaged, or if its format is not the present one.
    #[track_caller]
    pub fn open<'a>(place: impl Into<KeyPlace<'a>>) -> Result<Self> {
        Self::open_any_version(place)?.of_this_version()
    }

    /// Refuses another format than the present one.
    pub(crate) fn of_this_version(self) -> Result<Self> {
        match self.manifest.format_version {
            FORMAT_VERSION => Ok(self),
            // Creation has several versions to go through, and an unfinished key of an earlier program is taken through them.
            found if found < FORMAT_VERSION && self.manifest.state() == KeyState::Generating => {
                Err(error::being_created(self.path()))
            }
            found => Err(error::older_format(self.paths.manifest().path(), found)),
        }
    }

    /// Opens a key directory of the present format or an older one.
    #[track_caller]
    pub(crate) fn open_any_version<'a>(place: impl Into<KeyPlace<'a>>) -> Result<Self> {
        let place = place.into();
        if !is_there(place.path())? {
            return Err(error::no_directory(place.path()));
        }
        Self::in_directory(&KeyPaths::open(place)?)
    }

    /// The key of a directory that is open, whose manifest has been read.
    pub(crate) fn of(paths: &KeyPaths, manifest: Manifest) -> Self {
        Self {
            paths: paths.clone(),
            manifest,
        }
    }

    /// The key of a directory that is open, of whatever version.
    pub(crate) fn in_directory(paths: &KeyPaths) -> Result<Self> {
        match Manifest::read(&paths.manifest())? {
            Some(manifest) => Ok(Self::of(paths, manifest)),
            None => match paths.part_of_key()? {
                Some(part) => Err(error::manifest_lost(&part)),
                None => Err(error::no_manifest(paths.root())),
            },
        }
    }

    /// The key as the same directory has it now, of whatever version.
    pub(crate) fn read_again(&self) -> Result<Self> {
        Self::in_directory(&self.paths)
    }

    /// Opens a key directory whose key is finished.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`Reason::NotFinished`].
    #[track_caller]
    pub fn open_sealed<'a>(place: impl Into<KeyPlace<'a>>) -> Result<Self> {
        Self::open(place)?.sealed()
    }

    /// Refuses a key that is not finished.
    pub(crate) fn sealed(self) -> Result<Self> {
        match self.manifest.state() {
            KeyState::Sealed => Ok(self),
            KeyState::Generating => Err(error::not_sealed(self.path())),
        }
    }

    /// The same key as it will be once it is trimmed to this level.
    pub(crate) fn trimmed(self, trim: Level) -> Result<Self, PlanError> {
        Ok(Self {
            manifest: self.manifest.trimmed(trim)?,
            ..self
        })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.paths.root()
    }

    /// Everything public about the key.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The process that is writing to the directory, if one is.
    pub fn writer(&self) -> Option<String> {
        DirectoryLock::holder(&self.paths.lock_file())
    }

    /// The layer files of this key, to read nodes from.
    ///
    /// # Errors
    /// [`Error`](crate::Error) names the file that is missing, of the wrong length, or of another key.
    pub(crate) fn layers(&self) -> Result<LayerFiles> {
        let manifest = &self.manifest;
        LayerFiles::open(&self.paths.layers(), manifest.plan(), &manifest.binding())
    }

    /// The same by their mappings alone, without a descriptor for each.
    ///
    /// # Errors
    /// As [`layers`](Self::layers).
    pub(crate) fn mapped_layers(&self) -> Result<LayerReader> {
        let manifest = &self.manifest;
        LayerReader::open(&self.paths.layers(), manifest.plan(), &manifest.binding())
    }

    /// The files with nodes that this key has to have.
    ///
    /// # Errors
    /// [`Error`](crate::Error) if the directory of the parts that it has adopted cannot be read.
    pub(crate) fn shelf(&self) -> Result<Shelf> {
        let manifest = &self.manifest;
        Shelf::of(&self.paths.layers(), manifest.plan(), &manifest.binding())
    }

    /// The hash functions of this key.
    pub fn kernel(&self) -> Box<dyn Kernel> {
        self.manifest.scheme().kernel(self.manifest.parameter())
    }

    /// Reads the secret and checks that it is this key's.
    ///
    /// # Errors
    /// [`Error`](crate::Error) if the file is missing, damaged, or another key's; [`Reason::PassphraseMissing`] or
    /// [`Reason::WrongPassphrase`] if it is under a passphrase.
    pub fn prf_key(&self) -> Result<PrfKey> {
        prf_key(&self.paths, &self.manifest)
    }

    /// In which form its secret is there.
    ///
    /// # Errors
    /// [`Error`](crate::Error) if the directory cannot be looked into.
    pub fn secret_form(&self) -> Result<SecretForm> {
        self.paths.secret_form()
    }

    /// The fingerprint of the one-time keys: from the manifest, or else from the secret, if that is at hand.
    ///
    /// # Errors
    /// [`Error`](crate::Error) if the secret cannot be read although it is there and may be.
    pub fn fingerprint(&self) -> Result<Option<Fingerprint>> {
        fingerprint_of(&self.paths, &self.manifest)
    }

    pub(crate) fn paths(&self) -> &KeyPaths {
        &self.paths
    }
}

/// Whether there is a directory at `path`. Something else of this name, or a link that leads nowhere, is an error.
pub(crate) fn is_there(path: &Path) -> Result<bool> {
    match attempt("stat", path, || std::fs::metadata(path)) {
        Ok(metadata) if metadata.is_dir() => Ok(true),
        Ok(_) => Err(error::not_a_directory(path)),
        Err(failure) if failure.is_missing() => error::refuse_dangling_link(path).map(|()| false),
        Err(failure) => Err(failure.into()),
    }
}

fn prf_key(paths: &KeyPaths, manifest: &Manifest) -> Result<PrfKey> {
    let secret = paths.read_secret()?;
    let (secret, _) = secret.ok_or_else(|| error::secret_missing(paths.secret().path()))?;
    prf_key_of(&secret, paths.root(), manifest)
}

/// The PRF key of a secret that was read from `directory`, if it is that of this key.
pub(crate) fn prf_key_of(secret: &Secret, directory: &Path, manifest: &Manifest) -> Result<PrfKey> {
    let drawn = secret.draw(manifest.plan(), manifest.parameter());
    let found = commitment(&drawn.prf_key);
    if found != *manifest.secret_commitment() {
        let keystore = directory.join(KEYSTORE);
        let path = if keystore.exists() {
            keystore
        } else {
            directory.join(SECRET)
        };
        return Err(error::other_secret(&path, manifest.secret_commitment(), &found));
    }
    let found = fingerprint(&drawn.prf_key, manifest.parameter());
    match manifest.fingerprint() {
        Some(expected) if expected != found => {
            let what = format!("its fingerprint is {expected}, and that of the secret beside it is {found}");
            Err(error::bad_manifest(&directory.join(MANIFEST), &what))
        }
        _ => Ok(drawn.prf_key),
    }
}

/// The fingerprint of a key, if it is known or the secret is at hand.
pub(crate) fn fingerprint_of(paths: &KeyPaths, manifest: &Manifest) -> Result<Option<Fingerprint>> {
    if let Some(known) = manifest.fingerprint() {
        return Ok(Some(known));
    }
    let error = match prf_key(paths, manifest) {
        Ok(prf_key) => return Ok(Some(fingerprint(&prf_key, manifest.parameter()))),
        Err(error) => error,
    };
    match error.reason() {
        // A command that needs the secret itself says what is wrong with it.
        Reason::SecretMissing
        | Reason::NotAFile
        | Reason::SecretDamaged
        | Reason::SecretExposed
        | Reason::PassphraseMissing => Ok(None),
        Reason::Call if error.io().map(io::Error::kind) == Some(ErrorKind::PermissionDenied) => Ok(None),
        _ => Err(error),
    }
}
