//! Looking at a set without changing it: every file, public against secret, and the manifest against both.

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::error::SetError;
use super::json_twin::{differs, first_difference, read_failed};
use super::key_files::{holds, public_json};
use super::manifest::{SetKind, SetManifest, Validator};
use super::names::{Form, Half, MANIFEST, Named, Role, SetPaths, WORK, key_files};
use super::notes::Record;
use super::probe::check_secret;
use super::report::{SetFinding, SetReport};
use crate::failure::{IoFailure, attempt};
use crate::files::open_to_read;
use crate::interop::secret_key::{SecretKeyError, SecretKeyFile, SecretKeyForm};
use crate::interop::ssz::PublicKey;
use crate::keydir::{KeyDir, KeyDirError, is_bystander};
use crate::plan::stored_interval;
use crate::resources::{ResourceKind, THREAD_STACK_BYTES, register};
use crate::units::EpochRange;
use crate::workers::spawn_scoped;

/// Looks at every file of a set, on so many threads (0: one a core), each with one key in memory at a time. A manifest that
/// cannot be understood is the only finding then: it says what the files have to be.
///
/// # Errors
/// [`SetError`] if there is no such directory, or if the machine fails at something else than the file of one key.
pub fn verify_set(directory: &Path, threads: usize) -> Result<SetReport, SetError> {
    let paths = SetPaths::new(directory);
    let entries = entries(directory)?;
    let mut report = SetReport::default();
    let manifest = match SetManifest::of_set(&paths) {
        Ok(manifest) => manifest,
        Err(SetError::NoManifest(path)) => {
            report.fault(&path, "it is missing");
            return Ok(report);
        }
        Err(SetError::Manifest { path, source }) => {
            report.fault(&path, source.to_string());
            return Ok(report);
        }
        Err(SetError::Foreign { path, what }) => {
            report.fault(&path, what);
            return Ok(report);
        }
        Err(error) => return Err(error),
    };
    report.validators = manifest.validators.len() as u64;
    let set = Set {
        stored: stored_of(&manifest.kind, &paths)?,
        with_json: has_json(&manifest, &entries),
        entries: &entries,
        paths: &paths,
        manifest: &manifest,
    };
    set.check_keys_once(&mut report);
    set.check_foreign(&mut report);
    set.check_notes(&mut report);
    report.add(set.check_all(threads)?);
    Ok(report)
}

