//! Sets that are to become one: what they have to have in common, and what not.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::key_files::{Fault, read_manifest};
use super::manifest::{NamedKey, SetManifest, Validator};
use super::names::{KeyFile, SECRET_SSZ, key_files};
use super::report::SchemeKeys;
use super::shared::SeenKeys;
use super::survey::Survey;
use super::variants::Expected;
use crate::error::{Error, Result};
use crate::files::place_of;
use crate::interop::secret_key::KeyShape;
use crate::remedy::Remedy;
use keymill_xmss::scheme::Scheme;

/// A set that is to become a part.
pub(super) struct Part {
    pub(super) survey: Survey,
    pub(super) manifest: SetManifest,
    pub(super) with_json: bool,
    /// Of each of its keys.
    pub(super) shape: KeyShape,
}

/// A validator of one of the parts.
#[derive(Clone, Copy)]
pub(super) struct Member<'a> {
    pub(super) part: &'a Part,
    pub(super) validator: &'a Validator,
}

impl Part {
    pub(super) fn open(survey: Survey) -> Result<Self> {
        let path = survey.paths.manifest();
        let manifest = match read_manifest(&survey.paths) {
            Ok(Some(manifest)) => manifest,
            Ok(None) => {
                let what = format!("'{}' {}", path.display(), survey.without_manifest()?);
                return Err(Error::directory(what).at(path).mend([Remedy::Generate]));
            }
            Err(Fault::Wrong { path, what }) => {
                return Err(Error::directory(format!("'{}': {what}", path.display())).at(path));
            }
            Err(fault) => return Err(fault.into()),
        };
        let names = manifest.keys().map(|key| key.name).collect();
        let stored = manifest.kind.stored()?;
        Ok(Self {
            with_json: survey.has_json(&manifest.kind, &names),
            shape: KeyShape::of_key(manifest.kind.scheme, stored, stored.start),
            survey,
            manifest,
        })
    }

    pub(super) fn directory(&self) -> &Path {
        self.survey.paths.root()
    }

    /// What a key is called in a sentence.
    fn in_words(&self, key: &NamedKey<'_>) -> String {
        self.manifest.kind.key_in_words(key.validator, key.name.role)
    }

    pub(super) fn members(&self) -> impl Iterator<Item = Member<'_>> {
        let validators = self.manifest.validators.iter();
        validators.map(|validator| Member { part: self, validator })
    }
}

impl<'a> Member<'a> {
    pub(super) fn keys(self) -> impl Iterator<Item = NamedKey<'a>> {
        self.part.manifest.kind.keys(self.validator)
    }

    /// The files of its keys.
    pub(super) fn files(self) -> impl Iterator<Item = (NamedKey<'a>, KeyFile)> {
        let files = key_files(self.part.with_json);
        self.keys().flat_map(|key| files.iter().map(move |&file| (key, file)))
    }
}

pub(super) fn refuse_mixed(first: &Part, second: &Part) -> Result<()> {
    let facts = |part: &Part| {
        let kind = &part.manifest.kind;
        let roles: Vec<_> = kind.roles.iter().map(|role| role.name()).collect();
        let naming = if kind.is_distributed {
            "by public key"
        } else {
            "by index"
        };
        let forms = if part.with_json { "SSZ and JSON" } else { "SSZ" };
        let revision = kind.leanvm_rev.map_or_else(
            || "none".to_owned(),
            |revision| match revision.scheme() {
                Some(scheme) => format!("{revision}, which is {},", scheme.id()),
                None => revision.to_string(),
            },
        );
        [
            ("key_scheme", kind.scheme.id().to_owned()),
            ("log_num_active_epochs", kind.log_epochs.to_string()),
            ("the kind of its keys", roles.join(",")),
            ("the naming", naming.to_owned()),
            ("the form of its files", forms.to_owned()),
            ("leanvm_rev", revision),
        ]
    };
    let mut compared = facts(first).into_iter().zip(facts(second));
    let Some(((what, one), (_, other))) = compared.find(|(one, other)| one != other) else {
        return Ok(());
    };
    Err(Error::directory(format!(
        "'{}' and '{}' cannot become one set: {what} is {one} in the first and {other} in the second",
        first.directory().display(),
        second.directory().display()
    )))
}

