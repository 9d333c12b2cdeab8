//! DIR/manifest.toml: everything public about a key (docs/FORMAT.md, "manifest.toml").

mod text;

use serde::{Deserialize, Serialize};
use sha3::{Digest, Sha3_256};

use super::Origin;
use crate::plan::{Plan, PlanError};
use crate::units::{Fingerprint, KeyId, Level};
use keymill_xmss::hash::Kernel;
use keymill_xmss::scheme::{Parameter, Scheme};
use keymill_xmss::tree::{Fillers, Fold};

/// The newest format of a key directory. Version 0 is a directory whose creation has begun.
pub const FORMAT_VERSION: u32 = 3;
const BINDING_DOMAIN: &[u8] = b"keymill/1 binding";

/// How far a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyState {
    /// Batches are being computed.
    Generating,
    /// Finished: the files do not change any more.
    Sealed,
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

    /// The same key, of which only one part is made here ([`Plan::part_of`]).
    pub(crate) fn of_part(&self, plan: Plan) -> Self {
        Self { plan, ..self.clone() }
    }

    /// Hash of everything that decides the key's bytes, and of the commitment to the secret. The trim says how many of
    /// them are stored, and is not part of it: a key that is trimmed stays the key that its layer files name.
    pub(crate) fn binding(&self) -> [u8; 32] {
        let stored = self.plan.key_epochs();
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
        KeyId::of_binding(&self.binding())
    }
}

fn fillers_of(plan: &Plan, digests: Vec<u8>) -> Fillers {
    Fillers::new(plan.geometry(), plan.scheme().digest_bytes(), digests)
}

/// Refuses what is not a digest of this scheme.
pub(crate) fn check_digest(scheme: &Scheme, bytes: &[u8]) -> Result<(), String> {
    if bytes.len() != scheme.digest_bytes() {
        return Err(format!("{} bytes instead of {}", bytes.len(), scheme.digest_bytes()));
    }
    scheme.check_canonical(bytes).map_err(|error| error.to_string())
}
