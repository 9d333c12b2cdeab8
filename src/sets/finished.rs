//! The list of finished keys: a line for each, added when all of its files are on disk.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::sync::{Mutex, PoisonError};

use rustix::fs::OFlags;

use super::key_files::Fault;
use super::manifest::{SetManifest, Validator};
use super::names::{Role, SetPaths, parse_index};
use super::request::SetRequest;
use crate::error::{Error, Result};
use crate::failure::{attempt, write_whole};
use crate::files::{open_regular, open_to_read, sync_directory, sync_file};
use keymill_xmss::scheme::Scheme;

const MODE: u32 = 0o600;

/// A key of a set: the index of its validator, and its role.
pub(crate) type Key = (u64, Role);

/// The public keys of the finished keys.
pub(crate) type FinishedKeys = BTreeMap<Key, Vec<u8>>;

/// The line of a finished key.
pub(crate) fn finished_line((index, role): Key, public_key: &[u8]) -> String {
    format!("{index} {role} {}\n", hex::encode(public_key))
}

/// The lines that have an end; of the last one, the process that wrote it may have died.
pub(crate) fn parse_finished(bytes: &[u8], scheme: &Scheme) -> Result<FinishedKeys, String> {
    let mut keys = FinishedKeys::new();
    for (number, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let Some(line) = line.strip_suffix(b"\n") else { break };
        let parsed = std::str::from_utf8(line).ok().and_then(|line| parse_line(line, scheme));
        let (key, public_key) = parsed.ok_or_else(|| format!("line {} is not that of a finished key", number + 1))?;
        if keys.insert(key, public_key).is_some() {
            return Err(format!("line {} is of a key that another line is of", number + 1));
        }
    }
    Ok(keys)
}

fn parse_line(line: &str, scheme: &Scheme) -> Option<(Key, Vec<u8>)> {
    let mut words = line.split(' ');
    let (index, role, digits) = (words.next()?, words.next()?, words.next()?);
    let public_key = hex::decode(digits).ok()?;
    let is_whole = words.next().is_none() && public_key.len() == scheme.public_key_bytes();
    is_whole.then_some(((parse_index(index)?, Role::by_name(role)?), public_key))
}

/// Reads the list without changing anything.
pub(super) fn read_finished(paths: &SetPaths, scheme: &Scheme) -> Result<FinishedKeys, Fault> {
    let path = paths.finished();
    let mut file = match open_to_read(&path) {
        Err(failure) if failure.is_missing() => return Ok(FinishedKeys::new()),
        file => file?,
    };
    let mut bytes = Vec::new();
    attempt("read", &path, || file.read_to_end(&mut bytes))?;
    parse_finished(&bytes, scheme).map_err(|what| Fault::damaged(&path, &what))
}

/// The list, to be added to.
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
    /// Opens the list, of which this was [read](read_finished), to add to it. Needs the lock.
    pub(super) fn open(paths: &SetPaths, keys: FinishedKeys) -> Result<Self> {
        let path = paths.finished();
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW;
        let file = open_regular(&path, flags, MODE).map_err(Fault::from)?;
        let lines = keys.iter().map(|(key, public_key)| finished_line(*key, public_key));
        let whole_bytes = lines.map(|line| line.len() as u64).sum();
        let found_bytes = attempt("stat", &path, || file.metadata())?.len();
        if found_bytes != whole_bytes {
            attempt("ftruncate", &path, || file.set_len(whole_bytes))?;
        }
        sync_file(&file, &path)?;
        sync_directory(&paths.work())?;
        let has_failed = false;
        let list = Mutex::new(List { keys, has_failed });
        Ok(Self { list, file })
    }

    /// Adds a key whose files are durable. After one that failed there are no more: it ends the run.
    pub(super) fn add(&self, paths: &SetPaths, key: Key, public_key: &[u8]) -> Result<()> {
        let path = paths.finished();
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        if list.has_failed {
            return Err(interrupted());
        }
        let line = finished_line(key, public_key);
        let added = write_whole(&self.file, line.as_bytes(), &path).and_then(|()| sync_file(&self.file, &path));
        list.has_failed = added.is_err();
        added?;
        list.keys.insert(key, public_key.to_vec());
        Ok(())
    }

    pub(super) fn public_key(&self, key: Key) -> Option<Vec<u8>> {
        self.with(|keys| keys.get(&key).cloned())
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.with(|keys| keys.len() as u64)
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

/// The run was asked to stop, or another key failed.
pub(super) fn interrupted() -> Error {
    Error::interrupted("keys are left to be made: interrupted")
}

/// The manifest of those validators of a request that have all of their keys.
pub(super) fn manifest_of(keys: &FinishedKeys, request: &SetRequest) -> SetManifest {
    let kind = request.kind();
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
