//! What is to be done for a set, from what was asked for and what stands in its place. Nothing is read or written here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::begun::{Begun, Noted, Place, Unfinished, name, names};
use super::finished::{FinishedKeys, Key, manifest_of};
use super::key_files::{Fault, bytes};
use super::manifest::SetManifest;
use super::names::{Form, Half, KeyFiles, KeyName, Role, SECRET_SSZ};
use super::request::SetRequest;
use super::survey::Survey;
use crate::error::{Error, Reason, Result};
use crate::plan::Plan;
use crate::remedy::{Argument, Remedy};

/// What missing files of a finished key are made of. The seed comes last: only with it is the key computed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A file of its secret.
    Secret(Form),
    /// Its key directory, which is kept.
    Kept,
    /// Its key directory, where it was made.
    Unfinished,
    /// The seed of the set.
    Seed,
}

/// A finished key that lacks files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mending {
    pub(super) missing: KeyFiles,
    pub(super) source: Source,
}

impl Mending {
    /// Whether its secret is in no file of the set any more: then it may have gone to sign elsewhere.
    pub(super) fn restores_secret(self) -> bool {
        self.missing.has(SECRET_SSZ) && !matches!(self.source, Source::Secret(_))
    }
}

/// What is to be done. Every key that is not finished is made, or its making goes on.
#[derive(Debug, Default)]
pub(super) struct SetPlan {
    /// What is noted of another set goes first.
    pub(super) discards: bool,
    pub(super) finished: FinishedKeys,
    pub(super) mend: BTreeMap<Key, Mending>,
    /// Finished keys whose directories are still where they were made.
    pub(super) settle: Vec<Key>,
    /// What directories of keys that are to be made take already.
    begun_directory_bytes: u64,
    /// The same of files.
    begun_file_bytes: u64,
}

impl SetPlan {
    /// Refuses what would overwrite something, or does not belong to the rest.
    pub(super) fn new(survey: &Survey, begun: Begun, request: &SetRequest) -> Result<Self> {
        let (finished, is_begun) = match begun.noted {
            Noted::Another(error) if !request.overwrites => return Err(error),
            Noted::Another(_) => {
                refuse_directories(survey, &BTreeMap::new())?;
                return Ok(Self {
                    discards: true,
                    ..Self::default()
                });
            }
            Noted::This(finished) => (finished, true),
            Noted::Nothing => (FinishedKeys::new(), false),
        };
        let names = names(request, &finished)?;
        let mend = mend(survey, begun.directories, request, &names)?;
        refuse_directories(survey, &names)?;
        let half_made = half_made(&begun.unfinished, request, &finished);
        let is_ours = |name: &KeyName| names.contains_key(name) || half_made.contains(name);
        let in_the_way =
            another_key(survey, is_ours).or_else(|| another_manifest(survey, &begun.manifest, request, &finished));
        let discards = match in_the_way {
            Some(error) if !request.overwrites => return Err(error),
            // What this set has finished stays, whatever else is overwritten.
            in_the_way => in_the_way.is_some() && !is_begun,
        };
        drop(names);
        let is_made = |key: &Key| match mend.get(key) {
            Some(mending) => mending.source == Source::Seed,
            None => !finished.contains_key(key),
        };
        let directories = begun.unfinished.iter().filter(|(key, _)| is_made(key));
        let is_settled = |key: &&Key| finished.contains_key(key) && !mend.contains_key(key);
        Ok(Self {
            discards,
            settle: begun.unfinished.keys().filter(is_settled).copied().collect(),
            begun_directory_bytes: directories.map(|(_, found)| found.bytes).sum(),
            // It is not known yet whether files that are in the way are replaced.
            begun_file_bytes: if request.overwrites { 0 } else { begun.loose_bytes },
            mend,
            finished,
        })
    }

