//! Merging: several sets, made by several machines, become one.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::SetError;
use super::json_twin::check_secret_json;
use super::key_files::{check_public, check_secret_head, holds, public_json};
use super::manifest::{SetManifest, Validator};
use super::names::{Form, Half, Named, SetPaths, key_files};
use super::prepare::{check_place, is_directory, make_public_directory, remove_temporaries, take_lock};
use super::publish::{Publisher, copy, holds_the_same};
use super::room::refuse_too_little_room;
use super::verify::{entries, has_json};
use crate::exchange::ExportError;
use crate::failure::attempt;
use crate::files::{exists, make_directory, not_regular, open_to_read, place_of, sync_directory};
use crate::interop::ssz::PublicKey;
use crate::keydir::DirectoryLock;

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

/// A set that is to become a part.
pub(super) struct Part {
    paths: SetPaths,
    manifest: SetManifest,
    with_json: bool,
}

/// A validator of one of the parts.
pub(super) struct Member<'a> {
    part: &'a Part,
    validator: &'a Validator,
}

/// Copies the key files of several sets into the directory `out`, and writes the manifest of all of them when everything is
/// there. Run again after an interruption, it goes on.
///
/// # Errors
/// [`SetError`] if a set lacks a file, if two of them are of different kinds or have an index or a key in common, or if
/// something else is in the way. Nothing has then been copied.
pub fn merge_sets(sets: &[PathBuf], out: &Path, public_mode: u32) -> Result<MergeReport, SetError> {
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
    refuse_foreign(&paths, &members, &text)?;
    let mut bytes = 0;
    for member in &members {
        check_files(member, &member.part.paths)?;
        bytes += bytes_left(member, &paths)?;
    }
    refuse_too_little_room(out, bytes)?;

    make_public_directory(out, public_mode)?;
    make_directory(&paths.work())?;
    let lock = take_lock(&paths)?;
    remove_temporaries(&paths)?;
    // Once more, now that nobody else can be writing.
    refuse_foreign(&paths, &members, &text)?;
    let work = paths.work();
    let publisher = Publisher {
        drafts: &work,
        public_mode,
        overwrites: false,
    };
    let mut files = 0;
    for member in &members {
        files += copy_files(member, &paths, publisher, &lock)?;
    }
    // Nobody had to leave the sets alone while they were copied.
    for member in &members {
        check_files(member, &paths)?;
    }
    sync_directory(out)?;
    check_place(&lock, &paths)?;
    publisher.publish(&paths.manifest(), false, |to| {
        Ok(to.write_all(&text).map_err(ExportError::Write)?)
    })?;
    sync_directory(out)?;
    Ok(MergeReport {
        validators: members.len() as u64,
        files,
        directories_left: directories_left(&parts)?,
        manifest: paths.manifest(),
    })
}

impl Part {
    pub(super) fn open(directory: &Path) -> Result<Self, SetError> {
        let paths = SetPaths::new(directory);
        let manifest = SetManifest::of_set(&paths)?;
        let with_json = has_json(&manifest, &entries(directory)?);
        Ok(Self {
            paths,
            manifest,
            with_json,
        })
    }

    pub(super) fn members(&self) -> impl Iterator<Item = Member<'_>> {
        let validators = self.manifest.validators.iter();
        validators.map(|validator| Member { part: self, validator })
    }
}

fn refuse_mixed(first: &Part, second: &Part) -> Result<(), SetError> {
    let facts = |part: &Part| {
        let kind = &part.manifest.kind;
        let roles: Vec<_> = kind.roles.iter().map(|role| role.name()).collect();
        [
            ("key_scheme", kind.scheme.id().to_owned()),
            ("log_num_active_epochs", kind.log_epochs.to_string()),
            ("the kind of its keys", roles.join(",")),
            (
                "the naming",
                if kind.is_distributed {
                    "by public key"
                } else {
                    "by index"
                }
                .to_owned(),
            ),
            (
                "the form of its files",
                if part.with_json { "SSZ and JSON" } else { "SSZ" }.to_owned(),
            ),
        ]
    };
    let compared = facts(first).into_iter().zip(facts(second));
    match compared.into_iter().find(|(one, other)| one != other) {
        None => Ok(()),
        Some(((what, one), (_, other))) => Err(SetError::Mixed {
            first: first.paths.root().to_owned(),
            second: second.paths.root().to_owned(),
            what,
            one,
            other,
        }),
    }
}

