//! Looking at a set without changing it: every file, public against secret, the manifest against both, and the keys against
//! each other.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::error::SetError;
use super::manifest::{SetKind, SetManifest, Validator};
use super::names::{Form, Half, MANIFEST, Named, Prefix, Role, SetPaths, WORK};
use super::notes::Record;
use super::report::{Collected, LISTED_MAX, SetReport};
use super::shared::SeenKeys;
use super::survey::Survey;
use crate::failure::attempt;
use crate::files::exists;
use crate::keydir::{KeyDirError, is_bystander};
use crate::memory::Limits;
use crate::plan::{MemoryRequest, stored_interval};
use crate::resources::{ResourceKind, THREAD_STACK_BYTES, register};
use crate::units::EpochRange;
use crate::workers::spawn_scoped;

/// Looks at every file of a set, on so many threads (0: one a core), each with one key in memory at a time, or on fewer where
/// memory leaves no room for all of them. A manifest that cannot be understood is the only finding then: it says what the files
/// have to be.
///
/// # Errors
/// [`SetError`] if there is no such directory, if there is too little memory for one thread, or if the machine fails at
/// something else than the file of one key.
pub fn verify_set(directory: &Path, threads: usize, memory: MemoryRequest) -> Result<SetReport, SetError> {
    let paths = SetPaths::new(directory);
    // Before anything is read.
    let survey = Survey::of(&paths)?;
    let readers = survey.to_verify(threads, memory).plan(&Limits::detect())?;
    if let Some(limit) = &readers.fewer_for {
        tracing::warn!(
            "{} instead of {threads} threads: {} bytes ({}) leave no room for more, each of which has one key in memory",
            readers.threads,
            limit.bytes,
            limit.source
        );
    }
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
    let prefixes = Prefixes::of(&manifest);
    let set = Set {
        stored: stored_of(&manifest.kind, &paths)?,
        with_json: has_json(&prefixes, directory)?,
        prefixes: &prefixes,
        paths: &paths,
        manifest: &manifest,
    };
    set.check_keys_once(&mut report);
    set.check_foreign(&mut report)?;
    set.check_notes(&mut report)?;
    report.add(set.check_all(readers.threads)?);
    if let Some(failure) = survey.unknown {
        report.failed_once(&failure);
    }
    Ok(report)
}

/// Looks at the name of everything in a directory.
pub(super) fn each_entry(directory: &Path, mut look: impl FnMut(String)) -> Result<(), SetError> {
    let listed = match attempt("readdir", directory, || std::fs::read_dir(directory)) {
        Err(failure) if matches!(failure.source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            KeyDirError::refuse_dangling_link(directory)?;
            return Err(SetError::NotADirectory(directory.to_owned()));
        }
        listed => listed?,
    };
    for entry in listed {
        let entry = attempt("readdir", directory, || entry)?;
        look(entry.file_name().to_string_lossy().into_owned());
    }
    Ok(())
}

/// How the names of the files of a set begin, to be looked up.
pub(super) struct Prefixes<'a> {
    in_order: Vec<Prefix>,
    roles: &'a [Role],
}

impl<'a> Prefixes<'a> {
    pub(super) fn of(manifest: &'a SetManifest) -> Self {
        let prefixes = manifest
            .validators
            .iter()
            .map(|validator| manifest.kind.prefix(validator));
        let mut in_order: Vec<_> = prefixes.collect();
        in_order.sort_unstable();
        Self {
            in_order,
            roles: &manifest.kind.roles,
        }
    }

    /// Whether the set has such a key.
    pub(super) fn has_key(&self, prefix: &Prefix, role: Role) -> bool {
        self.roles.contains(&role) && self.has(prefix)
    }

    fn has(&self, prefix: &Prefix) -> bool {
        self.in_order.binary_search(prefix).is_ok()
    }
}

/// Whether the keys of a set have JSON files: if one has, all have.
pub(super) fn has_json(prefixes: &Prefixes<'_>, directory: &Path) -> Result<bool, SetError> {
    let mut has_json = false;
    each_entry(directory, |name| {
        has_json |= match Named::parse(&name) {
            Some(Named::File(prefix, _, _, Form::Json)) => prefixes.has(&prefix),
            _ => false,
        };
    })?;
    Ok(has_json)
}

/// The epochs that each key of the set stores.
fn stored_of(kind: &SetKind, paths: &SetPaths) -> Result<EpochRange, SetError> {
    stored_interval(kind.scheme, 0, 1 << kind.log_epochs)
        .map_err(|error| SetError::Request(format!("'{}': {error}", paths.manifest().display())))
}

/// The first names in their order, as many as are listed, and how many there are beyond.
#[derive(Default)]
struct FirstNames {
    names: BTreeSet<String>,
    more: u64,
}

impl FirstNames {
    fn add(&mut self, name: String) {
        self.names.insert(name);
        if self.names.len() > LISTED_MAX {
            self.names.pop_last();
            self.more += 1;
        }
    }

    /// Adds a fault of each.
    fn report(self, report: &mut SetReport, directory: &Path, what: &str) {
        for name in &self.names {
            report.fault(&directory.join(name), what);
        }
        report.faults.unlisted += self.more;
    }
}