    /// What the rest of the set takes, while it is made and afterwards, beside what it has taken.
    pub(super) fn needed_bytes(&self, request: &SetRequest, plan: &Plan, jobs: usize) -> u64 {
        let keys_unfinished = request.keys().saturating_sub(self.finished.len() as u64);
        let made_again = self.mend.values().filter(|mending| mending.source == Source::Seed);
        let keys_left = keys_unfinished.saturating_add(made_again.count() as u64);
        let at_once = keys_left.min(jobs as u64);
        let kept = if request.keeps() { keys_left - at_once } else { 0 };
        let directories_bytes = at_once
            .saturating_mul(plan.disk_bytes())
            .saturating_add(kept.saturating_mul(plan.kept_bytes()));
        // A file that a process that died had written is written once more, and compared.
        let keys_written = keys_unfinished.saturating_add(keys_unfinished.min(jobs as u64));
        let all_files = request.files().iter().copied().collect();
        let files_bytes = keys_written.saturating_mul(bytes(plan, all_files));
        let missing_bytes: u64 = self.mend.values().map(|mending| bytes(plan, mending.missing)).sum();
        files_bytes
            .saturating_sub(self.begun_file_bytes)
            .saturating_add(missing_bytes)
            .saturating_add(directories_bytes.saturating_sub(self.begun_directory_bytes))
    }
}

/// The finished keys that lack a file. One that nothing is left to be made of is refused, and so is one whose secret is gone,
/// unless that was asked for.
fn mend(
    survey: &Survey,
    mut directories: BTreeMap<Key, [Place; 2]>,
    request: &SetRequest,
    names: &BTreeMap<KeyName, (Key, &[u8])>,
) -> Result<BTreeMap<Key, Mending>> {
    let mut mend = BTreeMap::new();
    let mut gone: Option<KeyName> = None;
    let mut gone_keys = 0;
    for (&name, &(key, _)) in names {
        let there = survey.key(name).files;
        let all = request.files().iter().copied();
        let missing: KeyFiles = all.clone().filter(|&file| !there.has(file)).collect();
        let Some(first) = missing.iter().next() else {
            if request.keys_only && !survey.key(name).has_directory && !is_left(directories.get(&key)) {
                return Err(lost(&survey.paths.kept(name)));
            }
            continue;
        };
        let secret = all.clone().find(|&file| file.0 == Half::Secret && there.has(file));
        let source = match secret {
            Some((_, form)) => Source::Secret(form),
            None => {
                // A secret that is in the key directory alone has not left it.
                if !request.keys_only {
                    gone.get_or_insert(name);
                    gone_keys += 1;
                }
                let places = directories.remove(&key).unwrap_or([Place::Nothing, Place::Nothing]);
                let source = source(places, request, &survey.paths.kept(name))?;
                source.ok_or_else(|| lost(&survey.paths.file(name, first)))?
            }
        };
        mend.insert(key, Mending { missing, source });
    }
    match gone {
        Some(first) if !request.restores_secrets => Err(secrets_gone(&survey.paths.file(first, SECRET_SSZ), gone_keys)),
        _ => Ok(mend),
    }
}

/// Whether a key directory is where it was made: the process died before it put it away.
fn is_left(places: Option<&[Place; 2]>) -> bool {
    places.is_some_and(|[_, made]| !matches!(made, Place::Nothing))
}

/// What the files of a key without a file of its secret can be made of.
fn source(places: [Place; 2], request: &SetRequest, kept: &Path) -> Result<Option<Source>> {
    let is_kept_unknown = matches!(places[0], Place::Other);
    let mut unusable = None;
    for (place, source) in places.into_iter().zip([Source::Kept, Source::Unfinished]) {
        match place {
            Place::Usable => return Ok(Some(source)),
            Place::Unusable(error) => unusable = Some(error),
            Place::Nothing | Place::Other => {}
        }
    }
    if request.seed.is_none() {
        return unusable.map_or(Ok(None), Err);
    }
    // The key that is made again is to be kept there.
    if request.keeps() && is_kept_unknown {
        return Err(directory_in_the_way(kept));
    }
    Ok(Some(Source::Seed))
}

/// No directory has the name of a key but those that this set keeps. No file can be put in the place of another one, and it may
/// hold a ledger.
fn refuse_directories(survey: &Survey, ours: &BTreeMap<KeyName, (Key, &[u8])>) -> Result<()> {
    let mut keys = survey.keys.iter();
    let other = keys.find(|(name, key)| key.has_directory && !ours.contains_key(name));
    let other = other.map(|(&name, _)| survey.paths.kept(name));
    match survey.misplaced.clone().or(other) {
        Some(path) => Err(directory_in_the_way(&path)),
        None => Ok(()),
    }
}