fn refuse_same_place(part: &Path, out: &Path) -> Result<(), SetError> {
    match place_of(out).starts_with(place_of(part)) {
        false => Ok(()),
        true => Err(SetError::Request(format!(
            "--out '{}' is, or lies in, one of the sets; the merged set needs a directory of its own",
            out.display()
        ))),
    }
}

/// All validators by index; those that have none in the order of their sets.
fn in_order(parts: &[Part]) -> Vec<Member<'_>> {
    let mut members: Vec<_> = parts.iter().flat_map(Part::members).collect();
    members.sort_by_key(|member| member.validator.index);
    members
}

/// A validator, a key, and the name of a file, may be there once.
fn refuse_duplicates(members: &[Member<'_>]) -> Result<(), SetError> {
    let mut keys: HashMap<&[u8], &Part> = HashMap::new();
    let mut prefixes = HashMap::new();
    for Member { part, validator } in members {
        let duplicate = |what: String, first: &Part| SetError::Duplicate {
            what,
            first: first.paths.root().to_owned(),
            second: part.paths.root().to_owned(),
        };
        for public_key in &validator.public_keys {
            if let Some(first) = keys.insert(public_key, part) {
                return Err(duplicate(
                    format!("the public key 0x{}", hex::encode(public_key)),
                    first,
                ));
            }
        }
        if let Some(first) = prefixes.insert(part.manifest.kind.prefix(validator), *part) {
            let what = match validator.index {
                Some(index) => format!("index {index}"),
                None => format!("the name {}", part.manifest.kind.prefix(validator)),
            };
            return Err(duplicate(what, first));
        }
    }
    Ok(())
}

/// The files of a validator: the public key of each, what it holds, and its name.
fn files_of<'a>(member: &'a Member<'_>) -> impl Iterator<Item = (&'a [u8], Half, Form, String)> {
    let kind = &member.part.manifest.kind;
    let prefix = kind.prefix(member.validator);
    let keys = kind.roles.iter().zip(&member.validator.public_keys);
    keys.flat_map(move |(&role, public_key)| {
        let prefix = prefix.clone();
        let files = key_files(member.part.with_json).iter();
        files.map(move |&(half, form)| (&public_key[..], half, form, prefix.file(role, half, form)))
    })
}

/// All files are there, and are of the keys that the manifest names.
fn check_files(member: &Member<'_>, paths: &SetPaths) -> Result<(), SetError> {
    let scheme = member.part.manifest.kind.scheme;
    for (public_key, half, form, name) in files_of(member) {
        let path = paths.entry(&name);
        if !exists(&path)? {
            return Err(SetError::Missing(path));
        }
        match (form, half) {
            (Form::Ssz, Half::Public) => check_public(&path, public_key)?,
            (Form::Ssz, Half::Secret) => check_secret_head(&path, scheme, public_key)?,
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
    Ok(())
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

/// Nothing is in the way but what an earlier run has copied.
fn refuse_foreign(paths: &SetPaths, members: &[Member<'_>], manifest: &[u8]) -> Result<(), SetError> {
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
        let found = open_to_read(&path).and_then(|file| holds(file, manifest, &path));
        match found {
            Ok(true) => {}
            Ok(false) => return Err(SetError::InTheWay(path)),
            Err(failure) if not_regular(&failure).is_some() => return Err(SetError::InTheWay(path)),
            Err(failure) => return Err(failure.into()),
        }
    }
    let names = members
        .iter()
        .flat_map(|member| files_of(member).map(|(.., name)| name));
    let ours: HashSet<String> = names.collect();
    for entry in attempt("readdir", root, || std::fs::read_dir(root))? {
        let name = attempt("readdir", root, || entry)?.file_name();
        let name = name.to_string_lossy();
        if Named::parse(&name).is_some() && !ours.contains(&*name) {
            return Err(SetError::InTheWay(root.join(&*name)));
        }
    }
    Ok(())
}

fn copy_files(
    member: &Member<'_>,
    to: &SetPaths,
    publisher: Publisher<'_>,
    lock: &DirectoryLock,
) -> Result<u64, SetError> {
    let mut files = 0;
    for (_, half, _, name) in files_of(member) {
        let from = member.part.paths.entry(&name);
        let target = to.entry(&name);
        if !is_copied(&from, &target)? {
            check_place(lock, to)?;
            publisher.publish(&target, half == Half::Secret, |draft| copy(&from, draft))?;
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
