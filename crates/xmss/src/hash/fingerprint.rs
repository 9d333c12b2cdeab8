//! The fingerprint of one-time keys (docs/FORMAT.md, "The fingerprint").

use sha3::{Digest, Sha3_256};

use super::PrfKey;
use crate::scheme::Parameter;
use crate::units::Fingerprint;

/// Separates the fingerprint from every other use of the PRF key.
const DOMAIN: &[u8] = b"keymill/1 one-time keys";
const COMMITMENT_DOMAIN: &[u8] = b"keymill/1 secret commitment";

/// A public value that only the right PRF key leads to: SHA3-256(domain, PRF key).
pub fn commitment(prf_key: &PrfKey) -> [u8; 32] {
    Sha3_256::new()
        .chain_update(COMMITMENT_DOMAIN)
        .chain_update(prf_key.expose())
        .finalize()
        .into()
}

/// The fingerprint of the one-time keys that this PRF key and public parameter give. It reveals neither: the PRF key has 256
/// random bits, and the hash is one-way. Scheme, interval and fillers are not part of it, since two keys that differ only there
/// share their one-time keys.
pub fn fingerprint(prf_key: &PrfKey, parameter: &Parameter) -> Fingerprint {
    let hash = Sha3_256::new()
        .chain_update(DOMAIN)
        .chain_update(prf_key.expose())
        .chain_update(&**parameter)
        .finalize();
    Fingerprint(hash.into())
}

/// By what it is seen that two keys have a past in common, without the secrets of either.
///
/// In their order, keys of one PRF key stand together, and among them those of one parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OneTimeKeys {
    prf_key: [u8; 32],
    fingerprint: Fingerprint,
}

/// What two keys have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shared {
    /// The one-time keys: an epoch that one of them has signed is spent for the other as well.
    OneTimeKeys,
    /// The PRF key, under another public parameter: the chains of their one-time keys begin with the same values.
    PrfKey,
}

impl std::fmt::Display for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::OneTimeKeys => "the same one-time keys",
            Self::PrfKey => "the same PRF key, under another parameter",
        })
    }
}

impl OneTimeKeys {
    /// Those of this PRF key and public parameter.
    pub fn of(prf_key: &PrfKey, parameter: &Parameter) -> Self {
        Self {
            prf_key: commitment(prf_key),
            fingerprint: fingerprint(prf_key, parameter),
        }
    }

    /// What both have in common, if anything: whoever signs an epoch with each of them gives away what they share.
    pub fn shared_with(&self, other: &Self) -> Option<Shared> {
        if self.prf_key != other.prf_key {
            return None;
        }
        Some(if self.fingerprint == other.fingerprint {
            Shared::OneTimeKeys
        } else {
            Shared::PrfKey
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_share_their_one_time_keys_or_their_prf_key_or_nothing() {
        let of = |key: u8, parameter: u8| OneTimeKeys::of(&PrfKey::new([key; 32]), &Parameter::of(&[parameter; 20]));
        assert_eq!(of(1, 2).shared_with(&of(1, 2)), Some(Shared::OneTimeKeys));
        assert_eq!(of(1, 2).shared_with(&of(1, 3)), Some(Shared::PrfKey));
        assert_eq!(of(1, 2).shared_with(&of(3, 2)), None);
    }

    #[test]
    fn a_fingerprint_is_the_bytes_that_the_format_says_and_changes_with_either_part() {
        let of = |key: u8, parameter: u8| fingerprint(&PrfKey::new([key; 32]), &Parameter::of(&[parameter; 20]));
        let text = [&b"keymill/1 one-time keys"[..], &[1; 32], &[2; 20]].concat();
        let expected: [u8; 32] = Sha3_256::digest(text).into();
        assert_eq!(of(1, 2), Fingerprint(expected));
        assert_ne!(of(1, 2), of(3, 2));
        assert_ne!(of(1, 2), of(1, 3));
    }
}