/// The names of keys of which a process that died had written files: only a sealed key has some.
fn half_made(
    unfinished: &BTreeMap<Key, Unfinished>,
    request: &SetRequest,
    finished: &FinishedKeys,
) -> BTreeSet<KeyName> {
    let sealed = |key: &Key| unfinished.get(key).and_then(|found| found.public_key.as_ref());
    let is_asked = |(index, role): &&Key| request.indices().contains(index) && request.roles.contains(role);
    let keys = unfinished.keys().filter(is_asked).filter(|key| sealed(key).is_some());
    let named = keys.filter_map(|&key| {
        let proposer = (key.0, Role::Proposer);
        let proposer = finished.get(&proposer).or_else(|| sealed(&proposer));
        name(request, key, proposer).ok()
    });
    named.collect()
}

/// Nothing that has the name of a key is there but what this set has put there.
fn another_key(survey: &Survey, is_ours: impl Fn(&KeyName) -> bool) -> Option<Error> {
    let (&other, _) = survey.keys.iter().find(|(name, _)| !is_ours(name))?;
    let name = survey.names_of(other).next()?;
    Some(taken(&survey.paths.root().join(name), None))
}

/// The manifest is one of this set, perhaps of fewer validators, if there is one.
fn another_manifest(
    survey: &Survey,
    manifest: &Result<Option<SetManifest>, Fault>,
    request: &SetRequest,
    finished: &FinishedKeys,
) -> Option<Error> {
    let path = survey.paths.manifest();
    match manifest {
        Ok(None) => None,
        Ok(Some(found)) => {
            let ours = manifest_of(finished, request);
            let is_begun = ours.validators.starts_with(&found.validators);
            if is_begun && found.kind.becomes(&ours.kind) {
                return None;
            }
            let revisions = [found.kind.leanvm_rev, ours.kind.leanvm_rev];
            if !is_begun || revisions[0] == revisions[1] {
                return Some(taken(&path, None));
            }
            let forgets_it = revisions[1].is_none();
            let [found, asked] = revisions.map(|revision| revision.map_or("none".to_owned(), |it| it.to_string()));
            let what = format!("its leanvm_rev is {found}, that of the request is {asked}");
            let error = taken(&path, Some(&what));
            Some(error.mend(forgets_it.then_some(Remedy::Give(Argument::LeanvmRev))))
        }
        Err(Fault::Wrong { what, .. }) => Some(taken(&path, Some(what))),
        Err(Fault::Io(_)) => Some(taken(&path, None)),
    }
}

/// Something would be overwritten.
pub(super) fn taken(path: &Path, what: Option<&str>) -> Error {
    let what = what.map_or_else(String::new, |what| format!(" ({what})"));
    let what = format!(
        "'{}' is there already and is not of a key that this command has finished there{what}",
        path.display()
    );
    let remedies = [
        Remedy::OtherDirectory,
        Remedy::MoveAway(path.to_owned()),
        Remedy::Overwrite,
    ];
    Error::directory(what).because(Reason::InTheWay).at(path).mend(remedies)
}

/// No directory is overwritten.
pub(super) fn directory_in_the_way(path: &Path) -> Error {
    let what = format!(
        "'{}' is in the way of this set, and no directory is overwritten, also where files may be",
        path.display()
    );
    let remedies = [Remedy::MoveAway(path.to_owned()), Remedy::Delete(path.to_owned())];
    Error::directory(what).because(Reason::InTheWay).at(path).mend(remedies)
}

fn lost(path: &Path) -> Error {
    let what = format!(
        "'{}' is missing, and nothing is there to rebuild it from: no file of that secret key, no directory of that key, and \
         no seed",
        path.display()
    );
    let remedies = [Remedy::PutBack(path.to_owned()), Remedy::OtherDirectory];
    Error::directory(what).because(Reason::Lost).at(path).mend(remedies)
}

fn secrets_gone(first: &Path, keys: u64) -> Error {
    let what = format!(
        "'{}' is missing, and no other file of the set holds its secret; {keys} of the finished keys are affected. Where they \
         were moved to, they may sign, and a second copy would sign other messages with the same epochs: put them back",
        first.display()
    );
    let remedies = [Remedy::SetOfItsOwn, Remedy::RestoreSecrets];
    Error::directory(what).because(Reason::Lost).at(first).mend(remedies)
}
