//! The file: keystore version 5 of EIP-8310, as JSON.

use serde::{Deserialize, Serialize};

use super::cipher::Encrypted;
use super::crypto_object::{CryptoObject, Functions};
use super::error::no_randomness;
use super::facts::KeyFacts;
use super::kdf::Kdf;
use super::passphrase::Passphrase;
use super::scheme_object::{self, SchemeObject};
use super::secret::Secret;
use super::state_object::{Snapshot, StateObject};
use super::{Fault, Origin, from_hex};
use crate::error::Result;
use crate::text::{bytes_without_mark, json_fault};

const VERSION: u64 = 5;
const DESCRIPTION: &str = "keymill: the secret of a hash-based signing key. Which epochs may sign is not in this file.";
/// Several times what the largest key has, with 66 fillers.
pub(crate) const KEYSTORE_BYTES_MAX: usize = 64 << 10;

/// A secret under a passphrase, and everything else that its key follows from.
#[derive(Clone, Debug)]
pub(crate) struct Keystore {
    facts: KeyFacts,
    kdf: Kdf,
    encrypted: Encrypted,
    labels: Labels,
}

/// What says nothing of the key, and is not bound to it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Labels {
    description: Option<String>,
    path: String,
    uuid: String,
    state: Option<StateObject>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct File {
    crypto: CryptoObject,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    pubkey: String,
    path: String,
    uuid: String,
    version: u64,
    scheme: SchemeObject,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<StateObject>,
    /// Ours: where the secret came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<Origin>,
}

/// What a file calls itself, whatever else is in it.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Beginning {
    version: Option<u64>,
}

#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Names {
    scheme: Named,
    crypto: Functions,
}

#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Named {
    name: String,
}

impl PartialEq for Keystore {
    fn eq(&self, other: &Self) -> bool {
        (&self.facts, &self.kdf, &self.encrypted, &self.labels)
            == (&other.facts, &other.kdf, &other.encrypted, &other.labels)
    }
}

impl Keystore {
    /// Encrypts a secret, with a nonce of its own, and a salt too unless the passphrase is [for many](Passphrase::for_many).
    pub(crate) fn seal(
        facts: KeyFacts,
        secret: &Secret,
        passphrase: &Passphrase,
        state: Option<&Snapshot>,
    ) -> Result<Self> {
        let (kdf, key) = passphrase.fresh_key()?;
        let associated = SchemeObject::associated_data(&facts);
        Ok(Self {
            encrypted: Encrypted::new(secret.bytes(), &key, associated.as_bytes())?,
            facts,
            kdf,
            labels: Labels {
                description: Some(DESCRIPTION.to_owned()),
                path: String::new(),
                uuid: fresh_uuid()?,
                state: state.map(StateObject::of),
            },
        })
    }

    /// The secret; none if the passphrase does not open it.
    pub(crate) fn open(&self, passphrase: &Passphrase) -> Result<Option<Secret>> {
        let key = passphrase.key(&self.kdf)?;
        let associated = SchemeObject::associated_data(&self.facts);
        let opened = self.encrypted.open(&key, associated.as_bytes());
        Ok(opened.map(|bytes| self.facts.secret(*bytes)))
    }

    /// As [`open`](Self::open), with a key that is derived once more.
    pub(crate) fn open_anew(&self, passphrase: &Passphrase) -> Result<Option<Secret>> {
        self.open(&passphrase.without_key())
    }

    /// Everything that the key follows from beside the secret.
    pub(crate) fn facts(&self) -> &KeyFacts {
        &self.facts
    }

    pub(crate) fn to_text(&self) -> Result<String, Fault> {
        let file = File {
            crypto: CryptoObject::of(&self.kdf, &self.encrypted),
            description: self.labels.description.clone(),
            pubkey: self.facts.public_key.as_ref().map(hex::encode).unwrap_or_default(),
            path: self.labels.path.clone(),
            uuid: self.labels.uuid.clone(),
            version: VERSION,
            scheme: SchemeObject::of(&self.facts),
            state: self.labels.state.clone(),
            origin: Some(self.facts.origin),
        };
        let text = serde_json::to_string_pretty(&file).map_err(|error| json_fault(&error))?;
        Ok(text + "\n")
    }

    /// Reads a file; the fault says what is wrong with it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        if bytes.len() > KEYSTORE_BYTES_MAX {
            return Err(format!("it has more than {KEYSTORE_BYTES_MAX} bytes"));
        }
        let bytes = bytes_without_mark(bytes);
        let fault = |error: serde_json::Error| json_fault(&error);
        let beginning: Beginning = serde_json::from_slice(bytes).map_err(fault)?;
        match beginning.version {
            Some(VERSION) => {}
            Some(other) => {
                return Err(format!(
                    "its version is {other}, and keymill reads version {VERSION} alone"
                ));
            }
            None => return Err("it has no 'version', so it is not a keystore".to_owned()),
        }
        let names: Names = serde_json::from_slice(bytes).map_err(fault)?;
        if names.scheme.name != scheme_object::NAME {
            return Err(scheme_object::unknown_name(&names.scheme.name));
        }
        names.crypto.check()?;
        Self::of_file(serde_json::from_slice(bytes).map_err(fault)?)
    }

    fn of_file(file: File) -> Result<Self, Fault> {
        let public_key = from_hex("pubkey", &file.pubkey)?;
        let public_key = Some(public_key).filter(|bytes| !bytes.is_empty());
        let (kdf, encrypted) = file.crypto.parts()?;
        if !is_uuid(&file.uuid) {
            return Err("its 'uuid' is not one".to_owned());
        }
        if let Some(state) = &file.state {
            state.check()?;
        }
        Ok(Self {
            facts: file.scheme.facts(file.origin, public_key)?,
            kdf,
            encrypted,
            labels: Labels {
                description: file.description,
                path: file.path,
                uuid: file.uuid,
                state: file.state,
            },
        })
    }
}

#[cfg(test)]
impl Keystore {
    /// Whether the key is derived in another way than that of this text.
    pub(super) fn has_other_kdf(&self, text: &str) -> bool {
        Self::parse(text.as_bytes()).is_ok_and(|other| other.kdf != self.kdf)
    }
}

/// A random UUID (RFC 9562, version 4).
fn fresh_uuid() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(no_randomness)?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex::encode(bytes);
    let groups = [
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..],
    ];
    Ok(groups.join("-"))
}

fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    let is_part = |c: char| c == '-' || c.is_ascii_hexdigit();
    lengths.eq([8, 4, 4, 4, 12]) && text.chars().all(is_part)
}
