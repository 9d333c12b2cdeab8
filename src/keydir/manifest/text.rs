//! The manifest as text: TOML of fixed order, closed by a checksum of itself.

use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha3::{Digest, Sha3_256};

use super::{FORMAT_VERSION, KeyState, Manifest, check_digest};
use crate::error::Result;
use crate::failure::attempt;
use crate::files::Entry;
use crate::files::publish::{Mode, replace};
use crate::keydir::Origin;
use crate::keydir::error::{bad_manifest, newer_format, unopened};
use crate::keydir::locked::LockedDir;
use crate::plan::Plan;
use crate::text::toml_fault;
use crate::units::{Fingerprint, Level};
use keymill_xmss::scheme::{Parameter, Scheme};

/// The first format whose manifests have a fingerprint.
const FINGERPRINT_VERSION: u32 = 3;
const CHECKSUM_LINE: &str = "checksum = ";
const MANIFEST_MODE: Mode = Mode::Umasked(0o600);
/// Far more than the longest manifest has. What follows in a larger file is not looked at.
const MANIFEST_BYTES_MAX: u64 = 1 << 20;

/// The manifest as text: plain values, hex without 0x.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestText {
    format_version: u32,
    key_id: String,
    scheme: String,
    activation_epoch: u64,
    active_epochs: u64,
    stored_start: u64,
    stored_end: u64,
    parameter: String,
    secret_commitment: String,
    fingerprint: Option<String>,
    origin: Origin,
    trim: u8,
    state: KeyState,
    expected_root: Option<String>,
    root: Option<String>,
    public_key: Option<String>,
    fillers: Vec<String>,
}

impl Manifest {
    /// Reads a manifest; `None` if there is none.
    pub(crate) fn read(file: &Entry) -> Result<Option<Self>> {
        let path = file.path();
        let file = match file.open_to_read() {
            Err(failure) if failure.is_missing() => return Ok(None),
            Err(failure) => return Err(unopened(failure)),
            Ok(file) => file,
        };
        let mut text = Vec::new();
        attempt("read", path, || file.take(MANIFEST_BYTES_MAX).read_to_end(&mut text))?;
        Self::parse(&text, path).map(Some)
    }

    /// Replaces the file, atomically and durably.
    pub(crate) fn write(&self, directory: &LockedDir) -> Result<()> {
        let file = directory.manifest();
        let text = self.to_text().map_err(|what| bad_manifest(file.path(), &what))?;
        Ok(replace(&file, text.as_bytes(), MANIFEST_MODE)?)
    }

    pub(crate) fn to_text(&self) -> Result<String, String> {
        let stored = self.plan.stored();
        let body = toml::to_string(&ManifestText {
            format_version: self.format_version,
            key_id: self.key_id().to_string(),
            scheme: self.scheme().id().to_owned(),
            activation_epoch: self.plan.activation_epoch(),
            active_epochs: self.plan.active_epochs(),
            stored_start: stored.start,
            stored_end: stored.end,
            parameter: hex::encode(self.parameter),
            secret_commitment: hex::encode(self.secret_commitment),
            fingerprint: self.fingerprint.map(|fingerprint| fingerprint.to_string()),
            origin: self.origin,
            trim: self.plan.trim().0,
            state: self.state(),
            expected_root: self.expected_root().map(hex::encode),
            root: self.root().map(hex::encode),
            public_key: self.public_key().map(hex::encode),
            fillers: self.fillers.iter().map(hex::encode).collect(),
        })
        .map_err(|error| error.to_string())?;
        Ok(Self::with_checksum(&body))
    }

    /// The fields, and the line that closes them.
    pub(crate) fn with_checksum(body: &str) -> String {
        let checksum = hex::encode(Sha3_256::digest(body.as_bytes()));
        format!("{body}{CHECKSUM_LINE}\"{checksum}\"\n")
    }

