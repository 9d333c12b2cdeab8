//! Where a secret came from.

use serde::{Deserialize, Serialize};

/// Where the secret came from: whether it may be known, and have signed, elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Drawn from the operating system for this directory.
    Fresh,
    /// A seed that was given.
    Seed,
    /// A PRF key that was given.
    PrfKey,
}

impl Origin {
    /// What the secret file calls a secret of this origin.
    pub(crate) fn secret_kind(self) -> &'static str {
        match self {
            Self::Fresh => "fresh-seed",
            Self::Seed => "seed",
            Self::PrfKey => "prf-key",
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Fresh => "fresh",
            Self::Seed => "seed",
            Self::PrfKey => "prf-key",
        })
    }
}