pub(super) fn refuse_same_place(part: &Path, out: &Path) -> Result<()> {
    if !place_of(out).starts_with(place_of(part)) {
        return Ok(());
    }
    let what = format!(
        "'{}' is, or lies in, one of the sets; the merged set needs a directory of its own",
        out.display()
    );
    Err(Error::usage(what).at(out).mend([Remedy::OtherDirectory]))
}

/// All validators by index; those that have none in the order of their sets.
pub(super) fn in_order(parts: &[Part]) -> Vec<Member<'_>> {
    let mut members: Vec<_> = parts.iter().flat_map(Part::members).collect();
    members.sort_by_key(|member| member.validator.index);
    members
}

/// A validator, a key, and the name of a file, may be there once.
pub(super) fn refuse_duplicates(members: &[Member<'_>]) -> Result<()> {
    let mut keys: HashMap<&[u8], (&Part, NamedKey<'_>)> = HashMap::new();
    let mut prefixes = HashMap::new();
    for member in members {
        let Member { part, validator } = member;
        let duplicate = |what: String, first: &Part, places: &str| {
            Error::directory(format!(
                "{what} is in '{}' and in '{}'{places}; a merged set may have it once",
                first.directory().display(),
                part.directory().display()
            ))
        };
        for key in member.keys() {
            if let Some((first, first_key)) = keys.insert(key.public_key, (part, key)) {
                let [one, other] = [first_key, key].map(|key| part.in_words(&key));
                return Err(duplicate(
                    format!("the public key 0x{}", hex::encode(key.public_key)),
                    first,
                    &format!(", as {one} and as {other}"),
                ));
            }
        }
        let prefix = part.manifest.kind.prefix(validator);
        if let Some(first) = prefixes.insert(prefix, *part) {
            let what = match validator.index {
                Some(index) => format!("index {index}"),
                None => format!("the name {prefix}"),
            };
            return Err(duplicate(what, first, ""));
        }
    }
    Ok(())
}

/// No two keys have one-time keys in common, although their public keys differ.
pub(super) fn refuse_shared(members: &[Member<'_>], seen: SeenKeys) -> Result<()> {
    let pair = seen.pairs().into_iter().next();
    let pair = pair.and_then(|pair| Some((key_at(members, pair.first)?, key_at(members, pair.second)?, pair.shared)));
    let Some((first, second, shared)) = pair else {
        return Ok(());
    };
    Err(Error::directory(format!(
        "{first} and {second} have {shared}: an epoch that both sign gives these away. They do not become one set; never use both, \
         and make other keys"
    )))
}

/// All keys are of one scheme, and of that which the manifests claim: these are the schemes of the keys, in their order.
pub(super) fn refuse_mixed_schemes(members: &[Member<'_>], schemes: &[&'static Scheme]) -> Result<()> {
    let (Some(member), Some(first)) = (members.first(), schemes.first()) else {
        return Ok(());
    };
    let other = schemes.iter().position(|scheme| scheme != first);
    if let Some((place, one)) = other.and_then(|place| Some((place, key_at(members, 0)?))) {
        let (of_one, of_other) = (first.id(), schemes[place].id());
        let other = key_at(members, place).unwrap_or_default();
        return Err(Error::directory(format!(
            "{one} is of {of_one}, and {other} is of {of_other}: they do not become one set"
        )));
    }
    // All manifests name the same revision.
    let kind = &member.part.manifest.kind;
    let keys = schemes.len() as u64;
    let found = [SchemeKeys { scheme: first, keys }];
    let expected = Expected { kind, asked: None };
    match expected.faults(&found).into_iter().next() {
        Some(what) => {
            let path = member.part.survey.paths.manifest();
            Err(Error::directory(format!("'{}': {what}", path.display())).at(path))
        }
        None => Ok(()),
    }
}

/// What the key in this place is called, and its file. Each member has one key a role.
fn key_at(members: &[Member<'_>], place: usize) -> Option<String> {
    let roles = members.first()?.part.manifest.kind.roles.len();
    let member = members.get(place / roles)?;
    let key = member.keys().nth(place % roles)?;
    let path: PathBuf = member.part.survey.paths.file(key.name, SECRET_SSZ);
    Some(format!("{} ('{}')", member.part.in_words(&key), path.display()))
}
