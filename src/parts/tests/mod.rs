//! Keys that are made in parts, against the keys that one machine makes.

mod adopted;
mod adopted_damage;
mod adopted_power_cut;
mod bad_parts;
mod cost;
mod divided;
mod interrupted;
mod simulated;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{
    Division, JoinReport, JoinRequest, Joining, PartFiles, PartIndex, PartJob, PartReport, PartRequest, split,
};
use crate::error::Result;
use crate::keydir::{Secret, TICKET};
use crate::keygen::tests::in_memory;
use crate::keygen::{CancelHandle, JobOptions, KeyRequest, KeygenBuilder, KeygenJob, NoProgress};
use crate::plan::MemoryRequest;
use crate::units::Level;
use keymill_xmss::scheme::Scheme;

const OPTIONS: JobOptions = JobOptions::DEFAULT.threads(2).memory(MemoryRequest::NoLimit);
const SEED: [u8; 32] = [6; 32];

/// A key that is made here.
#[derive(Clone, Copy, Debug)]
pub(super) struct TestedKey {
    scheme: &'static str,
    first: u64,
    epochs: u64,
    trim: u8,
}

/// Across the middle of the lifetime, in 21 batches of which the first and the last are not whole, with fillers from level 0 on.
pub(super) const LEANVM: TestedKey = TestedKey {
    scheme: "leanvm-blake2s-l32-ts-v42-w8",
    first: (1 << 31) - 9501,
    epochs: 20_000,
    trim: 0,
};

pub(super) const LEANVM_TRIMMED: TestedKey = TestedKey { trim: 4, ..LEANVM };

/// Four whole batches.
pub(super) const POSEIDON: TestedKey = TestedKey {
    scheme: "leansig-p2-l18-top-v64-w8",
    first: 5000,
    epochs: 3000,
    trim: 0,
};

impl TestedKey {
    pub(super) fn request(&self) -> KeyRequest {
        KeyRequest::new(Scheme::by_id(self.scheme).unwrap())
            .activation_epoch(self.first)
            .epochs(self.epochs)
            .secret(Secret::Seed(SEED))
            .trim(Level(self.trim))
    }

    pub(super) fn asked(&self, directory: &Path) -> KeygenBuilder {
        KeygenJob::builder(directory).request(self.request()).options(OPTIONS)
    }

    /// The files of the key as one machine makes it.
    pub(super) fn whole(&self) -> BTreeMap<String, Vec<u8>> {
        let directory = in_memory();
        let key = directory.path().join("key");
        self.asked(&key).open().unwrap().run(&NoProgress).unwrap();
        files_of(&key)
    }
}

/// The layer files, the adopted parts and the manifest of a key.
pub(super) fn files_of(key: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = |directory: &Path| {
        let entries = std::fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    let (directories, layers): (Vec<_>, Vec<_>) =
        entries(&key.join("layers")).into_iter().partition(|path| path.is_dir());
    let parts = directories.iter().flat_map(|directory| entries(directory));
    let all = layers.into_iter().chain(parts).chain([key.join("manifest.toml")]);
    all.map(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read(&path).unwrap())
    })
    .collect()
}

/// A key that was split, and where its parts are made.
pub(super) struct Place {
    _directory: TempDir,
    pub(super) root: PathBuf,
    pub(super) key: PathBuf,
    pub(super) out: PathBuf,
}

impl Place {
    pub(super) fn new(key: TestedKey, division: Division) -> Self {
        let directory = in_memory();
        let root = directory.path().to_owned();
        let place = Self {
            key: root.join("key"),
            out: root.join("out"),
            root,
            _directory: directory,
        };
        split(&key.asked(&place.key), Some(division)).unwrap();
        place
    }

    pub(super) fn part_request(&self, index: u64) -> PartRequest {
        let (ticket, secret) = (self.key.join(TICKET), self.key.join("secret"));
        PartRequest::new(ticket, PartIndex(index), secret).through(self.root.join("work"), &self.out)
    }

    pub(super) fn part(&self, index: u64) -> Result<PartReport> {
        PartJob::open(self.part_request(index), OPTIONS, CancelHandle::default())?.run(&NoProgress)
    }

    pub(super) fn join(&self) -> Result<JoinReport> {
        self.join_sampling(None)
    }

    /// A join that adopts the parts.
    pub(super) fn adopt(&self) -> Result<JoinReport> {
        self.join_keeping(Some(PartFiles::Adopted))
    }

    pub(super) fn join_keeping(&self, files: Option<PartFiles>) -> Result<JoinReport> {
        let request = JoinRequest {
            files,
            ..JoinRequest::new(&self.key, &self.out)
        };
        Joining::open(request, OPTIONS, CancelHandle::default())?.run(&NoProgress)
    }

    pub(super) fn join_sampling(&self, sample: Option<u64>) -> Result<JoinReport> {
        let request = JoinRequest {
            sample,
            ..JoinRequest::new(&self.key, &self.out)
        };
        Joining::open(request, OPTIONS, CancelHandle::default())?.run(&NoProgress)
    }

    /// The files of the parts that are published.
    pub(super) fn published(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(&self.out).unwrap();
        let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }
}
