//! Merging: several sets, made by several machines, become one.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::SetError;
use super::json_twin::check_secret_json;
use super::key_files::{check_public, check_secret_head, holds, public_json};
use super::manifest::SetManifest;
use super::names::{Form, Half, Named, SetPaths};
use super::parts::{
    Member, Part, files_of, in_order, refuse_duplicates, refuse_mixed, refuse_same_place, refuse_shared,
};
use super::prepare::{check_place, is_directory, make_public_directory, remove_temporaries, take_lock};
use super::publish::{Publisher, copy, holds_the_same};
use super::room::refuse_too_little_room;
use super::shared::SeenKeys;
use super::survey::Survey;
use super::verify::{Prefixes, each_entry};
use crate::exchange::ExportError;
use crate::failure::attempt;
use crate::files::publish::Existing;
use crate::files::{exists, make_directory, not_regular, open_to_read, sync_file};
use crate::keydir::DirectoryLock;
use crate::memory::Limits;
use crate::plan::MemoryRequest;
use keymill_xmss::PublicKey;
use keymill_xmss::hash::OneTimeKeys;

/// What a merge did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeReport {
    /// Validators of the merged set.
    pub validators: u64,
    /// Files of keys, copied by this or an earlier run.
    pub files: u64,
    /// Key directories beside the files, which are not copied: two copies of one must never both sign.
    pub directories_left: Vec<PathBuf>,
    /// The manifest of the merged set.
    pub manifest: PathBuf,
}

/// Copies the key files of several sets into the directory `out`, and writes the manifest of all of them when everything is
/// there. Run again after an interruption, it goes on.
///
/// # Errors
/// [`SetError`] if a set lacks a file, if two of them are of different kinds or have an index, a key, or the one-time keys of one
/// in common, if memory is too small for a key, or if something else is in the way. Nothing has then been copied.
pub fn merge_sets(
    sets: &[PathBuf],
    out: &Path,
    public_mode: u32,
    memory: MemoryRequest,
) -> Result<MergeReport, SetError> {
    let surveys = sets.iter().map(|set| Survey::of(&SetPaths::new(set)));
    let surveyed = surveys.collect::<Result<Vec<_>, _>>()?.into_iter().reduce(Survey::and);
    let survey = surveyed.unwrap_or_default();
    // Before anything is read.
    survey.to_merge(memory).plan(&Limits::detect())?;
    if let Some(failure) = survey.unknown {
        return Err(failure.into());
    }
    let parts = sets.iter().map(|set| Part::open(set)).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = parts.first() else {
        return Err(SetError::Request(
            "no set is named; give the directories to merge".to_owned(),
        ));
    };
    for part in &parts {
        refuse_mixed(first, part)?;
        refuse_same_place(part.paths.root(), out)?;
    }
    let members = in_order(&parts);
    refuse_duplicates(&members)?;
    let manifest = SetManifest {
        kind: first.manifest.kind.clone(),
        validators: members.iter().map(|member| member.validator.clone()).collect(),
    };
    let mut text = Vec::new();
    manifest.write(&mut text).map_err(ExportError::Write)?;
    is_directory(out)?;
    let paths = SetPaths::new(out);
    let merged = Merged {
        prefixes: Prefixes::of(&manifest),
        with_json: first.with_json,
        text: &text,
    };
    merged.refuse_foreign(&paths)?;
    let mut bytes = 0;
    let mut seen = SeenKeys::with_capacity(members.len() * manifest.kind.roles.len());
    for member in &members {
        for one_time_keys in check_files(member, &member.part.paths)? {
            seen.add(seen.count(), one_time_keys);
        }
        bytes += bytes_left(member, &paths)?;
    }
    refuse_shared(&members, seen)?;
    refuse_too_little_room(out, bytes)?;

    make_public_directory(out, public_mode)?;
    make_directory(&paths.work())?;
    let lock = take_lock(&paths)?;
    remove_temporaries(&paths)?;
    // Once more, now that nobody else can be writing.
    merged.refuse_foreign(&paths)?;
    Ok(MergeReport {
        validators: members.len() as u64,
        files: merged.write(&members, &paths, &lock, public_mode)?,
        directories_left: directories_left(&parts)?,
        manifest: paths.manifest(),
    })
}

/// All files are there, and are of the keys that the manifest names. Tells by what each key is known, in the order of the roles.
fn check_files(member: &Member<'_>, paths: &SetPaths) -> Result<Vec<OneTimeKeys>, SetError> {
    let mut keys = Vec::new();
    let scheme = member.part.manifest.kind.scheme;
    for (public_key, half, form, name) in files_of(member) {
        let path = paths.entry(&name);
        if !exists(&path)? {
            return Err(SetError::Missing(path));
        }
        match (form, half) {
            (Form::Ssz, Half::Public) => check_public(&path, public_key)?,
            (Form::Ssz, Half::Secret) => keys.push(check_secret_head(&path, scheme, public_key)?),
            (Form::Json, Half::Public) => {
                let public_key = PublicKey::from_ssz(scheme, public_key).map_err(|error| SetError::Foreign {
                    path: path.clone(),
                    what: error.to_string(),
                })?;
                check_public(&path, &public_json(&public_key))?;
            }
            (Form::Json, Half::Secret) => check_secret_json(&path)?,
        }
    }
    Ok(keys)
}

