//! Merging: several sets, made by several machines, become one.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::begun::parsed;
use super::json_twin::check_json;
use super::key_files::{Fault, KnownBy, check_public, check_secret_head, holds, read_secret};
use super::manifest::SetManifest;
use super::names::{Form, Half, KeyName, SECRET_SSZ, SetPaths};
use super::parts::{
    Member, Part, in_order, refuse_duplicates, refuse_mixed, refuse_mixed_schemes, refuse_same_place, refuse_shared,
};
use super::prepare::{begin, check_place, check_room};
use super::publish::{Publisher, copy, holds_the_same};
use super::shared::SeenKeys;
use super::survey::{Sizes, Survey};
use crate::error::{Error, Reason, Result};
use crate::failure::attempt;
use crate::files::publish::Existing;
use crate::files::{exists, open_to_read, sync_file};
use crate::keydir::DirectoryLock;
use crate::memory::Limits;
use crate::plan::MemoryRequest;
use crate::remedy::Remedy;

/// What a merge did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
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
/// [`Error`] if a set lacks a file, if two of them are of different kinds or have an index, a key, or the one-time keys of one
/// in common, if memory is too small for a key, or if something else is in the way. Nothing has then been copied.
pub fn merge_sets(sets: &[PathBuf], out: &Path, public_mode: u32, memory: MemoryRequest) -> Result<MergeReport> {
    let surveys = sets.iter().map(|set| Survey::of(set)).collect::<Result<Vec<_>>>()?;
    // Before anything is read.
    let sizes = Sizes::of(&surveys)?;
    sizes.to_merge(memory).plan(&Limits::detect())?;
    if let Some(failure) = sizes.unknown {
        return Err(failure.into());
    }
    let parts = surveys.into_iter().map(Part::open).collect::<Result<Vec<_>>>()?;
    let Some(first) = parts.first() else {
        return Err(Error::usage("no set is named; name the directories to merge"));
    };
    for part in &parts {
        refuse_mixed(first, part)?;
        refuse_same_place(part.directory(), out)?;
    }
    let members = in_order(&parts);
    refuse_duplicates(&members)?;
    let manifest = SetManifest {
        kind: first.manifest.kind.clone(),
        validators: members.iter().map(|member| member.validator.clone()).collect(),
    };
    let mut text = Vec::new();
    manifest.write(&mut text).map_err(Error::unwritten)?;
    let paths = SetPaths::new(out);
    let merged = Merged {
        names: manifest.keys().map(|key| key.name).collect(),
        with_json: first.with_json,
        text: &text,
    };
    merged.refuse_foreign(&paths)?;
    let mut bytes = 0;
    let keys = members.len() * manifest.kind.roles.len();
    let (mut seen, mut schemes) = (SeenKeys::with_capacity(keys), Vec::with_capacity(keys));
    for &member in &members {
        for known_by in check_files(member, &member.part.survey.paths)? {
            seen.add(seen.count(), known_by.one_time_keys);
            schemes.push(known_by.scheme);
        }
        bytes += bytes_left(member, &paths)?;
    }
    refuse_shared(&members, seen)?;
    refuse_mixed_schemes(&members, &schemes)?;
    check_room(out, bytes)?;

    let lock = begin(&paths, public_mode)?;
    // Once more, now that no other process can be writing.
    merged.refuse_foreign(&paths)?;
    let kept = |part: &Part| {
        let keys = part
            .manifest
            .keys()
            .filter(|key| part.survey.key(key.name).has_directory);
        keys.map(|key| part.survey.paths.kept(key.name)).collect::<Vec<_>>()
    };
    Ok(MergeReport {
        validators: members.len() as u64,
        files: merged.write(&members, &paths, &lock, public_mode)?,
        directories_left: parts.iter().flat_map(kept).collect(),
        manifest: paths.manifest(),
    })
}

/// All files are there, and are of the keys that the manifest names. Tells by what each key is known, in the order of the roles.
fn check_files(member: Member<'_>, paths: &SetPaths) -> Result<Vec<KnownBy>> {
    let mut keys = Vec::new();
    let kind = &member.part.manifest.kind;
    let scheme = kind.scheme;
    for (key, file) in member.files() {
        let path = paths.file(key.name, file);
        if !exists(&path)? {
            return Err(missing(&path));
        }
        let public_key = parsed(scheme, key.public_key, &path)?;
        match file {
            (Half::Public, form) => check_public(&path, &public_key, form)?,
            (Half::Secret, Form::Ssz) => keys.push(check_secret_head(&path, kind, &member.part.shape, &public_key)?),
            (Half::Secret, Form::Json) => {
                let secret = read_secret(&paths.file(key.name, SECRET_SSZ), Form::Ssz, scheme)?;
                check_json(&secret, &path)?;
            }
        }
    }
    Ok(keys)
}

