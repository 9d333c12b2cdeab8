//! The manifest of a key set: written and read line by line, in the forms that hash-sig-cli and ethlambda give it.

use std::io::{BufRead, Write};
use std::ops::RangeInclusive;

pub(crate) use super::lines::ManifestError;

use super::lines::Lines;
use super::names::{KeyName, Prefix, Role, SECRET_SSZ, parse_index};
use super::revision::LeanvmRevision;
use super::words::{are_of_koala_bear, scheme_of, words};
use crate::plan::{PlanError, stored_interval};
use crate::text::Foreign;
use crate::units::EpochRange;
use keymill_xmss::scheme::{KeyForms, Scheme};

/// What all keys of a set have in common, as far as the manifest says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetKind {
    /// The scheme that goes by the name in the manifest. All versions of leanVM's XMSS have one name: then it is the first of
    /// them, and each key tells its own.
    pub(crate) scheme: &'static Scheme,
    /// The leanVM that made the keys.
    pub(crate) leanvm_rev: Option<LeanvmRevision>,
    pub(crate) log_epochs: u8,
    /// Which keys each validator has, in the order of [`Role::ALL`].
    pub(crate) roles: Vec<Role>,
    /// Validators are named by their proposer's public key, and have no index.
    pub(crate) is_distributed: bool,
    pub(crate) layout: Layout,
}

/// How the lines of a manifest stand, which says nothing of the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// There is a field `pubkey_bytes`, and an empty line behind each validator and not only between them: so in hash-sig-cli
    /// 0.5, and in ethlambda.
    has_pubkey_bytes: bool,
    /// Of each validator, the attester's key stands first.
    is_attester_first: bool,
}

/// One validator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Validator {
    /// None in a distributed set.
    pub(crate) index: Option<u64>,
    /// One a role of the set, in its order.
    pub(crate) public_keys: Vec<Vec<u8>>,
}

/// A manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetManifest {
    pub(crate) kind: SetKind,
    pub(crate) validators: Vec<Validator>,
}

impl SetKind {
    /// A set of keys of this scheme, laid out as the program does that makes them beside keymill.
    pub(crate) fn new(
        scheme: &'static Scheme,
        log_epochs: u8,
        roles: Vec<Role>,
        is_distributed: bool,
        leanvm_rev: Option<LeanvmRevision>,
    ) -> Self {
        let mut kind = Self {
            scheme: scheme_of(words(scheme).key_scheme).unwrap_or(scheme),
            leanvm_rev,
            log_epochs,
            roles,
            is_distributed,
            layout: Layout::default(),
        };
        kind.layout.has_pubkey_bytes = kind.is_of_leanvm();
        kind
    }

    /// Whether it is a set of leanVM's keys, as ethlambda makes them.
    pub(crate) fn is_of_leanvm(&self) -> bool {
        self.scheme.family().key_forms() == KeyForms::Leanvm
    }

    /// The scheme that the manifest claims for the keys; none where it names a version of leanVM that is not known, or none.
    pub(crate) fn claimed_scheme(&self) -> Option<&'static Scheme> {
        if self.is_of_leanvm() {
            self.leanvm_rev?.scheme()
        } else {
            Some(self.scheme)
        }
    }

    /// The powers of two that the number of epochs of a key can be. ethlambda makes no key of one epoch.
    pub(crate) fn possible_log_epochs(scheme: &Scheme) -> RangeInclusive<u8> {
        let least = u8::from(scheme.family().key_forms() == KeyForms::Leanvm);
        least..=scheme.log_lifetime()
    }

    /// Whether a manifest of this kind may be replaced by one of that, since it says no more.
    pub(crate) fn becomes(&self, other: &Self) -> bool {
        let leanvm_rev = self.leanvm_rev.or(other.leanvm_rev);
        let with_revision = Self {
            leanvm_rev,
            ..self.clone()
        };
        with_revision == *other
    }

    /// The epochs that each key stores.
    pub(crate) fn stored(&self) -> Result<EpochRange, PlanError> {
        stored_interval(self.scheme, 0, 1 << self.log_epochs)
    }

    /// How the files of a validator begin.
    pub(crate) fn prefix(&self, validator: &Validator) -> Prefix {
        match (validator.index, validator.public_keys.first()) {
            (Some(index), _) => Prefix::Index(index),
            (None, proposer) => Prefix::of_public_key(proposer.map_or(&[], Vec::as_slice)),
        }
    }

    /// What the files of a key of a validator are called.
    pub(crate) fn name(&self, validator: &Validator, role: Role) -> KeyName {
        let prefix = self.prefix(validator);
        KeyName { prefix, role }
    }

    /// What a key of a validator is called in a sentence.
    pub(crate) fn key_in_words(&self, validator: &Validator, role: Role) -> String {
        match validator.index {
            Some(index) => format!("the {role} key of validator {index}"),
            None => format!("the {role} key of {}", self.prefix(validator)),
        }
    }

    /// The keys of a validator, one a role.
    pub(crate) fn keys<'a>(&self, validator: &'a Validator) -> impl Iterator<Item = NamedKey<'a>> {
        let keys = self.roles.iter().zip(&validator.public_keys);
        keys.map(move |(&role, public_key)| NamedKey {
            validator,
            name: self.name(validator, role),
            public_key,
        })
    }

    /// The fields that stand above the validators, and their values, in order.
    fn header(&self, validators: usize) -> impl Iterator<Item = (&'static str, String)> {
        let words = words(self.scheme);
        let pubkey_bytes = self.layout.has_pubkey_bytes.then(|| self.scheme.public_key_bytes());
        let fields = [
            ("key_scheme", Some(words.key_scheme.to_owned())),
            ("hash_function", Some(words.hash_function.to_owned())),
            ("encoding", Some(words.encoding.to_owned())),
            ("pubkey_bytes", pubkey_bytes.map(|bytes| bytes.to_string())),
            ("lifetime", Some(self.scheme.lifetime().to_string())),
            ("leanvm_rev", self.leanvm_rev.map(|revision| revision.to_string())),
            ("log_num_active_epochs", Some(self.log_epochs.to_string())),
            ("num_active_epochs", Some((1u64 << self.log_epochs).to_string())),
            ("num_validators", Some(validators.to_string())),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }

    /// The roles in the order in which the manifest has them.
    fn order(&self) -> Vec<Role> {
        let mut roles = self.roles.clone();
        if self.layout.is_attester_first {
            roles.reverse();
        }
        roles
    }

    /// The fields of a validator and their values, in order.
    fn fields(&self, validator: &Validator) -> Vec<(String, String)> {
        let index = validator.index.map(|index| ("index".to_owned(), index.to_string()));
        let mut fields: Vec<_> = index.into_iter().collect();
        let mut keys: Vec<_> = self.keys(validator).collect();
        if self.layout.is_attester_first {
            keys.reverse();
        }
        for NamedKey { name, public_key, .. } in keys {
            fields.push((public_key_field(name.role), format!("0x{}", hex::encode(public_key))));
            fields.push((file_field(name.role), name.file(SECRET_SSZ)));
        }
        fields
    }
}

