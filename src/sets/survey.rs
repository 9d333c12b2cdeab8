//! What stands in the directory of a set, by names alone: listed once, before anything of it is read or decided.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::key_files::{most_reading_bytes, reading_bytes};
use super::manifest::SetKind;
use super::names::{Form, Half, KeyFiles, KeyName, MANIFEST, Named, SetPaths, WORK};
use super::report::{LISTED_MAX, SetReport};
use crate::error::{Error, Result};
use crate::failure::{IoFailure, attempt};
use crate::files::{Directory, exists};
use crate::keydir::{MANIFEST as KEY_MANIFEST, is_bystander, is_there};
use crate::ledger::{SET_LEDGER as LEDGER, SetLedger};
use crate::plan::{MemoryRequest, Reading};
use crate::remedy::Remedy;

/// What a manifest says of a key, and what else is kept of each while a set is verified, takes at most so many times its text.
const VERIFIED_TO_TEXT: u64 = 2;
/// The same while sets are merged.
const MERGED_TO_TEXT: u64 = 5;
/// Findings that are listed, and their text.
const FINDINGS_BYTES: u64 = 2 << 20;
/// What a thread takes to hash, sign and verify with a key beside the key itself: tables of the scheme, and pieces of files.
const KEY_WORK_BYTES: u64 = 1 << 20;
/// What is kept of the names of a key.
const NAMED_KEY_BYTES: u64 = 64;

/// What there is of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OnDisk {
    pub(super) files: KeyFiles,
    /// Something has the name of its directory.
    pub(super) has_directory: bool,
}

/// The names in a set directory, and what they stand for.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) paths: SetPaths,
    pub(super) keys: BTreeMap<KeyName, OnDisk>,
    pub(super) has_manifest: bool,
    /// A directory that has the name of a file.
    pub(super) misplaced: Option<PathBuf>,
    /// What does not belong to any set.
    pub(super) foreign: FirstNames,
}

impl Survey {
    pub(super) fn of(directory: &Path) -> Result<Self> {
        let survey = Self::if_there(directory)?;
        survey.ok_or_else(|| {
            let what = format!("there is no key set at '{}'", directory.display());
            Error::directory(what).at(directory)
        })
    }

    /// What is missing with the manifest, or what it is that has none.
    pub(super) fn without_manifest(&self) -> Result<&'static str> {
        Ok(if exists(&self.paths.root().join(KEY_MANIFEST))? {
            "is missing: this is the directory of one key, and not of a set"
        } else if self.keys.is_empty() && !exists(&self.paths.work())? {
            "is missing, and so is every file of a key: this is not the directory of a set"
        } else if SetLedger::is_in(self.paths.root())? {
            "is missing: the keys of this set sign by its ledger, and may have no files of their secrets that it could name"
        } else {
            "is missing; it is written when all keys of the set are finished"
        })
    }

    /// None if there is no such directory.
    pub(super) fn if_there(directory: &Path) -> Result<Option<Self>> {
        if !is_there(directory)? {
            return Ok(None);
        }
        let mut survey = Self::empty(directory);
        Directory::open(directory)?.each_entry(|name, is_directory| survey.note(name, is_directory))?;
        Ok(Some(survey))
    }

    pub(super) fn empty(directory: &Path) -> Self {
        Self {
            paths: SetPaths::new(directory),
            keys: BTreeMap::new(),
            has_manifest: false,
            misplaced: None,
            foreign: FirstNames::default(),
        }
    }

    /// Takes note of a name in the directory.
    pub(super) fn note(&mut self, name: String, is_directory: bool) {
        match Named::parse(&name) {
            Some(Named::Directory(key)) => self.keys.entry(key).or_default().has_directory = true,
            Some(Named::File(key, file)) => self.keys.entry(key).or_default().files.add(file),
            None if name == MANIFEST => self.has_manifest = true,
            None if [WORK, LEDGER].contains(&&*name) || is_bystander(&name) => return,
            None => return self.foreign.add(name),
        }
        let has_name_of_file = !matches!(Named::parse(&name), Some(Named::Directory(_)));
        if is_directory && has_name_of_file {
            self.misplaced.get_or_insert(self.paths.root().join(name));
        }
    }

    pub(super) fn key(&self, name: KeyName) -> OnDisk {
        self.keys.get(&name).copied().unwrap_or_default()
    }

    /// Whether the keys of these names have JSON files: if one has, all have. There are none of leanVM's keys.
    pub(super) fn has_json(&self, kind: &SetKind, names: &BTreeSet<KeyName>) -> bool {
        let json = |key: OnDisk| key.files.iter().any(|(_, form)| form == Form::Json);
        !kind.is_of_leanvm() && names.iter().any(|&name| json(self.key(name)))
    }

    /// All names of the files and the directory of a key that there are.
    pub(super) fn names_of(&self, name: KeyName) -> impl Iterator<Item = String> {
        let key = self.key(name);
        let files = key.files.iter().map(move |file| name.file(file));
        files.chain(key.has_directory.then(|| name.to_string()))
    }
}

