//! What a validator uses a key for.

use std::fmt;

/// What a validator uses a key for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Signs block proposals.
    Proposer,
    /// Signs attestations.
    Attester,
}

impl Role {
    /// Both, in the order in which the manifest of a key set has them.
    pub const ALL: [Self; 2] = [Self::Proposer, Self::Attester];

    /// The word in a key set, in file names and in the manifest.
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

    /// What it signs, in the word of leanSpec's key files.
    pub fn duty(self) -> &'static str {
        match self {
            Self::Proposer => "proposal",
            Self::Attester => "attestation",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
