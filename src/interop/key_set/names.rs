//! The names of the files in a key set, as hash-sig-cli and ethlambda give them, and of what keymill puts beside them.

use std::fmt;
use std::path::{Path, PathBuf};

pub(crate) use crate::interop::Role;
use crate::interop::secret_key::SecretKeyForm;
use keymill_xmss::scheme::Scheme;

/// What says which files there are.
pub(crate) const MANIFEST: &str = "validator-keys-manifest.yaml";
/// What keymill knows of a set that it makes: the request, which keys are finished, and the ones that are not.
pub(crate) const WORK: &str = ".keymill-set";
/// In that directory.
pub(crate) const LOCK: &str = "LOCK";

/// Bytes of each end of the proposer's public key in the name of a validator that has no index.
const NAMED_BYTES: usize = 3;

/// Which half of a key a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Half {
    Public,
    Secret,
}

/// In which form, as the name says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    Ssz,
    Json,
}

impl Form {
    /// How the names of its files end, and the forms that a secret key can have in them: a key of leanVM is called SSZ, for
    /// which there is no such form.
    const ALL: [(Self, &str, &[SecretKeyForm]); 2] = [
        (
            Self::Ssz,
            "ssz",
            &[SecretKeyForm::LeansigSsz, SecretKeyForm::LeanvmPostcard],
        ),
        (Self::Json, "json", &[SecretKeyForm::HashSigCliJson]),
    ];

    fn ending(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// The forms that a secret key can have in such a file.
    pub(crate) fn of_secrets(self) -> &'static [SecretKeyForm] {
        Self::ALL[self as usize].2
    }

    /// The form that a secret key of this scheme has in such a file.
    pub(crate) fn of_secret(self, scheme: &Scheme) -> SecretKeyForm {
        let forms = self.of_secrets();
        let own = forms.iter().find(|form| form.keys() == scheme.family().key_forms());
        *own.unwrap_or(&forms[0])
    }
}

/// One of the files of a key.
pub(crate) type KeyFile = (Half, Form);

/// The public key in SSZ.
pub(crate) const PUBLIC_SSZ: KeyFile = (Half::Public, Form::Ssz);
/// The secret key in SSZ, which the manifest names.
pub(crate) const SECRET_SSZ: KeyFile = (Half::Secret, Form::Ssz);

/// All files of a key; without JSON, the first two.
pub(crate) const KEY_FILES: [KeyFile; 4] = [
    PUBLIC_SSZ,
    SECRET_SSZ,
    (Half::Public, Form::Json),
    (Half::Secret, Form::Json),
];

/// The files that a key has.
pub(crate) fn key_files(with_json: bool) -> &'static [KeyFile] {
    &KEY_FILES[..if with_json { 4 } else { 2 }]
}

/// Some of the files of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyFiles(u8);

impl KeyFiles {
    fn bit((half, form): KeyFile) -> u8 {
        1 << (half as u8 + 2 * form as u8)
    }

    pub(crate) fn add(&mut self, file: KeyFile) {
        self.0 |= Self::bit(file);
    }

    pub(crate) fn has(self, file: KeyFile) -> bool {
        self.0 & Self::bit(file) != 0
    }

    /// Takes out those of a form, and gives them.
    pub(crate) fn take_form(&mut self, form: Form) -> impl Iterator<Item = KeyFile> {
        let (taken, left) = self.iter().partition::<Vec<_>, _>(|(_, of)| *of == form);
        *self = left.into_iter().collect();
        taken.into_iter()
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = KeyFile> {
        KEY_FILES.into_iter().filter(move |&file| self.has(file))
    }
}

impl FromIterator<KeyFile> for KeyFiles {
    fn from_iter<I: IntoIterator<Item = KeyFile>>(files: I) -> Self {
        let mut found = Self::default();
        files.into_iter().for_each(|file| found.add(file));
        found
    }
}

/// How the files of one validator begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Prefix {
    /// Its index.
    Index(u64),
    /// Both ends of its proposer's public key.
    PublicKey([u8; NAMED_BYTES], [u8; NAMED_BYTES]),
}

