//! The texts in which keymill notes what was asked for and which keys of a set are finished.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::names::{Role, parse_index};
use crate::text::toml_fault;
use keymill_xmss::scheme::Scheme;

pub(crate) const RECORD_VERSION: u32 = 1;

/// What was asked for, as `set.toml` has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) version: u32,
    pub(crate) scheme: String,
    pub(crate) log_num_active_epochs: u8,
    pub(crate) start_index: u64,
    pub(crate) num_validators: u64,
    pub(crate) roles: Vec<String>,
    pub(crate) distributed: bool,
    pub(crate) json: bool,
    pub(crate) keep_dirs: bool,
    pub(crate) trim: u8,
    /// None if each key has a fresh seed.
    pub(crate) seed_commitment: Option<String>,
}

impl Record {
    /// Reads the text of a record, or says what is wrong with it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not text".to_owned())?;
        let record: Self = toml::from_str(text).map_err(|error| toml_fault(&error, text))?;
        match record.version {
            RECORD_VERSION => Ok(record),
            version => Err(format!("its version is {version}, this program knows {RECORD_VERSION}")),
        }
    }

    pub(crate) fn to_text(&self) -> Result<String, String> {
        toml::to_string(self).map_err(|error| error.to_string())
    }
}

/// The public keys of the finished keys. All of their files are on disk.
pub(crate) type FinishedKeys = BTreeMap<(u64, Role), Vec<u8>>;

/// The line of a finished key.
pub(crate) fn finished_line((index, role): (u64, Role), public_key: &[u8]) -> String {
    format!("{index} {role} {}\n", hex::encode(public_key))
}

/// The lines that have an end; of the last one, the process that wrote it may have died.
pub(crate) fn parse_finished(bytes: &[u8], scheme: &Scheme) -> Result<FinishedKeys, String> {
    let mut keys = FinishedKeys::new();
    for (number, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let Some(line) = line.strip_suffix(b"\n") else { break };
        let parsed = std::str::from_utf8(line).ok().and_then(|line| parse_line(line, scheme));
        let (key, public_key) = parsed.ok_or_else(|| format!("line {} is not that of a finished key", number + 1))?;
        if keys.insert(key, public_key).is_some() {
            return Err(format!("line {} is of a key that another line is of", number + 1));
        }
    }
    Ok(keys)
}

fn parse_line(line: &str, scheme: &Scheme) -> Option<((u64, Role), Vec<u8>)> {
    let mut words = line.split(' ');
    let (index, role, digits) = (words.next()?, words.next()?, words.next()?);
    let public_key = hex::decode(digits).ok()?;
    let is_whole = words.next().is_none() && public_key.len() == scheme.public_key_bytes();
    is_whole.then_some(((parse_index(index)?, Role::by_name(role)?), public_key))
}