/// A set whose manifest was understood.
pub(super) struct Set<'a> {
    pub(super) paths: &'a SetPaths,
    pub(super) manifest: &'a SetManifest,
    prefixes: &'a Prefixes<'a>,
    pub(super) stored: EpochRange,
    pub(super) with_json: bool,
}

/// What the files of one key have to agree with.
pub(super) struct Key<'a> {
    pub(super) validator: &'a Validator,
    pub(super) role: Role,
    pub(super) public_key: &'a [u8],
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

    pub(super) fn name(&self, key: &Key<'_>, half: Half, form: Form) -> String {
        self.manifest.kind.prefix(key.validator).file(key.role, half, form)
    }

    /// No key may stand in the manifest twice.
    fn check_keys_once(&self, report: &mut SetReport) {
        let mut keys: Vec<_> = self.keys().enumerate().collect();
        keys.sort_by_key(|(place, key)| (key.public_key, *place));
        let same = keys.chunk_by(|(_, one), (_, other)| one.public_key == other.public_key);
        let mut twice: Vec<_> = same.filter(|same| same.len() > 1).collect();
        twice.sort_by_key(|same| same[0].0);
        for same in twice {
            let [first, others @ ..] = same else { continue };
            let first = self.name(&first.1, Half::Public, Form::Ssz);
            for (_, other) in others {
                let name = self.name(other, Half::Public, Form::Ssz);
                let what = format!("'{name}' and '{first}' have the same public key");
                report.fault(&self.paths.manifest(), what);
            }
        }
    }

    /// Whatever is in the directory belongs to a key.
    fn check_foreign(&self, report: &mut SetReport) -> Result<(), SetError> {
        let mut foreign = FirstNames::default();
        each_entry(self.paths.root(), |name| {
            let is_known = match Named::parse(&name) {
                Some(Named::File(prefix, role, _, form)) => {
                    (form == Form::Ssz || self.with_json) && self.prefixes.has_key(&prefix, role)
                }
                Some(Named::Directory(prefix, role)) => self.prefixes.has_key(&prefix, role),
                None => name == MANIFEST || name == WORK || is_bystander(&name),
            };
            if !is_known {
                foreign.add(name);
            }
        })?;
        foreign.report(
            report,
            self.paths.root(),
            "it belongs to no key that the manifest names",
        );
        Ok(())
    }

    /// What keymill notes about a set agrees with it. Nothing else rests on that: where it cannot be read, the files are looked
    /// at all the same.
    fn check_notes(&self, report: &mut SetReport) -> Result<(), SetError> {
        let again = "; the same 'keymill generate' finishes the set";
        let work = self.paths.work();
        if !exists(&work)? {
            return Ok(());
        }
        let mut unfinished = FirstNames::default();
        let looked = each_entry(&work, |name| {
            if matches!(Named::parse(&name), Some(Named::Directory(..))) {
                unfinished.add(name);
            }
        });
        if let Err(error) = looked {
            report.failed_notes(&work, error);
            return Ok(());
        }
        unfinished.report(report, &work, &format!("it is a key that was not finished{again}"));
        match Record::read(&self.paths.request()) {
            Ok(Some(record)) if record.num_validators != report.validators => {
                let (wanted, found) = (record.num_validators, report.validators);
                let what = format!("it names {found} validators, the set was to have {wanted}{again}");
                report.fault(&self.paths.manifest(), what);
            }
            Ok(_) => {}
            Err(error) => report.failed_notes(&self.paths.request(), error),
        }
        Ok(())
    }

    /// Looks at the files of every key, and holds the keys against each other.
    fn check_all(&self, threads: usize) -> Result<SetReport, SetError> {
        let keys: Vec<_> = self.keys().collect();
        let next = AtomicUsize::new(0);
        let found = Mutex::new((Collected::default(), SeenKeys::with_capacity(keys.len())));
        let work = || {
            while let Some((place, key)) = next_of(&keys, &next) {
                let (report, one_time_keys) = self.check_key(key);
                let (collected, seen) = &mut *found.lock().unwrap_or_else(PoisonError::into_inner);
                collected.add(place, report);
                if let Some(one_time_keys) = one_time_keys {
                    seen.add(place, one_time_keys);
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
        let (collected, seen) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut report = SetReport {
            keys_checked: keys.len() as u64,
            keys_not_compared: (keys.len() - seen.count()) as u64,
            ..SetReport::default()
        };
        // What gives a key away comes first.
        self.check_shared(&keys, seen, &mut report);
        report.add(collected.finish());
        Ok(report)
    }

    /// No two keys have one-time keys in common.
    fn check_shared(&self, keys: &[Key<'_>], seen: SeenKeys, report: &mut SetReport) {
        for pair in seen.pairs() {
            let (Some(first), Some(second)) = (keys.get(pair.first), keys.get(pair.second)) else {
                continue;
            };
            let file = |key: &Key<'_>| self.name(key, Half::Secret, Form::Ssz);
            let named = |key: &Key<'_>| self.manifest.kind.key_name(key.validator, key.role);
            let what = format!(
                "{} has {} as {} ('{}'): an epoch that both sign gives these away; never use both, and make other keys",
                named(second),
                pair.shared,
                named(first),
                file(first)
            );
            report.fault(&self.paths.entry(&file(second)), what);
        }
    }
}

fn next_of<'a, T>(items: &'a [T], next: &AtomicUsize) -> Option<(usize, &'a T)> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    Some((place, items.get(place)?))
}
