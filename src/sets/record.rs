//! What was asked for, as it is noted beside the files of a set.

use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::derive::commitment;
use super::key_files::Fault;
use super::request::SetRequest;
use crate::error::{Error, Result};
use crate::failure::attempt;
use crate::files::publish::{Mode, replace};
use crate::files::{Entry, open_to_read};
use crate::keygen::contradiction;
use crate::remedy::{Argument, Remedy};
use crate::text::{Foreign, counted, toml_fault};

const VERSION: u32 = 1;
const MODE: u32 = 0o600;
/// Far more than it has.
const BYTES_MAX: u64 = 1 << 16;

/// What was asked for, as `set.toml` has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    version: u32,
    pub(super) scheme: String,
    log_num_active_epochs: u8,
    start_index: u64,
    pub(super) num_validators: u64,
    roles: Vec<String>,
    distributed: bool,
    json: bool,
    keep_dirs: bool,
    trim: u8,
    /// Left out where it is not so, as programs wrote it that did not know it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    keys_only: bool,
    /// Likewise: the secrets are under a passphrase.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    sealed: bool,
    /// None if each key has a fresh seed.
    seed_commitment: Option<String>,
}

impl Record {
    /// Reads the text of a record, or says what is wrong with it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not text".to_owned())?;
        let record: Self = toml::from_str(text).map_err(|error| toml_fault(&error, text))?;
        match record.version {
            VERSION => Ok(record),
            version => Err(format!("its version is {version}, this program knows {VERSION}")),
        }
    }

    pub(crate) fn to_text(&self) -> Result<String, String> {
        toml::to_string(self).map_err(|error| error.to_string())
    }

    pub(super) fn of(request: &SetRequest) -> Self {
        Self {
            version: VERSION,
            scheme: request.scheme.id().to_owned(),
            log_num_active_epochs: request.log_epochs,
            start_index: request.start_index,
            num_validators: request.validators,
            roles: request.roles.iter().map(|role| role.name().to_owned()).collect(),
            distributed: request.is_distributed,
            json: request.with_json(),
            keep_dirs: request.keeps(),
            trim: request.trim.0,
            keys_only: request.keys_only,
            sealed: request.passphrase.is_some(),
            seed_commitment: request.seed.as_ref().map(|seed| hex::encode(commitment(seed))),
        }
    }

    /// How many keys it is of.
    #[cfg(feature = "serve")]
    pub(super) fn keys(&self) -> u64 {
        self.num_validators.saturating_mul(self.roles.len() as u64)
    }

    /// Reads the record; none if there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, Fault> {
        let file = match open_to_read(path) {
            Err(failure) if failure.is_missing() => return Ok(None),
            file => file?,
        };
        let mut bytes = Vec::new();
        attempt("read", path, || file.take(BYTES_MAX).read_to_end(&mut bytes))?;
        let record = Self::parse(&bytes).map_err(|what| Fault::damaged(path, &what))?;
        Ok(Some(record))
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let text = self.to_text().map_err(|what| Fault::damaged(path, &what))?;
        Ok(replace(&Entry::of(path)?, text.as_bytes(), Mode::Umasked(MODE))?)
    }

    /// What makes a set another one: the argument that says it, and what it is.
    fn facts(&self) -> [(Argument, String); 11] {
        let either = |is_so, yes: &str, no: &str| if is_so { yes } else { no }.to_owned();
        [
            (Argument::Scheme, format!("the scheme {}", Foreign(&self.scheme))),
            (
                Argument::LogNumActiveEpochs,
                format!("2^{} epochs a key", self.log_num_active_epochs),
            ),
            (Argument::StartIndex, format!("the first index {}", self.start_index)),
            (Argument::Roles, format!("the roles {}", Foreign(&self.roles.join(",")))),
            (
                Argument::Distributed,
                either(self.distributed, "names by public key", "names by index"),
            ),
            (
                Argument::ExportFormat,
                either(self.json, "SSZ and JSON files", "SSZ files alone"),
            ),
            (
                Argument::KeepDirs,
                either(self.keep_dirs, "key directories that stay", "no key directories"),
            ),
            (
                Argument::KeysOnly,
                either(self.keys_only, "key directories alone", "files of the keys"),
            ),
            (
                Argument::Seal,
                either(self.sealed, "secrets under a passphrase", "secrets as plain text"),
            ),
            (Argument::Trim, format!("the trim {}", self.trim)),
            (
                Argument::Seed,
                match &self.seed_commitment {
                    None => "fresh seeds".to_owned(),
                    Some(commitment) => format!("a seed with the commitment {}", Foreign(commitment)),
                },
            ),
        ]
    }

    /// Why a request is for another set than this one, if it is. More validators are not another set.
    pub(super) fn contradiction(&self, request: &SetRequest, path: &Path) -> Option<Error> {
        let asked = Self::of(request);
        let validators = |record: &Self| (Argument::NumValidators, counted(record.num_validators, "validator"));
        let compared = asked.facts().into_iter().zip(self.facts());
        let fewer = (asked.num_validators < self.num_validators).then(|| (validators(&asked), validators(self)));
        let ((argument, asked), (_, found)) = compared.chain(fewer).find(|(asked, found)| asked != found)?;
        let change = Remedy::Change(argument);
        Some(contradiction("set", path.to_owned(), [asked, found], change))
    }
}
