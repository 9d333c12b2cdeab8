//! What decides a key beside its secret.

use super::secret::Secret;
use super::{Fault, Origin};
use crate::plan::Plan;
use keymill_xmss::scheme::{Parameter, Secrets};

/// What decides a key beside its secret, with where that came from and what it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyFacts {
    /// Scheme and interval; a trim is not a matter of the key.
    pub(crate) plan: Plan,
    pub(crate) origin: Origin,
    /// Beside a PRF key.
    pub(crate) parameter: Option<Parameter>,
    /// Beside a PRF key, where they are not those that are derived from it.
    pub(crate) fillers: Option<Vec<u8>>,
    /// Of a key that was finished, or has to come to one that is known.
    pub(crate) public_key: Option<Vec<u8>>,
}

impl KeyFacts {
    /// Refuses what no key can be.
    pub(super) fn check(&self) -> Result<(), Fault> {
        let scheme = self.plan.scheme();
        let is_prf_key = self.origin == Origin::PrfKey;
        if is_prf_key && scheme.family().secrets() == Secrets::SeedAlone {
            return Err(format!(
                "a key of {} is made of a seed alone, not of a PRF key",
                scheme.id()
            ));
        }
        match (&self.parameter, is_prf_key) {
            (None, true) => return Err("a PRF key needs its 'parameter'".to_owned()),
            (Some(_), false) => return Err("a seed draws its own 'parameter'".to_owned()),
            _ => {}
        }
        let digest_bytes = scheme.digest_bytes();
        match &self.fillers {
            Some(_) if !is_prf_key => return Err("a seed draws its own 'fillers'".to_owned()),
            Some(fillers) => {
                let expected_bytes = self.plan.filler_count() * digest_bytes;
                if fillers.len() != expected_bytes {
                    return Err(format!(
                        "there are {} bytes of 'fillers', and the tree over these epochs has {expected_bytes}",
                        fillers.len()
                    ));
                }
                let sound = scheme.check_canonical(fillers);
                sound.map_err(|error| format!("in its 'fillers', {error}"))?;
            }
            None => {}
        }
        let Some(public_key) = &self.public_key else {
            return Ok(());
        };
        if public_key.len() != scheme.public_key_bytes() {
            return Err(format!(
                "its 'pubkey' has {} bytes, and one of {} has {}",
                public_key.len(),
                scheme.id(),
                scheme.public_key_bytes()
            ));
        }
        let sound = scheme.check_canonical(public_key);
        sound.map_err(|error| format!("in its 'pubkey', {error}"))
    }

    /// Whether this can be the secret of the key, as far as that shows without a tree.
    pub(crate) fn may_be_of(&self, secret: &Secret) -> bool {
        let is_prf_key = matches!(secret, Secret::PrfKey(_));
        let drawn = secret.draw(&self.plan, &self.parameter.unwrap_or_default());
        let public_key = self.public_key.as_deref();
        is_prf_key == (self.origin == Origin::PrfKey)
            && public_key.is_none_or(|public_key| public_key.ends_with(&drawn.parameter))
    }

    /// A secret of 32 bytes that goes with them.
    pub(super) fn secret(&self, bytes: [u8; 32]) -> Secret {
        match self.origin {
            Origin::Fresh | Origin::Seed => Secret::Seed(bytes),
            Origin::PrfKey => Secret::PrfKey(bytes),
        }
    }
}
