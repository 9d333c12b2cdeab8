//! What is noted about a set beside its files: what was asked for, and which keys are finished.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::fs::OFlags;

use super::derive::commitment;
use super::error::SetError;
use super::json_twin::read_failed;
use super::key_files::open_own;
use super::manifest::{ManifestError, SetKind, SetManifest, Validator};
use super::names::{Role, SetPaths};
use super::notes::{self, FinishedKeys, RECORD_VERSION, Record, finished_line};
use super::request::SetRequest;
use crate::failure::{attempt, write_whole};
use crate::files::publish::{Mode, replace};
use crate::files::{Entry, open_regular, sync_directory, sync_file};
use crate::keydir::KeyDirError;
use keymill_xmss::scheme::Scheme;

const MODE: u32 = 0o600;
/// Far more than it has.
const REQUEST_BYTES_MAX: u64 = 1 << 16;

impl Record {
    pub(super) fn of(request: &SetRequest) -> Self {
        Self {
            version: RECORD_VERSION,
            scheme: request.scheme.id().to_owned(),
            log_num_active_epochs: request.log_epochs,
            start_index: request.start_index,
            num_validators: request.validators,
            roles: request.roles.iter().map(|role| role.name().to_owned()).collect(),
            distributed: request.is_distributed,
            json: request.with_json,
            keep_dirs: request.keeps_directories,
            trim: request.trim.0,
            seed_commitment: request.seed.as_ref().map(|seed| hex::encode(commitment(seed))),
        }
    }

    /// Reads the record; none if there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, SetError> {
        let file = match open_own(path) {
            Err(SetError::Io(failure)) if failure.is_missing() => return Ok(None),
            file => file?,
        };
        let mut bytes = Vec::new();
        attempt("read", path, || file.take(REQUEST_BYTES_MAX).read_to_end(&mut bytes))?;
        Self::parse(&bytes).map(Some).map_err(|what| damaged(path, what))
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), SetError> {
        let text = self.to_text().map_err(|what| damaged(path, what))?;
        Ok(replace(&Entry::of(path)?, text.as_bytes(), Mode::Umasked(MODE))?)
    }

    /// Refuses a request for another set than this one. More validators are no other set.
    pub(super) fn agrees_with(&self, request: &SetRequest, path: &Path) -> Result<(), SetError> {
        let asked = Self::of(request);
        let seed = |record: &Self| match &record.seed_commitment {
            None => "fresh seeds".to_owned(),
            Some(commitment) => format!("a seed with the commitment {commitment}"),
        };
        let compared = [
            ("--scheme", asked.scheme.clone(), self.scheme.clone()),
            (
                "--log-num-active-epochs",
                asked.log_num_active_epochs.to_string(),
                self.log_num_active_epochs.to_string(),
            ),
            (
                "--start-index",
                asked.start_index.to_string(),
                self.start_index.to_string(),
            ),
            ("--roles", asked.roles.join(","), self.roles.join(",")),
            (
                "--distributed",
                asked.distributed.to_string(),
                self.distributed.to_string(),
            ),
            ("--export-format", format_name(asked.json), format_name(self.json)),
            ("--keep-dirs", asked.keep_dirs.to_string(), self.keep_dirs.to_string()),
            ("--trim", asked.trim.to_string(), self.trim.to_string()),
            ("--seed-file", seed(&asked), seed(self)),
        ];
        if let Some((flag, asked, found)) = compared.into_iter().find(|(_, asked, found)| asked != found) {
            return Err(contradiction(flag, asked, found, path));
        }
        let (asked, found) = (asked.num_validators, self.num_validators);
        if asked < found {
            return Err(contradiction(
                "--num-validators",
                asked.to_string(),
                found.to_string(),
                path,
            ));
        }
        Ok(())
    }
}

fn format_name(with_json: bool) -> String {
    if with_json { "both" } else { "ssz" }.to_owned()
}

fn contradiction(flag: &'static str, asked: String, found: String, path: &Path) -> SetError {
    SetError::Contradiction {
        flag,
        asked,
        found,
        path: path.to_owned(),
    }
}

fn damaged(path: &Path, what: String) -> SetError {
    SetError::Record {
        path: path.to_owned(),
        what,
    }
}

/// The list of finished keys: a line for each, added when all of its files are on disk.
pub(super) struct Finished {
    list: Mutex<List>,
    file: File,
}

