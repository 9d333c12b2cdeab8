//! The names of the files in a key set, as hash-sig-cli 0.4 gives them, and of what keymill puts beside them.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::interop::secret_key::SecretKeyForm;

/// What says which files there are.
pub(crate) const MANIFEST: &str = "validator-keys-manifest.yaml";
/// What keymill knows of a set that it makes: the request, which keys are finished, and the ones that are not.
pub(crate) const WORK: &str = ".keymill-set";
/// In that directory.
pub(crate) const LOCK: &str = "LOCK";

/// Bytes of each end of the proposer's public key in the name of a validator that has no index.
const NAMED_BYTES: usize = 3;

/// What a validator uses a key for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Signs blocks.
    Proposer,
    /// Signs attestations.
    Attester,
}

impl Role {
    /// Both, in the order in which the manifest has them.
    pub const ALL: [Self; 2] = [Self::Proposer, Self::Attester];

    /// The word in file names, and in the manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::Proposer => "proposer",
            Self::Attester => "attester",
        }
    }

    /// The role of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which half of a key a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Half {
    Public,
    Secret,
}

/// In which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    Ssz,
    Json,
}

impl Form {
    /// The form of a secret key in such a file.
    pub(crate) fn of_secret(self) -> SecretKeyForm {
        match self {
            Self::Ssz => SecretKeyForm::LeansigSsz,
            Self::Json => SecretKeyForm::LeansigJson,
        }
    }
}

/// All files of a key; without JSON, the first two.
pub(crate) const KEY_FILES: [(Half, Form); 4] = [
    (Half::Public, Form::Ssz),
    (Half::Secret, Form::Ssz),
    (Half::Public, Form::Json),
    (Half::Secret, Form::Json),
];

/// The files that a key has.
pub(crate) fn key_files(with_json: bool) -> &'static [(Half, Form)] {
    &KEY_FILES[..if with_json { 4 } else { 2 }]
}

/// How the files of one validator begin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Prefix(String);

impl Prefix {
    /// Of a validator that has an index.
    pub(crate) fn of_index(index: u64) -> Self {
        Self(format!("validator_{index}"))
    }

    /// Of a validator that is known by its proposer's public key.
    pub(crate) fn of_public_key(proposer: &[u8]) -> Self {
        let first = &proposer[..NAMED_BYTES.min(proposer.len())];
        let last = &proposer[proposer.len().saturating_sub(NAMED_BYTES)..];
        Self(format!("validator-{}-{}", hex::encode(first), hex::encode(last)))
    }

    /// The name of one file.
    pub(crate) fn file(&self, role: Role, half: Half, form: Form) -> String {
        let half = match half {
            Half::Public => "pk",
            Half::Secret => "sk",
        };
        let form = match form {
            Form::Ssz => "ssz",
            Form::Json => "json",
        };
        format!("{}_{half}.{form}", self.directory(role))
    }

    /// The name of a key directory that is kept.
    pub(crate) fn directory(&self, role: Role) -> String {
        format!("{}_{role}_key", self.0)
    }

    fn parse(text: &str) -> Option<Self> {
        let is_hex = |part: &str| {
            let digits = part.bytes().filter(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            part.len() == 2 * NAMED_BYTES && digits.count() == part.len()
        };
        let found = match (text.strip_prefix("validator_"), text.strip_prefix("validator-")) {
            (Some(digits), _) => parse_index(digits).is_some(),
            (_, Some(rest)) => rest
                .split_once('-')
                .is_some_and(|(first, last)| is_hex(first) && is_hex(last)),
            _ => false,
        };
        found.then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An index as it is written: decimal, without a sign or leading zeros.
pub(crate) fn parse_index(digits: &str) -> Option<u64> {
    let index: u64 = digits.parse().ok()?;
    (index.to_string() == digits).then_some(index)
}

/// What a name in a set stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// A file of a key.
    File(Prefix, Role, Half, Form),
    /// A key directory that was kept.
    Directory(Prefix, Role),
}

impl Named {
    /// Reads a name; none if it is not one of a key.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (stem, kind) = match name.rsplit_once('.') {
            Some((stem, "ssz")) => (stem, Some(Form::Ssz)),
            Some((stem, "json")) => (stem, Some(Form::Json)),
            Some(_) => return None,
            None => (name, None),
        };
        let (stem, half) = match (stem.strip_suffix("_pk"), stem.strip_suffix("_sk"), kind) {
            (Some(stem), _, Some(_)) => (stem, Half::Public),
            (_, Some(stem), Some(_)) => (stem, Half::Secret),
            (None, None, None) => (stem, Half::Public),
            _ => return None,
        };
        let (prefix, role) = stem.strip_suffix("_key")?.rsplit_once('_')?;
        let (prefix, role) = (Prefix::parse(prefix)?, Role::by_name(role)?);
        Some(match kind {
            Some(form) => Self::File(prefix, role, half, form),
            None => Self::Directory(prefix, role),
        })
    }
}

/// The paths of one set.
#[derive(Clone, Debug)]
pub(crate) struct SetPaths {
    root: PathBuf,
}

impl SetPaths {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn manifest(&self) -> PathBuf {
        self.root.join(MANIFEST)
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.root.join(WORK)
    }

    /// What was asked for.
    pub(crate) fn request(&self) -> PathBuf {
        self.work().join("set.toml")
    }

    /// Which keys are finished.
    pub(crate) fn finished(&self) -> PathBuf {
        self.work().join("finished")
    }

    /// The directory of a key that is being made.
    pub(crate) fn unfinished(&self, index: u64, role: Role) -> PathBuf {
        self.work().join(Prefix::of_index(index).directory(role))
    }

    pub(crate) fn entry(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_that_is_given_is_read_as_what_it_stands_for() {
        let public_key: Vec<u8> = (0x10..0x44).collect();
        for prefix in [
            Prefix::of_index(0),
            Prefix::of_index(907),
            Prefix::of_public_key(&public_key),
        ] {
            for role in Role::ALL {
                for &(half, form) in key_files(true) {
                    let name = prefix.file(role, half, form);
                    assert_eq!(
                        Named::parse(&name),
                        Some(Named::File(prefix.clone(), role, half, form)),
                        "{name}"
                    );
                }
                let name = prefix.directory(role);
                assert_eq!(
                    Named::parse(&name),
                    Some(Named::Directory(prefix.clone(), role)),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn other_names_stand_for_nothing() {
        for name in [
            "validator_01_proposer_key_pk.ssz",
            "validator_+1_proposer_key_pk.ssz",
            "validator__proposer_key_pk.ssz",
            "validator_1_proposer_key_pk.txt",
            "validator_1_proposer_key_pk",
            "validator_1_proposer_key.ssz",
            "validator_1_owner_key_pk.ssz",
            "validator_1_key_pk.ssz",
            "validator-10111-414243_proposer_key_pk.ssz",
            "validator-10111G-414243_proposer_key_pk.ssz",
            "validator-101112-41424A_proposer_key_pk.ssz",
            "a_validator_1_proposer_key_pk.ssz",
            MANIFEST,
        ] {
            assert_eq!(Named::parse(name), None, "{name}");
        }
    }
}
