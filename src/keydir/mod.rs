//! A key directory: its names, manifest, secret file and lock.

#[cfg(test)]
mod damage_tests;
pub(crate) mod durable;
mod error;
mod fillers;
#[cfg(any(feature = "keygen", all(fuzzing, feature = "records")))]
mod ledger_mark;
mod lock;
mod manifest;
mod names;
mod secret;

use std::path::Path;

pub use error::KeyDirError;
pub use fillers::Fillers;
#[cfg(any(feature = "keygen", all(fuzzing, feature = "records")))]
pub(crate) use ledger_mark::LedgerMark;
pub(crate) use lock::DirectoryLock;
#[cfg(feature = "keygen")]
pub(crate) use manifest::check_digest;
pub use manifest::{FORMAT_VERSION, KeyState, Manifest, Origin};
pub(crate) use names::KeyPaths;
#[cfg(feature = "keygen")]
pub(crate) use names::names_aside;
pub use secret::Secret;
pub(crate) use secret::commitment;

use crate::failure::attempt;
use crate::hash::{Kernel, PrfKey, kernel};
use crate::layers::{LayerError, LayerReader};
#[cfg(feature = "keygen")]
use crate::plan::PlanError;
#[cfg(feature = "keygen")]
use crate::units::Level;

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
    /// [`KeyDirError`] if there is none, if its manifest is damaged, or if its format is not the present one.
    pub fn open(path: &Path) -> Result<Self, KeyDirError> {
        let key = Self::open_any_version(path)?;
        match key.manifest.format_version {
            FORMAT_VERSION => Ok(key),
            // Creation has several versions to go through, and an unfinished key of an earlier program is taken through them.
            found if found < FORMAT_VERSION && key.manifest.state() == KeyState::Generating => {
                Err(KeyDirError::BeingCreated(path.to_owned()))
            }
            found => Err(KeyDirError::OlderFormat {
                path: key.paths.manifest(),
                found,
                newest: FORMAT_VERSION,
            }),
        }
    }

    /// Opens a key directory of the present format or an older one.
    pub(crate) fn open_any_version(path: &Path) -> Result<Self, KeyDirError> {
        let paths = KeyPaths::new(path);
        match attempt("stat", path, || std::fs::metadata(path)) {
            Err(failure) if failure.is_missing() => {
                return Err(KeyDirError::NoDirectory(path.to_owned()));
            }
            Err(failure) => return Err(failure.into()),
            Ok(metadata) if !metadata.is_dir() => {
                return Err(KeyDirError::NotADirectory(path.to_owned()));
            }
            Ok(_) => {}
        }
        let manifest = Manifest::read(&paths.manifest())?.ok_or_else(|| KeyDirError::NoManifest(path.to_owned()))?;
        Ok(Self { paths, manifest })
    }

    /// Opens a key directory whose key is finished.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`KeyDirError::NotSealed`].
    pub fn open_sealed(path: &Path) -> Result<Self, KeyDirError> {
        let key = Self::open(path)?;
        match key.manifest.state() {
            KeyState::Sealed => Ok(key),
            KeyState::Generating => Err(KeyDirError::NotSealed(path.to_owned())),
        }
    }

    /// The same key as it will be once it is trimmed to this level.
    #[cfg(feature = "keygen")]
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
        DirectoryLock::holder(&self.paths.lock())
    }

    /// The layer files of this key, to read nodes from.
    ///
    /// # Errors
    /// [`LayerError`] names the file that is missing, of the wrong length, or of another key.
    pub fn layers(&self) -> Result<LayerReader, LayerError> {
        let manifest = &self.manifest;
        let digest_bytes = manifest.scheme().digest_bytes();
        let geometry = manifest.plan().geometry();
        LayerReader::open(&self.paths.layers(), geometry, digest_bytes, manifest.key_id())
    }

    /// The hash functions of this key.
    pub fn kernel(&self) -> Box<dyn Kernel> {
        kernel(self.manifest.scheme(), self.manifest.parameter())
    }

    /// Reads the secret and checks that it is this key's.
    ///
    /// # Errors
    /// [`KeyDirError`] if the file is missing, damaged, or another key's.
    pub fn prf_key(&self) -> Result<PrfKey, KeyDirError> {
        let path = self.paths.secret();
        let (secret, _) = Secret::read(&path)?.ok_or(KeyDirError::SecretMissing(path.clone()))?;
        let manifest = &self.manifest;
        let drawn = secret.draw(manifest.plan(), manifest.parameter());
        let found = commitment(&drawn.prf_key);
        if found != *manifest.secret_commitment() {
            return Err(KeyDirError::SecretMismatch {
                path,
                expected: hex::encode(manifest.secret_commitment()),
                found: hex::encode(found),
            });
        }
        Ok(drawn.prf_key)
    }

    pub(crate) fn paths(&self) -> &KeyPaths {
        &self.paths
    }
}
