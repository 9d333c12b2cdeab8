//! The forms of other programs' secret keys, as flags of import and export.

use clap::ValueEnum;
use keymill::interop::secret_key::Role;
use keymill::interop::secret_key::SecretKeyForm;

/// A form of secret keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyForm {
    /// SSZ, as leanSig writes it.
    LeansigSsz,
    /// JSON of leanSig, with field elements in Montgomery form.
    LeansigJson,
    /// The key file of leanSpec's test validators: an attestation key and a proposal key.
    LeanspecJson,
}

impl From<KeyForm> for SecretKeyForm {
    fn from(form: KeyForm) -> Self {
        match form {
            KeyForm::LeansigSsz => Self::LeansigSsz,
            KeyForm::LeansigJson => Self::LeansigJson,
            KeyForm::LeanspecJson => Self::LeanspecJson,
        }
    }
}

/// What a key of a leanSpec key file signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyRole {
    /// Attestations.
    Attestation,
    /// Block proposals.
    Proposal,
}

impl From<KeyRole> for Role {
    fn from(role: KeyRole) -> Self {
        match role {
            KeyRole::Attestation => Self::Attestation,
            KeyRole::Proposal => Self::Proposal,
        }
    }
}
