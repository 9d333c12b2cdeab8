//! Keys that the tests of this module damage.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{CheckReport, check};
use crate::keydir::Secret;
use crate::keygen::{CancelHandle, JobOptions, KeyDefaults, KeyRequest, KeygenError, KeygenJob, NoProgress};
use crate::scheme::Scheme;

/// 256 epochs in one batch: made in a moment.
pub(super) const TINY: &str = "leansig-p1-l8-abort-v4-w8";
/// 1,024 epochs in each batch.
pub(super) const LONG: &str = "leansig-p2-l18-top-v64-w8";

pub(super) const OPTIONS: JobOptions = JobOptions {
    threads: 2,
    group_batches: 2,
    memory_bytes: 0,
};

/// A sealed key in a directory of its own.
pub(super) struct TestKey {
    parent: TempDir,
}

/// The job of a key from a fixed seed.
pub(super) fn job(directory: &Path, scheme: &str, epochs: u64, seed: u8) -> Result<KeygenJob, KeygenError> {
    open_job(directory, scheme, epochs, seed, CancelHandle::default())
}

pub(super) fn open_job(
    directory: &Path,
    scheme: &str,
    epochs: u64,
    seed: u8,
    cancel: CancelHandle,
) -> Result<KeygenJob, KeygenError> {
    let scheme = Scheme::by_id(scheme).unwrap();
    let request = KeyRequest {
        secret: Some(Secret::Seed([seed; 32])),
        ..KeyRequest::default()
    };
    let defaults = KeyDefaults { scheme, epochs };
    KeygenJob::open(directory, &request, &defaults, OPTIONS, cancel)
}

impl TestKey {
    /// A place for a key.
    pub(super) fn empty() -> Self {
        let parent = tempfile::tempdir().unwrap();
        Self { parent }
    }

    pub(super) fn new(scheme: &str, epochs: u64, seed: u8) -> Self {
        let key = Self::empty();
        job(&key.path(), scheme, epochs, seed)
            .unwrap()
            .run(&NoProgress)
            .unwrap();
        key
    }

    pub(super) fn copy(&self) -> Self {
        let copy = Self::empty();
        copy_directory(&self.path(), &copy.path());
        copy
    }

    pub(super) fn path(&self) -> PathBuf {
        self.parent.path().join("key")
    }

    pub(super) fn layer(&self, level: u8) -> PathBuf {
        self.path().join(format!("layers/{level:02}.nodes"))
    }

    /// The layer files by name.
    pub(super) fn layers(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.path().join("layers")).unwrap();
        let read = |path: PathBuf| {
            (
                path.file_name().unwrap().to_string_lossy().into(),
                fs::read(&path).unwrap(),
            )
        };
        entries.map(|entry| read(entry.unwrap().path())).collect()
    }

    /// Whether nobody may write the layer files.
    pub(super) fn are_protected(&self) -> bool {
        let mut entries = fs::read_dir(self.path().join("layers")).unwrap();
        entries.all(|entry| entry.unwrap().metadata().unwrap().permissions().mode() & 0o222 == 0)
    }

    /// Changes the content of a layer file.
    pub(super) fn edit(&self, level: u8, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.layer(level);
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, bytes).unwrap();
    }

    pub(super) fn check(&self) -> CheckReport {
        check(&self.path(), false).unwrap()
    }
}

pub(super) fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy_directory(&path, &target),
            false => drop(fs::copy(&path, &target).unwrap()),
        }
    }
}
