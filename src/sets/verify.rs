//! Looking at a set without changing it: every file, public against secret, the manifest against both, and the keys against
//! each other.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::key_files::{Fault, read_manifest};
use super::manifest::{NamedKey, SetManifest};
use super::names::{KeyName, PUBLIC_SSZ, SECRET_SSZ};
use super::record::Record;
use super::report::{Collected, SetReport};
use super::shared::SeenKeys;
use super::survey::{FirstNames, Sizes, Survey, unfinished};
use super::variants::{Expected, SeenSchemes};
use crate::error::{Error, Result};
use crate::files::{exists, is_directory};
use crate::memory::Limits;
use crate::plan::MemoryRequest;
use crate::remedy::Remedy;
use crate::text::counted;
use crate::units::EpochRange;
use crate::workers::side_by_side;
use keymill_xmss::scheme::Scheme;

/// Looks at every file of a set, on so many threads (0: one per core), each with one key in memory at a time, or on fewer where
/// memory leaves no room for all of them. A manifest that cannot be understood is the only finding then: it says what the files
/// have to be. `scheme` is what the keys have to be of, beside what the manifest says.
///
/// # Errors
/// [`Error`] if there is no such directory, if there is too little memory for one thread, or if the machine fails at
/// something else than the file of one key.
pub fn verify_set(
    directory: &Path,
    scheme: Option<&'static Scheme>,
    threads: usize,
    memory: MemoryRequest,
) -> Result<SetReport> {
    let surveys = [Survey::of(directory)?];
    // Before anything is read.
    let sizes = Sizes::of(&surveys)?;
    let [survey] = surveys;
    let readers = sizes.to_verify(threads, memory).plan(&Limits::detect())?;
    if let Some(limit) = &readers.fewer_for {
        tracing::warn!(
            "{} instead of {threads} threads: {} bytes ({}) leave no room for more, each of which has one key in memory",
            readers.threads,
            limit.bytes,
            limit.source
        );
    }
    let mut report = SetReport::default();
    let manifest = match read_manifest(&survey.paths) {
        Ok(Some(manifest)) => manifest,
        Ok(None) => {
            report.fault(&survey.paths.manifest(), format!("it {}", survey.without_manifest()?));
            return Ok(report);
        }
        Err(Fault::Wrong { path, what }) => {
            report.fault(&path, what);
            return Ok(report);
        }
        Err(Fault::Io(failure)) => return Err(failure.into()),
    };
    report.validators = manifest.validators.len() as u64;
    report.claimed_scheme = manifest.kind.claimed_scheme();
    report.leanvm_rev = manifest.kind.leanvm_rev;
    let names = manifest.keys().map(|key| key.name).collect();
    let set = Set {
        stored: manifest.kind.stored()?,
        with_json: survey.has_json(&manifest.kind, &names),
        names,
        manifest: &manifest,
        survey: &survey,
    };
    set.check_keys_once(&mut report);
    set.check_foreign(&mut report);
    set.check_notes(&mut report)?;
    report.add(set.check_all(readers.threads, scheme)?);
    if let Some(failure) = sizes.unknown {
        report.failed_once(failure);
    }
    Ok(report)
}

/// A set whose manifest was understood.
pub(super) struct Set<'a> {
    pub(super) survey: &'a Survey,
    pub(super) manifest: &'a SetManifest,
    names: BTreeSet<KeyName>,
    pub(super) stored: EpochRange,
    pub(super) with_json: bool,
}

/// What is found while keys are looked at side by side.
struct Found {
    collected: Collected,
    seen: SeenKeys,
    /// Places of keys whose secrets make other public keys than the manifest names.
    misfits: BTreeSet<usize>,
    schemes: SeenSchemes,
}

