//! DIR/manifest.toml: everything public about a key (docs/FORMAT.md, "manifest.toml").

use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha3::{Digest, Sha3_256};

use super::Origin;
use super::error::{bad_manifest, newer_format, unopened};
use super::locked::LockedDir;
use crate::error::Result;
use crate::failure::attempt;
use crate::files::Entry;
use crate::files::publish::{Mode, replace};
use crate::plan::{Plan, PlanError};
use crate::text::toml_fault;
use crate::units::{Fingerprint, KeyId, Level};
use keymill_xmss::hash::Kernel;
use keymill_xmss::scheme::{Parameter, Scheme};
use keymill_xmss::tree::{Fillers, Fold};

/// The newest format of a key directory. Version 0 is a directory whose creation has begun.
pub const FORMAT_VERSION: u32 = 3;
/// The first one whose manifests have a fingerprint.
const FINGERPRINT_VERSION: u32 = 3;
const BINDING_DOMAIN: &[u8] = b"keymill/1 binding";
const CHECKSUM_LINE: &str = "checksum = ";
const MANIFEST_MODE: Mode = Mode::Umasked(0o600);
/// Far more than the longest manifest has. What follows in a larger file is not looked at.
const MANIFEST_BYTES_MAX: u64 = 1 << 20;

/// How far a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyState {
    /// Batches are being computed.
    Generating,
    /// Finished: the files do not change any more.
    Sealed,
}

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

/// Everything public about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub(crate) format_version: u32,
    plan: Plan,
    parameter: Parameter,
    secret_commitment: [u8; 32],
    fingerprint: Option<Fingerprint>,
    origin: Origin,
    fillers: Fillers,
    expected_root: Option<Vec<u8>>,
    root: Option<Vec<u8>>,
}

impl Manifest {
    /// The manifest of a key whose creation begins.
    pub(crate) fn begin(
        plan: Plan,
        parameter: Parameter,
        secret_commitment: [u8; 32],
        origin: Origin,
        fillers: Vec<u8>,
    ) -> Self {
        let fillers = fillers_of(&plan, fillers);
        Self {
            format_version: 0,
            plan,
            parameter,
            secret_commitment,
            fingerprint: None,
            origin,
            fillers,
            expected_root: None,
            root: None,
        }
    }

    /// The same key, not finished, with the root that it has to have, a sound digest.
    pub(crate) fn expecting(self, root: Option<Vec<u8>>) -> Self {
        Self {
            expected_root: root,
            ..self
        }
    }

    /// The same key of a secret that came from elsewhere.
    pub(crate) fn of_origin(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// The same key with the fingerprint of its one-time keys.
    pub(crate) fn with_fingerprint(self, fingerprint: Fingerprint) -> Self {
        Self {
            fingerprint: Some(fingerprint),
            ..self
        }
    }

    /// The plan that the key follows.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The scheme.
    pub fn scheme(&self) -> &'static Scheme {
        self.plan.scheme()
    }

    /// Public parameter, canonical bytes.
    pub fn parameter(&self) -> &Parameter {
        &self.parameter
    }

    /// SHA3-256 commitment to the PRF key.
    pub fn secret_commitment(&self) -> &[u8; 32] {
        &self.secret_commitment
    }