    /// Everything before the checksum line, if the checksum is that of it.
    pub(crate) fn checked_body(text: &str) -> Result<&str, &'static str> {
        let at = text
            .rfind(CHECKSUM_LINE)
            .ok_or("it has no checksum line; it is cut short")?;
        let (body, line) = text.split_at(at);
        let checksum = hex::encode(Sha3_256::digest(body.as_bytes()));
        if line != format!("{CHECKSUM_LINE}\"{checksum}\"\n") {
            return Err("its checksum does not match; it was changed after keymill wrote it");
        }
        Ok(body)
    }

    /// A key of which is known what is public before it is made: the scheme, first epoch and number of epochs that were asked for,
    /// trim, parameter, commitment, and fillers.
    pub(crate) fn of_public_fields(
        scheme: &str,
        (activation_epoch, active_epochs): (u64, u64),
        trim: u8,
        parameter: &str,
        commitment: &str,
        filler_digits: &[String],
    ) -> Result<Self, String> {
        let scheme = Scheme::by_id(scheme).map_err(|error| error.to_string())?;
        let plan = Plan::new(scheme, activation_epoch, active_epochs)
            .and_then(|plan| plan.trimmed(Level(trim)))
            .map_err(|error| error.to_string())?;
        let parameter = hex::decode(parameter).map_err(|error| format!("parameter: {error}"))?;
        let parameter = Parameter::new(scheme, &parameter).map_err(|error| format!("parameter: {error}"))?;
        let mut secret_commitment = [0; 32];
        hex::decode_to_slice(commitment, &mut secret_commitment)
            .map_err(|error| format!("secret_commitment: {error}"))?;
        let mut fillers = Vec::new();
        for filler in filler_digits {
            fillers.extend(digest_from_hex(scheme, filler).map_err(|error| format!("fillers: {error}"))?);
        }
        if filler_digits.len() != plan.filler_count() {
            return Err(format!("fillers: {} are needed", plan.filler_count()));
        }
        Ok(Self::begin(plan, parameter, secret_commitment, Origin::Seed, fillers))
    }

    /// The same key as [`of_public_fields`](Self::of_public_fields) knows it.
    pub(crate) fn public_part(&self) -> Self {
        let fillers = self.fillers.digests().to_vec();
        Self::begin(
            self.plan.clone(),
            self.parameter,
            self.secret_commitment,
            Origin::Seed,
            fillers,
        )
    }

    pub(crate) fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        let damaged = |what: String| bad_manifest(path, &what);
        let text = std::str::from_utf8(bytes).map_err(|error| damaged(error.to_string()))?;
        // Before anything else is looked at: a newer program may write quite another manifest.
        if let Some(found) = leading_version(text).filter(|&found| found > FORMAT_VERSION) {
            return Err(newer_format(path, found));
        }
        let body = Self::checked_body(text).map_err(|what| damaged(what.to_owned()))?;
        let fields: ManifestText = toml::from_str(body).map_err(|error| damaged(toml_fault(&error, body)))?;
        let claimed_id = fields.key_id.clone();
        let manifest = fields.into_manifest().map_err(damaged)?;
        if manifest.key_id().to_string() != claimed_id {
            return Err(damaged("key_id does not follow from the fields".to_owned()));
        }
        Ok(manifest)
    }
}

impl ManifestText {
    fn into_manifest(self) -> Result<Manifest, String> {
        let key = Manifest::of_public_fields(
            &self.scheme,
            (self.activation_epoch, self.active_epochs),
            self.trim,
            &self.parameter,
            &self.secret_commitment,
            &self.fillers,
        )?;
        let stored = key.plan.stored();
        if (stored.start, stored.end) != (self.stored_start, self.stored_end) {
            return Err(format!("stored_start and stored_end must be {stored}"));
        }
        let fingerprint = self.read_fingerprint()?;
        let optional = |name: &str, digits: &Option<String>| {
            let digest = digits.as_deref().map(|root| digest_from_hex(key.scheme(), root));
            digest.transpose().map_err(|error| format!("{name}: {error}"))
        };
        let expected_root = optional("expected_root", &self.expected_root)?;
        let root = optional("root", &self.root)?;
        if root.is_some() && expected_root.is_some() {
            return Err("expected_root is of a key that is not sealed".to_owned());
        }
        let manifest = Manifest {
            format_version: self.format_version,
            fingerprint,
            origin: self.origin,
            expected_root,
            root,
            ..key
        };
        if manifest.state() != self.state {
            return Err("state and root contradict each other".to_owned());
        }
        if manifest.public_key().map(hex::encode) != self.public_key {
            return Err("public_key is not root and parameter".to_owned());
        }
        Ok(manifest)
    }

    fn read_fingerprint(&self) -> Result<Option<Fingerprint>, String> {
        let Some(digits) = &self.fingerprint else {
            return Ok(None);
        };
        if self.format_version < FINGERPRINT_VERSION {
            return Err(format!("fingerprint: format version {} has none", self.format_version));
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|error| format!("fingerprint: {error}"))?;
        Ok(Some(Fingerprint(bytes)))
    }
}

fn digest_from_hex(scheme: &Scheme, digits: &str) -> Result<Vec<u8>, String> {
    let bytes = hex::decode(digits).map_err(|error| error.to_string())?;
    check_digest(scheme, &bytes)?;
    Ok(bytes)
}

/// The version on the first line, which every version of the manifest begins with.
fn leading_version(text: &str) -> Option<u32> {
    let line = text.lines().next()?;
    line.strip_prefix("format_version = ")?.trim().parse().ok()
}