/// Bytes of those files that are not copied yet.
pub(super) fn bytes_left(member: &Member<'_>, to: &SetPaths) -> Result<u64, SetError> {
    let mut bytes = 0;
    for (.., name) in files_of(member) {
        let from = member.part.paths.entry(&name);
        if !is_copied(&from, &to.entry(&name))? {
            bytes += attempt("stat", &from, || std::fs::metadata(&from))?.size();
        }
    }
    Ok(bytes)
}

/// Whether an earlier run has copied a file. Another one of its name is in the way.
fn is_copied(from: &Path, to: &Path) -> Result<bool, SetError> {
    if !exists(to)? {
        return Ok(false);
    }
    match holds_the_same(from, to) {
        Ok(true) => Ok(true),
        Ok(false) => Err(SetError::InTheWay(to.to_owned())),
        Err(failure) if not_regular(&failure).is_some() => Err(SetError::InTheWay(failure.path)),
        Err(failure) => Err(failure.into()),
    }
}

/// The set that is to be.
struct Merged<'a> {
    prefixes: Prefixes<'a>,
    with_json: bool,
    /// Its manifest.
    text: &'a [u8],
}

impl Merged<'_> {
    /// Copies the files, and writes the manifest when all of them are there. Gives the number of files.
    fn write(
        &self,
        members: &[Member<'_>],
        paths: &SetPaths,
        lock: &DirectoryLock,
        public_mode: u32,
    ) -> Result<u64, SetError> {
        let publisher = Publisher::open(paths, public_mode, Existing::InTheWay)?;
        let mut files = 0;
        for member in members {
            files += copy_files(member, paths, &publisher, lock)?;
        }
        // Nobody had to leave the sets alone while they were copied.
        for member in members {
            check_files(member, paths)?;
        }
        // The manifest names none of them before.
        publisher.sync_names()?;
        check_place(lock, paths)?;
        publisher.publish(&paths.manifest(), false, |to| {
            Ok(to.write_all(self.text).map_err(ExportError::Write)?)
        })?;
        publisher.sync_names()?;
        Ok(files)
    }

    /// Nothing is in the way but what an earlier run has copied.
    fn refuse_foreign(&self, paths: &SetPaths) -> Result<(), SetError> {
        let root = paths.root();
        if !exists(root)? {
            return Ok(());
        }
        // A set that generate makes there is another one.
        for path in [paths.request(), paths.finished()] {
            if exists(&path)? {
                return Err(SetError::InTheWay(path));
            }
        }
        let path = paths.manifest();
        if exists(&path)? {
            let found = open_to_read(&path).and_then(|file| holds(file, self.text, &path));
            match found {
                Ok(true) => {}
                Ok(false) => return Err(SetError::InTheWay(path)),
                Err(failure) if not_regular(&failure).is_some() => return Err(SetError::InTheWay(path)),
                Err(failure) => return Err(failure.into()),
            }
        }
        let mut in_the_way = None;
        each_entry(root, |name| {
            let is_in_the_way = match Named::parse(&name) {
                None => false,
                Some(Named::Directory(..)) => true,
                Some(Named::File(prefix, role, _, form)) => {
                    (form == Form::Json && !self.with_json) || !self.prefixes.has_key(&prefix, role)
                }
            };
            if is_in_the_way {
                in_the_way = Some(root.join(name));
            }
        })?;
        in_the_way.map_or(Ok(()), |path| Err(SetError::InTheWay(path)))
    }
}

fn copy_files(
    member: &Member<'_>,
    to: &SetPaths,
    publisher: &Publisher,
    lock: &DirectoryLock,
) -> Result<u64, SetError> {
    let mut files = 0;
    for (_, half, _, name) in files_of(member) {
        let from = member.part.paths.entry(&name);
        let target = to.entry(&name);
        match is_copied(&from, &target)? {
            // Whoever did so need not have made it durable.
            true => sync_file(&open_to_read(&target)?, &target)?,
            false => {
                check_place(lock, to)?;
                publisher.publish(&target, half == Half::Secret, |draft| copy(&from, draft))?;
            }
        }
        files += 1;
    }
    Ok(files)
}

fn directories_left(parts: &[Part]) -> Result<Vec<PathBuf>, SetError> {
    let mut left = Vec::new();
    for part in parts {
        let kind = &part.manifest.kind;
        for validator in &part.manifest.validators {
            for &role in &kind.roles {
                let path = part.paths.entry(&kind.prefix(validator).directory(role));
                if exists(&path)? {
                    left.push(path);
                }
            }
        }
    }
    Ok(left)
}