struct List {
    keys: FinishedKeys,
    /// A line could not be added. Part of it may be there: whatever came behind it would belong to it, and only what stands at
    /// the end is cut off. Nor is a sync repeated that failed (docs/DURABILITY.md).
    has_failed: bool,
}

impl Finished {
    /// Reads the list without changing anything. A line without its end was being written when a process died.
    pub(super) fn read(paths: &SetPaths, scheme: &Scheme) -> Result<FinishedKeys, SetError> {
        let path = paths.finished();
        let file = match open_own(&path) {
            Err(SetError::Io(failure)) if failure.is_missing() => return Ok(FinishedKeys::new()),
            file => file?,
        };
        let mut bytes = Vec::new();
        attempt("read", &path, || (&file).read_to_end(&mut bytes))?;
        notes::parse_finished(&bytes, scheme).map_err(|what| damaged(&path, what))
    }

    /// Opens the list to add to it. Needs the lock.
    pub(super) fn open(paths: &SetPaths, scheme: &Scheme) -> Result<Self, SetError> {
        let keys = Self::read(paths, scheme)?;
        let path = paths.finished();
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW;
        let file = open_regular(&path, flags, MODE)?;
        let whole_bytes: usize = keys
            .iter()
            .map(|(key, public_key)| finished_line(*key, public_key).len())
            .sum();
        let found_bytes = attempt("stat", &path, || file.metadata())?.len();
        if found_bytes != whole_bytes as u64 {
            attempt("ftruncate", &path, || file.set_len(whole_bytes as u64))?;
        }
        sync_file(&file, &path)?;
        sync_directory(&paths.work())?;
        let has_failed = false;
        let list = Mutex::new(List { keys, has_failed });
        Ok(Self { list, file })
    }

    /// Adds a key whose files are durable. After one that failed there are no more: it ends the run.
    pub(super) fn add(&self, paths: &SetPaths, index: u64, role: Role, public_key: &[u8]) -> Result<(), SetError> {
        let path = paths.finished();
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        if list.has_failed {
            return Err(SetError::Interrupted);
        }
        let line = finished_line((index, role), public_key);
        let added = write_whole(&self.file, line.as_bytes(), &path).and_then(|()| sync_file(&self.file, &path));
        list.has_failed = added.is_err();
        added?;
        list.keys.insert((index, role), public_key.to_vec());
        Ok(())
    }

    pub(super) fn public_key(&self, index: u64, role: Role) -> Option<Vec<u8>> {
        self.with(|keys| keys.get(&(index, role)).cloned())
    }

    /// What is so of the finished keys, at this moment.
    fn with<T>(&self, what: impl FnOnce(&FinishedKeys) -> T) -> T {
        what(&self.list.lock().unwrap_or_else(PoisonError::into_inner).keys)
    }

    /// The manifest of the validators that are finished.
    pub(super) fn manifest(&self, request: &SetRequest) -> SetManifest {
        self.with(|keys| manifest_of(keys, request))
    }
}

impl SetManifest {
    /// Reads the manifest of a set.
    pub(super) fn of_set(paths: &SetPaths) -> Result<Self, SetError> {
        let path = paths.manifest();
        let file = match open_own(&path) {
            Err(SetError::Io(failure)) if failure.is_missing() => {
                KeyDirError::refuse_dangling_link(paths.root())?;
                return Err(SetError::NoManifest(path));
            }
            file => file?,
        };
        Self::read(BufReader::new(file)).map_err(|source| match source {
            ManifestError::Io(source) => read_failed(&path, source).into(),
            source => SetError::Manifest { path, source },
        })
    }
}

/// The manifest of those validators of a request that have all of their keys.
pub(super) fn manifest_of(keys: &FinishedKeys, request: &SetRequest) -> SetManifest {
    let kind = SetKind {
        scheme: request.scheme,
        log_epochs: request.log_epochs,
        roles: request.roles.clone(),
        is_distributed: request.is_distributed,
    };
    let validator = |index| {
        let public_keys = kind.roles.iter().map(|&role| keys.get(&(index, role)).cloned());
        Some(Validator {
            index: (!kind.is_distributed).then_some(index),
            public_keys: public_keys.collect::<Option<_>>()?,
        })
    };
    let validators = request.indices().filter_map(validator).collect();
    SetManifest { kind, validators }
}