impl Prefix {
    /// Of a validator that is known by its proposer's public key.
    pub(crate) fn of_public_key(proposer: &[u8]) -> Self {
        let behind = proposer.len().saturating_sub(NAMED_BYTES);
        let end = |from: usize| std::array::from_fn(|at| proposer.get(from + at).copied().unwrap_or_default());
        Self::PublicKey(end(0), end(behind))
    }

    fn parse(text: &str) -> Option<Self> {
        let end = |digits: &str| {
            let mut bytes = [0; NAMED_BYTES];
            hex::decode_to_slice(digits, &mut bytes).ok()?;
            Some(bytes)
        };
        let found = match text.strip_prefix("validator_") {
            Some(digits) => Self::Index(digits.parse().ok()?),
            None => {
                let (first, last) = text.strip_prefix("validator-")?.split_once('-')?;
                Self::PublicKey(end(first)?, end(last)?)
            }
        };
        // Digits have one form.
        (found.to_string() == text).then_some(found)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "validator_{index}"),
            Self::PublicKey(first, last) => write!(f, "validator-{}-{}", hex::encode(first), hex::encode(last)),
        }
    }
}

/// What a key of a set is called: how the names of its files begin, and the name of its directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyName {
    pub(crate) prefix: Prefix,
    pub(crate) role: Role,
}

impl KeyName {
    /// The name of one file.
    pub(crate) fn file(self, (half, form): KeyFile) -> String {
        let half = match half {
            Half::Public => "pk",
            Half::Secret => "sk",
        };
        format!("{self}_{half}.{}", form.ending())
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_key", self.prefix, self.role)
    }
}

/// An index as it is written: decimal, without a sign or leading zeros.
pub(crate) fn parse_index(digits: &str) -> Option<u64> {
    let index: u64 = digits.parse().ok()?;
    (index.to_string() == digits).then_some(index)
}

/// What a name in a set stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// A file of a key.
    File(KeyName, KeyFile),
    /// The directory of a key.
    Directory(KeyName),
}

impl Named {
    /// Reads a name; none if it is not one of a key.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (stem, form) = match name.rsplit_once('.') {
            Some((stem, ending)) => (stem, Some(Form::ALL.iter().find(|(_, of, _)| *of == ending)?.0)),
            None => (name, None),
        };
        let (stem, half) = match (stem.strip_suffix("_pk"), stem.strip_suffix("_sk")) {
            (Some(stem), _) => (stem, Some(Half::Public)),
            (_, Some(stem)) => (stem, Some(Half::Secret)),
            _ => (stem, None),
        };
        let (prefix, role) = stem.strip_suffix("_key")?.rsplit_once('_')?;
        let key = KeyName {
            prefix: Prefix::parse(prefix)?,
            role: Role::by_name(role)?,
        };
        match (half, form) {
            (Some(half), Some(form)) => Some(Self::File(key, (half, form))),
            (None, None) => Some(Self::Directory(key)),
            _ => None,
        }
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
        let prefix = Prefix::Index(index);
        self.work().join(KeyName { prefix, role }.to_string())
    }

    pub(crate) fn file(&self, key: KeyName, file: KeyFile) -> PathBuf {
        self.root.join(key.file(file))
    }

    /// The directory of a key, beside its files.
    pub(crate) fn kept(&self, key: KeyName) -> PathBuf {
        self.root.join(key.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_that_is_given_is_read_as_what_it_stands_for() {
        let public_key: Vec<u8> = (0x10..0x44).collect();
        for prefix in [Prefix::Index(0), Prefix::Index(907), Prefix::of_public_key(&public_key)] {
            for role in Role::ALL {
                let key = KeyName { prefix, role };
                for &file in key_files(true) {
                    let name = key.file(file);
                    assert_eq!(Named::parse(&name), Some(Named::File(key, file)), "{name}");
                }
                let name = key.to_string();
                assert_eq!(Named::parse(&name), Some(Named::Directory(key)), "{name}");
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