impl Set<'_> {
    /// No key may stand in the manifest twice.
    fn check_keys_once(&self, report: &mut SetReport) {
        let mut keys: Vec<_> = self.manifest.keys().enumerate().collect();
        keys.sort_by_key(|(place, key)| (key.public_key, *place));
        let same = keys.chunk_by(|(_, one), (_, other)| one.public_key == other.public_key);
        let mut twice: Vec<_> = same.filter(|same| same.len() > 1).collect();
        twice.sort_by_key(|same| same[0].0);
        for same in twice {
            let [first, others @ ..] = same else { continue };
            let first = first.1.name.file(PUBLIC_SSZ);
            for (_, other) in others {
                let name = other.name.file(PUBLIC_SSZ);
                let what = format!("'{name}' and '{first}' have the same public key");
                report.fault(&self.survey.paths.manifest(), what);
            }
        }
    }

    /// Whatever is in the directory belongs to a key.
    fn check_foreign(&self, report: &mut SetReport) {
        let mut foreign = self.survey.foreign.clone();
        let others = self.survey.keys.keys().filter(|name| !self.names.contains(name));
        for name in others.flat_map(|&name| self.survey.names_of(name)) {
            foreign.add(name);
        }
        foreign.report(
            report,
            self.survey.paths.root(),
            "it belongs to no key that the manifest names",
            &[],
        );
    }

    /// What keymill notes about a set agrees with it. Nothing else rests on that: where it cannot be read, the files are looked
    /// at all the same.
    fn check_notes(&self, report: &mut SetReport) -> Result<()> {
        let paths = &self.survey.paths;
        let work = paths.work();
        if !exists(&work)? {
            return Ok(());
        }
        let mut names = FirstNames::default();
        match unfinished(paths) {
            Ok(keys) => keys.into_iter().for_each(|key| names.add(key.to_string())),
            Err(_) if !is_directory(&work)? => {
                report.fault(&work, "it is not a directory");
                return Ok(());
            }
            Err(failure) => {
                report.failed(failure);
                return Ok(());
            }
        }
        names.report(report, &work, "it is a key that was not finished", &[Remedy::Generate]);
        match Record::read(&paths.request()) {
            Ok(Some(record)) if record.num_validators != report.validators => {
                let (wanted, found) = (record.num_validators, report.validators);
                let what = format!("it names {}, the set was to have {wanted}", counted(found, "validator"));
                report.curable(&paths.manifest(), what, &[Remedy::Generate]);
            }
            Ok(_) => {}
            Err(fault) => report.failed(fault),
        }
        Ok(())
    }

    /// Looks at the files of every key, and compares the keys with each other, with the manifest, and with what was asked for.
    fn check_all(&self, threads: usize, asked: Option<&'static Scheme>) -> Result<SetReport> {
        let keys: Vec<_> = self.manifest.keys().collect();
        let found = Mutex::new(Found {
            collected: Collected::default(),
            seen: SeenKeys::with_capacity(keys.len()),
            misfits: BTreeSet::new(),
            schemes: SeenSchemes::default(),
        });
        let check = |(place, key)| {
            let (report, known_by) = self.check_key(key);
            let found = &mut *found.lock().unwrap_or_else(PoisonError::into_inner);
            found.collected.add(place, report);
            if let Some(known_by) = known_by {
                found.seen.add(place, known_by.one_time_keys);
                if !known_by.fits {
                    found.misfits.insert(place);
                }
                found.schemes.add(place, known_by.scheme);
            }
            Ok::<_, Error>(())
        };
        side_by_side(threads.min(keys.len()), keys.iter().enumerate(), check, || ())?;
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut report = SetReport {
            keys_checked: keys.len() as u64,
            keys_not_compared: (keys.len() - found.seen.count()) as u64,
            ..SetReport::default()
        };
        // What gives a key away comes first.
        self.check_shared(&keys, found.seen, &found.misfits, &mut report);
        let kind = &self.manifest.kind;
        found
            .schemes
            .report(&Expected { kind, asked }, &keys, self.survey, &mut report);
        report.add(found.collected.finish());
        Ok(report)
    }

    /// No two keys have one-time keys in common. Of two files that hold one key, the one that does not make the public key which
    /// the manifest names is in the wrong place, and no key is given away yet.
    fn check_shared(&self, keys: &[NamedKey<'_>], seen: SeenKeys, misfits: &BTreeSet<usize>, report: &mut SetReport) {
        for pair in seen.pairs() {
            let (Some(first), Some(second)) = (keys.get(pair.first), keys.get(pair.second)) else {
                continue;
            };
            let is_misplaced = misfits.contains(&pair.first) && !misfits.contains(&pair.second);
            let (found, other) = if is_misplaced { (first, second) } else { (second, first) };
            let in_words = |key: &NamedKey<'_>| self.manifest.kind.key_in_words(key.validator, key.name.role);
            let advice = if misfits.contains(&pair.first) == misfits.contains(&pair.second) {
                "never use both, and make other keys"
            } else {
                "use only the other file, and put the right one in the place of this"
            };
            let what = format!(
                "{} has {} as {} ('{}'): an epoch that both sign gives these away; {advice}",
                in_words(found),
                pair.shared,
                in_words(other),
                other.name.file(SECRET_SSZ)
            );
            report.fault(&self.survey.paths.file(found.name, SECRET_SSZ), what);
        }
    }
}