/// Bytes of those files that are not copied yet.
pub(super) fn bytes_left(member: Member<'_>, to: &SetPaths) -> Result<u64> {
    let mut bytes = 0;
    for (key, file) in member.files() {
        let from = member.part.survey.paths.file(key.name, file);
        if !is_copied(&from, &to.file(key.name, file))? {
            bytes += attempt("stat", &from, || std::fs::metadata(&from))?.size();
        }
    }
    Ok(bytes)
}

/// Whether an earlier run has copied a file. Another one of its name is in the way.
fn is_copied(from: &Path, to: &Path) -> Result<bool> {
    if !exists(to)? {
        return Ok(false);
    }
    match holds_the_same(from, to).map_err(Fault::from) {
        Ok(true) => Ok(true),
        Ok(false) => Err(in_the_way(to)),
        Err(Fault::Wrong { path, .. }) => Err(in_the_way(&path)),
        Err(fault) => Err(fault.into()),
    }
}

fn missing(path: &Path) -> Error {
    let what = format!("'{}' is missing, but the manifest names its key", path.display());
    let remedies = [Remedy::PutBack(path.to_owned()), Remedy::Generate];
    Error::directory(what).at(path).mend(remedies)
}

fn in_the_way(path: &Path) -> Error {
    let what = format!(
        "'{}' is there already and is not part of the merged set",
        path.display()
    );
    let remedies = [Remedy::OtherDirectory, Remedy::MoveAway(path.to_owned())];
    Error::directory(what).because(Reason::InTheWay).at(path).mend(remedies)
}

/// The set that is to be.
struct Merged<'a> {
    names: BTreeSet<KeyName>,
    with_json: bool,
    /// Its manifest.
    text: &'a [u8],
}

impl Merged<'_> {
    /// Copies the files, and writes the manifest when all of them are there. Gives the number of files.
    fn write(&self, members: &[Member<'_>], paths: &SetPaths, lock: &DirectoryLock, public_mode: u32) -> Result<u64> {
        let publisher = Publisher::open(paths, public_mode, Existing::InTheWay)?;
        let mut files = 0;
        for &member in members {
            files += copy_files(member, paths, &publisher, lock)?;
        }
        // The sets may have changed while they were copied.
        for &member in members {
            check_files(member, paths)?;
        }
        // The manifest names none of them before.
        publisher.sync_names()?;
        check_place(lock, paths)?;
        publisher.publish(&paths.manifest(), false, |to| {
            to.write_all(self.text).map_err(Error::unwritten)
        })?;
        publisher.sync_names()?;
        Ok(files)
    }

    /// Nothing is in the way but what an earlier run has copied.
    fn refuse_foreign(&self, paths: &SetPaths) -> Result<()> {
        let Some(survey) = Survey::if_there(paths.root())? else {
            return Ok(());
        };
        // A set that generate makes there is another one.
        for path in [paths.request(), paths.finished()] {
            if exists(&path)? {
                return Err(in_the_way(&path));
            }
        }
        let path = paths.manifest();
        if survey.has_manifest {
            match holds(&path, self.text) {
                Ok(true) => {}
                Ok(false) | Err(Fault::Wrong { .. }) => return Err(in_the_way(&path)),
                Err(fault) => return Err(fault.into()),
            }
        }
        for (&name, key) in &survey.keys {
            let has_json = || key.files.iter().any(|(_, form)| form == Form::Json);
            let is_foreign = !self.names.contains(&name) || key.has_directory || (!self.with_json && has_json());
            if let Some(other) = survey.names_of(name).next().filter(|_| is_foreign) {
                return Err(in_the_way(&paths.root().join(other)));
            }
        }
        Ok(())
    }
}

fn copy_files(member: Member<'_>, to: &SetPaths, publisher: &Publisher, lock: &DirectoryLock) -> Result<u64> {
    let mut files = 0;
    for (key, file) in member.files() {
        let from = member.part.survey.paths.file(key.name, file);
        let target = to.file(key.name, file);
        if is_copied(&from, &target)? {
            // The process that did so need not have made it durable.
            sync_file(&open_to_read(&target)?, &target)?;
        } else {
            check_place(lock, to)?;
            publisher.publish(&target, file.0 == Half::Secret, |draft| copy(&from, draft))?;
        }
        files += 1;
    }
    Ok(files)
}