fn public_key_field(role: Role) -> String {
    format!("{role}_key_pubkey_hex")
}

fn file_field(role: Role) -> String {
    format!("{role}_key_privkey_file")
}

/// A key that a manifest names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NamedKey<'a> {
    pub(crate) validator: &'a Validator,
    pub(crate) name: KeyName,
    pub(crate) public_key: &'a [u8],
}

impl SetManifest {
    /// The keys in their order: of each validator one a role.
    pub(crate) fn keys(&self) -> impl Iterator<Item = NamedKey<'_>> {
        self.validators.iter().flat_map(|validator| self.kind.keys(validator))
    }

    /// Writes it.
    pub(crate) fn write(&self, mut to: impl Write) -> std::io::Result<()> {
        writeln!(to, "# Hash-Signature Validator Keys Manifest\n# Generated by keymill\n")?;
        for (name, value) in self.kind.header(self.validators.len()) {
            writeln!(to, "{name}: {value}")?;
        }
        writeln!(to, "\nvalidators:")?;
        let behind_each = self.kind.layout.has_pubkey_bytes;
        for (number, validator) in self.validators.iter().enumerate() {
            if number > 0 && !behind_each {
                writeln!(to)?;
            }
            for (place, (name, value)) in self.kind.fields(validator).into_iter().enumerate() {
                let bullet = if place == 0 { "- " } else { "  " };
                writeln!(to, "  {bullet}{name}: {value}")?;
            }
            if behind_each {
                writeln!(to)?;
            }
        }
        Ok(())
    }

    /// Reads one strictly: fields in order, one a line, each with the value that follows from the others where there is only
    /// one. Lines that are empty or begin with '#' are passed over.
    pub(crate) fn read(from: impl BufRead) -> Result<Self, ManifestError> {
        let mut lines = Lines::new(from);
        let mut kind = read_kind(&mut lines)?;
        let count = lines.field("", "num_validators")?;
        let count = parse_index(&count).ok_or_else(|| lines.wrong(format!("'{}' is not a number", Foreign(&count))))?;
        lines.heading("validators:")?;
        let validators = read_validators(&mut lines, &mut kind)?;
        if validators.len() as u64 == count {
            Ok(Self { kind, validators })
        } else {
            Err(lines.wrong(format!(
                "num_validators is {count}, but {} are listed",
                validators.len()
            )))
        }
    }
}