/// What looking at sets takes of memory, as the sizes of their files tell before any of them is read.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    manifest_bytes: u64,
    names_bytes: u64,
    /// The most that a secret key file takes to read.
    secret_bytes_max: u64,
    /// The first secret key file whose size could not be had.
    pub(super) unknown: Option<IoFailure>,
}

impl Sizes {
    /// Of sets that are looked at one after the other.
    pub(super) fn of(surveys: &[Survey]) -> Result<Self, IoFailure> {
        let mut sizes = Self::default();
        for survey in surveys {
            let manifest = survey.paths.manifest();
            if survey.has_manifest {
                sizes.manifest_bytes += attempt("stat", &manifest, || std::fs::metadata(&manifest))
                    .map(|file| file.len())
                    .or_else(|failure| if failure.is_missing() { Ok(0) } else { Err(failure) })?;
            }
            sizes.names_bytes += survey.keys.len() as u64 * NAMED_KEY_BYTES;
            for (&name, key) in &survey.keys {
                for (_, form) in key.files.iter().filter(|(half, _)| *half == Half::Secret) {
                    let path = survey.paths.file(name, (Half::Secret, form));
                    // Only the manifest says in which of its forms it is.
                    let forms = form.of_secrets();
                    let bytes = reading_bytes(&path, forms).unwrap_or_else(|failure| {
                        sizes.unknown.get_or_insert(failure);
                        // Nothing is known of it, so it may be the largest.
                        most_reading_bytes(forms, u64::MAX)
                    });
                    sizes.secret_bytes_max = sizes.secret_bytes_max.max(bytes);
                }
            }
        }
        Ok(sizes)
    }

    /// To verify a set, each thread holds a key.
    pub(super) fn to_verify(&self, threads: usize, memory: MemoryRequest) -> Reading {
        Reading {
            held_bytes: self.held_bytes(VERIFIED_TO_TEXT) + FINDINGS_BYTES,
            thread_bytes: self.secret_bytes_max + KEY_WORK_BYTES,
            threads,
            memory,
        }
    }

    /// To merge sets, one key is held at a time.
    pub(super) fn to_merge(&self, memory: MemoryRequest) -> Reading {
        Reading {
            held_bytes: self.held_bytes(MERGED_TO_TEXT),
            thread_bytes: self.secret_bytes_max + KEY_WORK_BYTES,
            threads: 1,
            memory,
        }
    }

    fn held_bytes(&self, to_text: u64) -> u64 {
        let of_manifest = self.manifest_bytes.saturating_mul(to_text);
        of_manifest.saturating_add(self.names_bytes)
    }
}

/// The first names in their order, as many as are listed, and how many there are beyond.
#[derive(Clone, Debug, Default)]
pub(super) struct FirstNames {
    names: BTreeSet<String>,
    more: u64,
}

impl FirstNames {
    pub(super) fn add(&mut self, name: String) {
        self.names.insert(name);
        if self.names.len() > LISTED_MAX {
            self.names.pop_last();
            self.more += 1;
        }
    }

    /// Adds a fault of each.
    pub(super) fn report(self, report: &mut SetReport, directory: &Path, what: &str, remedies: &[Remedy]) {
        for name in &self.names {
            report.curable(&directory.join(name), what, remedies);
        }
        report.faults.unlisted += self.more;
    }
}

/// The keys of which there are directories in `.keymill-set`.
pub(super) fn unfinished(paths: &SetPaths) -> Result<Vec<KeyName>, IoFailure> {
    let mut found = Vec::new();
    Directory::open(&paths.work())?.each_entry(|name, _| {
        if let Some(Named::Directory(key)) = Named::parse(&name) {
            found.push(key);
        }
    })?;
    Ok(found)
}
