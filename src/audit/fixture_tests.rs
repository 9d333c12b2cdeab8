//! Keys that the tests of this module damage, and those of `trim` trim.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{CheckReport, check};
use crate::error::Result;
use crate::files::Entry;
use crate::files::directory_tests::copy_directory;
use crate::keydir::Secret;
use crate::keygen::tests::in_memory;
use crate::keygen::{CancelHandle, JobOptions, KeyDefaults, KeyRequest, KeygenJob, NoProgress};
use crate::plan::MemoryRequest;
use crate::units::Level;
use keymill_xmss::scheme::Scheme;

/// 256 epochs in one batch: made in a moment.
pub(crate) const TINY: &str = "leansig-p1-l8-abort-v4-w8";
/// 1,024 epochs in each batch.
pub(crate) const LONG: &str = "leansig-p2-l18-top-v64-w8";

pub(crate) const OPTIONS: JobOptions = JobOptions::DEFAULT
    .threads(2)
    .group_batches(2)
    .memory(MemoryRequest::NoLimit);

/// A sealed key in a directory of its own.
pub(crate) struct TestKey {
    parent: TempDir,
}

/// The job of a key from a fixed seed.
pub(crate) fn job(directory: &Path, scheme: &str, epochs: u64, seed: u8) -> Result<KeygenJob> {
    open_job(directory, scheme, epochs, seed, CancelHandle::default())
}

pub(crate) fn open_job(
    directory: &Path,
    scheme: &str,
    epochs: u64,
    seed: u8,
    cancel: CancelHandle,
) -> Result<KeygenJob> {
    let request = KeyRequest {
        scheme: Some(Scheme::by_id(scheme).unwrap()),
        epochs: Some(epochs),
        ..seeded(seed)
    };
    open_request(directory, &request, cancel)
}

/// A request for a key from a fixed seed.
pub(crate) fn seeded(seed: u8) -> KeyRequest {
    KeyRequest {
        secret: Some(Secret::Seed([seed; 32])),
        ..KeyRequest::default()
    }
}

pub(crate) fn open_request(directory: &Path, request: &KeyRequest, cancel: CancelHandle) -> Result<KeygenJob> {
    let defaults = KeyDefaults {
        scheme: Scheme::by_id(TINY).unwrap(),
        epochs: 256,
        trim: Level(0),
    };
    KeygenJob::builder(directory)
        .request(request.clone())
        .defaults(defaults)
        .options(OPTIONS)
        .cancel(cancel)
        .open()
}

impl TestKey {
    /// A place for a key.
    pub(crate) fn empty() -> Self {
        let parent = tempfile::tempdir().unwrap();
        Self { parent }
    }

    pub(crate) fn new(scheme: &str, epochs: u64, seed: u8) -> Self {
        let key = Self::empty();
        job(&key.path(), scheme, epochs, seed)
            .unwrap()
            .run(&NoProgress)
            .unwrap();
        key
    }

    /// A sealed key for any interval, that stores its levels from `trim` on.
    pub(crate) fn trimmed(scheme: &'static str, activation: u64, epochs: u64, seed: u8, trim: u8) -> Self {
        let key = Self::empty();
        let request = KeyRequest {
            scheme: Some(Scheme::by_id(scheme).unwrap()),
            activation_epoch: Some(activation),
            epochs: Some(epochs),
            trim: Some(Level(trim)),
            ..seeded(seed)
        };
        open_request(&key.path(), &request, CancelHandle::default())
            .unwrap()
            .run(&NoProgress)
            .unwrap();
        key
    }

    pub(crate) fn copy(&self) -> Self {
        let copy = Self::empty();
        copy_directory(&self.path(), &copy.path());
        copy
    }

    /// A name in the directory of the key.
    pub(crate) fn entry(&self, name: &str) -> Entry {
        Entry::of(&self.path().join(name)).unwrap()
    }

    /// A copy where syncing costs nothing, if there is such a place.
    pub(crate) fn copy_in_memory(&self) -> Self {
        let copy = Self { parent: in_memory() };
        copy_directory(&self.path(), &copy.path());
        copy
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.parent.path().join("key")
    }

    pub(crate) fn layer(&self, level: u8) -> PathBuf {
        self.path().join(format!("layers/{level:02}.nodes"))
    }

    /// The layer files by name.
    pub(crate) fn layers(&self) -> BTreeMap<String, Vec<u8>> {
        let read = |path: PathBuf| {
            (
                path.file_name().unwrap().to_string_lossy().into(),
                fs::read(&path).unwrap(),
            )
        };
        self.layer_paths().map(read).collect()
    }

    /// Without what was moved aside.
    fn layer_paths(&self) -> impl Iterator<Item = PathBuf> {
        let entries = fs::read_dir(self.path().join("layers")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "nodes"))
    }

    /// Whether nobody may write the layer files.
    pub(crate) fn are_protected(&self) -> bool {
        self.layer_paths()
            .all(|path| path.metadata().unwrap().permissions().mode() & 0o222 == 0)
    }

    /// Changes the content of a layer file.
    pub(crate) fn edit(&self, level: u8, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.layer(level);
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, bytes).unwrap();
    }

    pub(crate) fn check(&self) -> CheckReport {
        check(&self.path(), false, OPTIONS).unwrap()
    }
}