/// Reads what is said of all keys; which of them a validator has, only the validators say.
fn read_kind(lines: &mut Lines<impl BufRead>) -> Result<SetKind, ManifestError> {
    let name = lines.field("", "key_scheme")?;
    let scheme = scheme_of(&name)
        .ok_or_else(|| lines.wrong(format!("'{}' is not a scheme that is known here", Foreign(&name))))?;
    let mut kind = SetKind::new(scheme, 0, Vec::new(), false, None);
    let words = words(scheme);
    let hash_function = lines.field("", "hash_function")?;
    if are_of_koala_bear(&name, &hash_function) {
        return Err(lines.wrong(format!(
            "hash_function is '{hash_function}': the keys are of leanVM's KoalaBear XMSS of July 2026, which keymill does not know"
        )));
    }
    lines.value("hash_function", &hash_function, words.hash_function)?;
    lines.field_with("encoding", words.encoding)?;
    let is_of_leanvm = kind.is_of_leanvm();
    kind.layout.has_pubkey_bytes = is_of_leanvm || lines.next_begins("pubkey_bytes: ")?;
    if kind.layout.has_pubkey_bytes {
        lines.field_with("pubkey_bytes", &scheme.public_key_bytes().to_string())?;
    }
    lines.field_with("lifetime", &scheme.lifetime().to_string())?;
    if is_of_leanvm && lines.next_begins("leanvm_rev: ")? {
        let text = lines.field("", "leanvm_rev")?;
        let revision = LeanvmRevision::parse(&text);
        kind.leanvm_rev = Some(revision.ok_or_else(|| {
            lines.wrong(format!(
                "leanvm_rev is '{}', it has to be 40 hex digits in lower case",
                Foreign(&text)
            ))
        })?);
    }
    let log = lines.field("", "log_num_active_epochs")?;
    let possible = SetKind::possible_log_epochs(scheme);
    let log_epochs = parse_index(&log)
        .and_then(|log| u8::try_from(log).ok())
        .filter(|log| possible.contains(log));
    kind.log_epochs = log_epochs.ok_or_else(|| {
        let (least, most) = possible.into_inner();
        lines.wrong(format!("{} is not from {least} to {most}", Foreign(&log)))
    })?;
    lines.field_with("num_active_epochs", &(1u64 << kind.log_epochs).to_string())?;
    Ok(kind)
}

/// Reads validators to the end of the text. The first one tells which fields all of them have.
fn read_validators(lines: &mut Lines<impl BufRead>, kind: &mut SetKind) -> Result<Vec<Validator>, ManifestError> {
    let mut validators: Vec<Validator> = Vec::new();
    while let Some(first) = lines.peek()? {
        if validators.is_empty() {
            kind.is_distributed = !first.starts_with("  - index: ");
        }
        let mut bullet = "  - ";
        let mut index = None;
        if !kind.is_distributed {
            let text = lines.field(bullet, "index")?;
            let found =
                parse_index(&text).ok_or_else(|| lines.wrong(format!("'{}' is not an index", Foreign(&text))))?;
            let last = validators.last().and_then(|last| last.index);
            if last.is_some_and(|last| last >= found) {
                return Err(lines.wrong(format!("index {found} is not above the one before it")));
            }
            (index, bullet) = (Some(found), "    ");
        }
        let keys = read_keys(lines, kind, bullet, validators.is_empty())?;
        let validator = Validator {
            index,
            public_keys: keys.iter().map(|key| key.public_key.clone()).collect(),
        };
        // The name of each file can follow from a key that stands below it.
        for key in keys {
            let expected = kind.name(&validator, key.role).file(SECRET_SSZ);
            if key.file != expected {
                return Err(ManifestError::Line {
                    number: key.number,
                    what: format!("the file is '{}', its name has to be '{expected}'", Foreign(&key.file)),
                });
            }
        }
        validators.push(validator);
    }
    Ok(validators)
}

/// A key, as the lines of its validator have it.
struct ReadKey {
    role: Role,
    public_key: Vec<u8>,
    file: String,
    /// The line of that.
    number: u64,
}

/// Reads the keys of a validator, and gives them in the order of their roles. Those of the first validator tell which there
/// are, and in which order.
fn read_keys(
    lines: &mut Lines<impl BufRead>,
    kind: &mut SetKind,
    mut bullet: &str,
    is_first: bool,
) -> Result<Vec<ReadKey>, ManifestError> {
    let mut keys: Vec<ReadKey> = Vec::new();
    let order = kind.order();
    loop {
        let next = if is_first {
            let mut left = Role::ALL.to_vec();
            left.retain(|role| !keys.iter().any(|key| key.role == *role));
            let line = lines.peek()?.unwrap_or_default();
            let is_next = |role: &Role| line.starts_with(&format!("{bullet}{role}_"));
            left.into_iter().find(is_next)
        } else {
            order.get(keys.len()).copied()
        };
        let Some(role) = next else { break };
        let text = lines.field(bullet, &public_key_field(role))?;
        let public_key = lines.public_key(&text, kind.scheme)?;
        bullet = "    ";
        let file = lines.field(bullet, &file_field(role))?;
        keys.push(ReadKey {
            role,
            public_key,
            file,
            number: lines.number,
        });
    }
    kind.layout.is_attester_first = keys.len() > 1 && keys[0].role == Role::Attester;
    keys.sort_by_key(|key| key.role);
    kind.roles = keys.iter().map(|key| key.role).collect();
    if kind.roles.is_empty() || (kind.is_distributed && kind.roles[0] != Role::Proposer) {
        return Err(lines.wrong(format!("no field '{}'", public_key_field(Role::Proposer))));
    }
    Ok(keys)
}