    /// The fingerprint of the one-time keys; none of a key from an earlier program whose secret was not at hand since.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
    }

    /// Where the secret came from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The digests that stand in for missing siblings.
    pub fn fillers(&self) -> &Fillers {
        &self.fillers
    }

    /// What the levels of the key are folded with.
    pub(crate) fn fold<'a>(&'a self, kernel: &'a dyn Kernel) -> Fold<'a> {
        Fold::new(kernel, self.plan.geometry(), &self.fillers)
    }

    /// How far the key is.
    pub fn state(&self) -> KeyState {
        match self.root {
            Some(_) => KeyState::Sealed,
            None => KeyState::Generating,
        }
    }

    /// The root that the key has to have before it is sealed: that of a key which existed before.
    pub fn expected_root(&self) -> Option<&[u8]> {
        self.expected_root.as_deref()
    }

    /// The root digest, once the key is sealed.
    pub fn root(&self) -> Option<&[u8]> {
        self.root.as_deref()
    }

    /// The public key, root and then parameter, once the key is sealed.
    pub fn public_key(&self) -> Option<Vec<u8>> {
        Some([self.root()?, &self.parameter].concat())
    }

    /// As [`Self::public_key`], also of a key that is not sealed, if it existed before.
    pub(crate) fn known_public_key(&self) -> Option<Vec<u8>> {
        Some([self.root().or(self.expected_root())?, &self.parameter].concat())
    }

    pub(crate) fn sealed(self, root: Vec<u8>) -> Self {
        Self {
            expected_root: None,
            root: Some(root),
            ..self
        }
    }

    /// The same key with another trim.
    pub(crate) fn trimmed(self, trim: Level) -> Result<Self, PlanError> {
        let plan = self.plan.trimmed(trim)?;
        Ok(Self { plan, ..self })
    }

    /// Hash of everything that decides the key's bytes, and of the commitment to the secret. The trim says how many of
    /// them are stored, and is not part of it: a key that is trimmed stays the key that its layer files name.
    pub(crate) fn binding(&self) -> [u8; 32] {
        let stored = self.plan.stored();
        let id = self.scheme().id();
        Sha3_256::new()
            .chain_update(BINDING_DOMAIN)
            .chain_update((id.len() as u64).to_le_bytes())
            .chain_update(id)
            .chain_update(self.plan.activation_epoch().to_le_bytes())
            .chain_update(self.plan.active_epochs().to_le_bytes())
            .chain_update(stored.start.to_le_bytes())
            .chain_update(stored.end.to_le_bytes())
            .chain_update(self.parameter)
            .chain_update(self.secret_commitment)
            .chain_update(self.fillers.digests())
            .finalize()
            .into()
    }

    /// The key's identifier: the first half of the binding.
    pub fn key_id(&self) -> KeyId {
        let binding = self.binding();
        KeyId(std::array::from_fn(|i| binding[i]))
    }

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

    pub(crate) fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        let damaged = |what: String| bad_manifest(path, &what);
        let text = std::str::from_utf8(bytes).map_err(|error| damaged(error.to_string()))?;
        // Before anything else is looked at: a newer program may write quite another manifest.
        if let Some(found) = leading_version(text).filter(|&found| found > FORMAT_VERSION) {
            return Err(newer_format(path, found));
        }
        let body = checked_body(text).map_err(|what| damaged(what.to_owned()))?;
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
        let scheme = Scheme::by_id(&self.scheme).map_err(|error| error.to_string())?;
        let plan = Plan::new(scheme, self.activation_epoch, self.active_epochs)
            .and_then(|plan| plan.trimmed(Level(self.trim)))
            .map_err(|error| error.to_string())?;
        let stored = plan.stored();
        if (stored.start, stored.end) != (self.stored_start, self.stored_end) {
            return Err(format!("stored_start and stored_end must be {stored}"));
        }
        let parameter = hex::decode(&self.parameter).map_err(|error| format!("parameter: {error}"))?;
        let parameter = Parameter::new(scheme, &parameter).map_err(|error| format!("parameter: {error}"))?;
        let mut secret_commitment = [0; 32];
        hex::decode_to_slice(&self.secret_commitment, &mut secret_commitment)
            .map_err(|error| format!("secret_commitment: {error}"))?;
        let fingerprint = self.read_fingerprint()?;
        let digest =
            |name: &str, digits: &str| digest_from_hex(scheme, digits).map_err(|error| format!("{name}: {error}"));
        let mut fillers = Vec::new();
        for filler in &self.fillers {
            fillers.extend(digest("fillers", filler)?);
        }
        if self.fillers.len() != plan.filler_count() {
            return Err(format!("fillers: {} are needed", plan.filler_count()));
        }
        let optional =
            |name: &str, digits: &Option<String>| digits.as_deref().map(|root| digest(name, root)).transpose();
        let expected_root = optional("expected_root", &self.expected_root)?;
        let root = optional("root", &self.root)?;
        if root.is_some() && expected_root.is_some() {
            return Err("expected_root is of a key that is not sealed".to_owned());
        }
        let manifest = Manifest {
            format_version: self.format_version,
            fillers: fillers_of(&plan, fillers),
            plan,
            parameter,
            secret_commitment,
            fingerprint,
            origin: self.origin,
            expected_root,
            root,
        };
        if manifest.state() != self.state {
            return Err("state and root contradict each other".to_owned());
        }
        if manifest.public_key().map(hex::encode) != self.public_key {
            return Err("public_key is not root and parameter".to_owned());
        }
        Ok(manifest)
    }
}

impl ManifestText {
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

fn fillers_of(plan: &Plan, digests: Vec<u8>) -> Fillers {
    Fillers::new(plan.geometry(), plan.scheme().digest_bytes(), digests)
}

fn digest_from_hex(scheme: &Scheme, digits: &str) -> Result<Vec<u8>, String> {
    let bytes = hex::decode(digits).map_err(|error| error.to_string())?;
    check_digest(scheme, &bytes)?;
    Ok(bytes)
}

/// Refuses what is not a digest of this scheme.
pub(crate) fn check_digest(scheme: &Scheme, bytes: &[u8]) -> Result<(), String> {
    if bytes.len() != scheme.digest_bytes() {
        return Err(format!("{} bytes instead of {}", bytes.len(), scheme.digest_bytes()));
    }
    scheme.check_canonical(bytes).map_err(|error| error.to_string())
}

/// The version on the first line, which every version of the manifest begins with.
fn leading_version(text: &str) -> Option<u32> {
    let line = text.lines().next()?;
    line.strip_prefix("format_version = ")?.trim().parse().ok()
}

/// Everything before the checksum line, if the checksum is that of it.
fn checked_body(text: &str) -> Result<&str, &'static str> {
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