/// The names of everything in a directory.
pub(super) fn entries(directory: &Path) -> Result<HashSet<String>, SetError> {
    let listed = match attempt("readdir", directory, || std::fs::read_dir(directory)) {
        Err(failure) if matches!(failure.source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            KeyDirError::refuse_dangling_link(directory)?;
            return Err(SetError::NotADirectory(directory.to_owned()));
        }
        listed => listed?,
    };
    let mut names = HashSet::new();
    for entry in listed {
        let entry = attempt("readdir", directory, || entry)?;
        names.insert(entry.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

/// Whether the keys of a set have JSON files: if one has, all have.
pub(super) fn has_json(manifest: &SetManifest, entries: &HashSet<String>) -> bool {
    let is_named = |name: &String| match Named::parse(name) {
        Some(Named::File(prefix, _, _, Form::Json)) => Some(prefix),
        _ => None,
    };
    let with_json: HashSet<_> = entries.iter().filter_map(is_named).collect();
    let mut validators = manifest.validators.iter();
    validators.any(|validator| with_json.contains(&manifest.kind.prefix(validator)))
}

/// The epochs that each key of the set stores.
fn stored_of(kind: &SetKind, paths: &SetPaths) -> Result<EpochRange, SetError> {
    stored_interval(kind.scheme, 0, 1 << kind.log_epochs)
        .map_err(|error| SetError::Request(format!("'{}': {error}", paths.manifest().display())))
}

/// A set whose manifest was understood.
struct Set<'a> {
    paths: &'a SetPaths,
    manifest: &'a SetManifest,
    entries: &'a HashSet<String>,
    stored: EpochRange,
    with_json: bool,
}

/// What the files of one key have to agree with.
struct Key<'a> {
    validator: &'a Validator,
    role: Role,
    public_key: &'a [u8],
}

impl<'a> Set<'a> {
    fn keys(&self) -> impl Iterator<Item = Key<'_>> {
        let kind = &self.manifest.kind;
        let of_validator = |validator: &'a Validator| {
            let keys = kind.roles.iter().zip(&validator.public_keys);
            keys.map(move |(&role, public_key)| Key {
                validator,
                role,
                public_key,
            })
        };
        self.manifest.validators.iter().flat_map(of_validator)
    }

    fn name(&self, key: &Key<'_>, half: Half, form: Form) -> String {
        self.manifest.kind.prefix(key.validator).file(key.role, half, form)
    }

    /// No key may stand in the manifest twice.
    fn check_keys_once(&self, report: &mut SetReport) {
        let mut seen: HashMap<&[u8], String> = HashMap::new();
        for key in self.keys() {
            let name = self.name(&key, Half::Public, Form::Ssz);
            if let Some(first) = seen.insert(key.public_key, name.clone()) {
                report.fault(
                    &self.paths.manifest(),
                    format!("'{name}' and '{first}' have the same public key"),
                );
            }
        }
    }

    /// Whatever is in the directory belongs to a key.
    fn check_foreign(&self, report: &mut SetReport) {
        let mut known: HashSet<String> = HashSet::from([MANIFEST.to_owned(), WORK.to_owned()]);
        for key in self.keys() {
            let files = key_files(self.with_json).iter();
            known.extend(files.map(|&(half, form)| self.name(&key, half, form)));
            known.insert(self.manifest.kind.prefix(key.validator).directory(key.role));
        }
        let mut foreign: Vec<_> = self.entries.difference(&known).collect();
        foreign.retain(|name| !is_bystander(name));
        foreign.sort();
        for name in foreign {
            report.fault(&self.paths.entry(name), "it belongs to no key that the manifest names");
        }
    }

    /// What keymill notes about a set agrees with it. Nothing else rests on that: where it cannot be read, the files are looked
    /// at all the same.
    fn check_notes(&self, report: &mut SetReport) {
        if !self.entries.contains(WORK) {
            return;
        }
        let again = "; the same 'keymill generate' finishes the set";
        let work = self.paths.work();
        let mut inside: Vec<_> = match entries(&work) {
            Ok(names) => names.into_iter().collect(),
            Err(error) => return report.failed_notes(&work, error),
        };
        inside.sort();
        for name in inside {
            if matches!(Named::parse(&name), Some(Named::Directory(..))) {
                report.fault(&work.join(name), format!("it is a key that was not finished{again}"));
            }
        }
        match Record::read(&self.paths.request()) {
            Ok(Some(record)) if record.num_validators != report.validators => {
                let (wanted, found) = (record.num_validators, report.validators);
                let what = format!("it names {found} validators, the set was to have {wanted}{again}");
                report.fault(&self.paths.manifest(), what);
            }
            Ok(_) => {}
            Err(error) => report.failed_notes(&self.paths.request(), error),
        }
    }

    /// Looks at the files of every key.
    fn check_all(&self, threads: usize) -> Result<SetReport, SetError> {
        let keys: Vec<_> = self.keys().collect();
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let next = AtomicUsize::new(0);
        let reports: Mutex<Vec<(usize, SetReport)>> = Mutex::new(Vec::new());
        let work = || {
            while let Some((place, key)) = next_of(&keys, &next) {
                let report = self.check_key(key);
                if report != SetReport::default() {
                    reports
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((place, report));
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads.min(keys.len()) {
                let thread = register(ResourceKind::Thread, THREAD_STACK_BYTES);
                let work = &work;
                spawn_scoped(scope, move || {
                    let _thread = thread;
                    work();
                })?;
            }
            work();
            Ok::<(), SetError>(())
        })?;
        let mut reports = reports.into_inner().unwrap_or_else(PoisonError::into_inner);
        reports.sort_by_key(|(place, _)| *place);
        let mut all = SetReport::default();
        for (_, report) in reports {
            all.add(report);
        }
        all.keys_checked = keys.len() as u64;
        Ok(all)
    }

    fn check_key(&self, key: &Key<'_>) -> SetReport {
        let mut report = SetReport::default();
        let present = |form, half| {
            let name = self.name(key, half, form);
            (self.paths.entry(&name), self.entries.contains(&name))
        };
        for &(half, form) in key_files(self.with_json) {
            let (path, is_there) = present(form, half);
            if !is_there {
                report.fault(&path, "it is missing");
            }
        }
        self.check_public_files(key, &mut report);
        let (path, is_there) = present(Form::Ssz, Half::Secret);
        let mut secret = None;
        if is_there {
            match self.read_secret(key, &path, &mut report) {
                Ok(read) => secret = read,
                Err(failure) => report.failed(&failure),
            }
        }
        let (path, is_there) = present(Form::Json, Half::Secret);
        if self.with_json && is_there {
            let compared = check_mode(&path, &mut report).and_then(|()| match &secret {
                Some(secret) => first_difference(secret, &path),
                None => Ok(None),
            });
            match compared {
                Ok(None) => {}
                Ok(Some(at)) => report.fault(&path, differs(at)),
                Err(failure) => report.failed(&failure),
            }
        }
        self.check_kept_directory(key, &mut report);
        report
    }

    fn check_public_files(&self, key: &Key<'_>, report: &mut SetReport) {
        let public_key = match PublicKey::from_ssz(self.manifest.kind.scheme, key.public_key) {
            Ok(public_key) => public_key,
            Err(error) => {
                report.fault(&self.paths.manifest(), format!("the {} public key: {error}", key.role));
                return;
            }
        };
        for &(half, form) in key_files(self.with_json) {
            let name = self.name(key, half, form);
            if half != Half::Public || !self.entries.contains(&name) {
                continue;
            }
            let expected = match form {
                Form::Ssz => key.public_key.to_vec(),
                Form::Json => public_json(&public_key),
            };
            let path = self.paths.entry(&name);
            match open_to_read(&path).and_then(|file| holds(file, &expected, &path)) {
                Ok(true) => {}
                Ok(false) => report.fault(&path, "it does not hold the public key that the manifest has"),
                Err(failure) => report.failed(&failure),
            }
        }
    }

    /// Reads a secret key and checks it by itself and against the manifest.
    fn read_secret(
        &self,
        key: &Key<'_>,
        path: &Path,
        report: &mut SetReport,
    ) -> Result<Option<SecretKeyFile>, IoFailure> {
        check_mode(path, report)?;
        let mut file = open_to_read(path)?;
        let secret = match SecretKeyFile::read(&mut file, Some(SecretKeyForm::LeansigSsz), None) {
            Ok(secret) => secret,
            Err(SecretKeyError::Read(source)) => return Err(read_failed(path, source)),
            Err(error) => {
                report.fault(path, error.to_string());
                return Ok(None);
            }
        };
        if let Err(what) = check_secret(&secret, self.manifest.kind.scheme, self.stored, key.public_key) {
            report.fault(path, what);
        }
        Ok(Some(secret))
    }

    /// A key directory beside the files is of the same key.
    fn check_kept_directory(&self, key: &Key<'_>, report: &mut SetReport) {
        let name = self.manifest.kind.prefix(key.validator).directory(key.role);
        if !self.entries.contains(&name) {
            return;
        }
        let path = self.paths.entry(&name);
        match KeyDir::open_sealed(&path) {
            Err(error) => report.fault(&path, error.to_string()),
            Ok(kept) if kept.manifest().public_key().as_deref() != Some(key.public_key) => {
                report.fault(&path, "it is the directory of another key");
            }
            Ok(_) => {}
        }
    }
}

fn next_of<'a, T>(items: &'a [T], next: &AtomicUsize) -> Option<(usize, &'a T)> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    Some((place, items.get(place)?))
}

/// A secret that others can read is known to nobody knows whom.
fn check_mode(path: &Path, report: &mut SetReport) -> Result<(), IoFailure> {
    let mode = attempt("stat", path, || std::fs::metadata(path))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        report.warnings.push(SetFinding {
            path: path.to_owned(),
            what: format!("it can be read by others (its mode is {mode:o}); 'chmod 600' it"),
        });
    }
    Ok(())
}
