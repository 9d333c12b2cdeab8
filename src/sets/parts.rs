//! Sets that are to become one: what they have to have in common, and what not.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::error::SetError;
use super::manifest::{SetManifest, Validator};
use super::names::{Form, Half, Role, SetPaths, key_files};
use super::shared::SeenKeys;
use super::verify::{Prefixes, has_json};
use crate::files::place_of;

/// A set that is to become a part.
pub(super) struct Part {
    pub(super) paths: SetPaths,
    pub(super) manifest: SetManifest,
    pub(super) with_json: bool,
}

/// A validator of one of the parts.
pub(super) struct Member<'a> {
    pub(super) part: &'a Part,
    pub(super) validator: &'a Validator,
}

impl Part {
    pub(super) fn open(directory: &Path) -> Result<Self, SetError> {
        let paths = SetPaths::new(directory);
        let manifest = SetManifest::of_set(&paths)?;
        let with_json = has_json(&Prefixes::of(&manifest), directory)?;
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

impl Member<'_> {
    fn key_name(&self, role: Role) -> String {
        self.part.manifest.kind.key_name(self.validator, role)
    }

    fn secret_file(&self, role: Role) -> PathBuf {
        let prefix = self.part.manifest.kind.prefix(self.validator);
        self.part.paths.entry(&prefix.file(role, Half::Secret, Form::Ssz))
    }
}

pub(super) fn refuse_mixed(first: &Part, second: &Part) -> Result<(), SetError> {
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

pub(super) fn refuse_same_place(part: &Path, out: &Path) -> Result<(), SetError> {
    match place_of(out).starts_with(place_of(part)) {
        false => Ok(()),
        true => Err(SetError::Request(format!(
            "--out '{}' is, or lies in, one of the sets; the merged set needs a directory of its own",
            out.display()
        ))),
    }
}

/// All validators by index; those that have none in the order of their sets.
pub(super) fn in_order(parts: &[Part]) -> Vec<Member<'_>> {
    let mut members: Vec<_> = parts.iter().flat_map(Part::members).collect();
    members.sort_by_key(|member| member.validator.index);
    members
}

/// A validator, a key, and the name of a file, may be there once.
pub(super) fn refuse_duplicates(members: &[Member<'_>]) -> Result<(), SetError> {
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
pub(super) fn files_of<'a>(member: &'a Member<'_>) -> impl Iterator<Item = (&'a [u8], Half, Form, String)> {
    let kind = &member.part.manifest.kind;
    let prefix = kind.prefix(member.validator);
    let keys = kind.roles.iter().zip(&member.validator.public_keys);
    keys.flat_map(move |(&role, public_key)| {
        let prefix = prefix.clone();
        let files = key_files(member.part.with_json).iter();
        files.map(move |&(half, form)| (&public_key[..], half, form, prefix.file(role, half, form)))
    })
}

/// No two keys have one-time keys in common, although their public keys differ.
pub(super) fn refuse_shared(members: &[Member<'_>], seen: SeenKeys) -> Result<(), SetError> {
    // Each member has one key a role.
    let key = |place: usize| {
        let roles = &members.first()?.part.manifest.kind.roles;
        Some((members.get(place / roles.len())?, *roles.get(place % roles.len())?))
    };
    let pair = seen.pairs().into_iter().next();
    let pair = pair.and_then(|pair| Some((key(pair.first)?, key(pair.second)?, pair.shared)));
    let Some(((first, first_role), (second, second_role), shared)) = pair else {
        return Ok(());
    };
    Err(SetError::SharedKeys {
        first_key: first.key_name(first_role),
        first: first.secret_file(first_role),
        second_key: second.key_name(second_role),
        second: second.secret_file(second_role),
        shared,
    })
}
