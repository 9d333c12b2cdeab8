//! The fingerprint of one-time keys (docs/FORMAT.md, "The fingerprint").

use sha3::{Digest, Sha3_256};

use super::PrfKey;
use crate::scheme::PARAMETER_BYTES;
use crate::units::Fingerprint;

/// Separates the fingerprint from every other use of the PRF key.
const DOMAIN: &[u8] = b"keymill/1 one-time keys";

/// The fingerprint of the one-time keys that this PRF key and public parameter give. It reveals neither: the PRF key has 256
/// random bits, and the hash is one-way. Scheme, interval and fillers are not part of it, since two keys that differ only there
/// share their one-time keys.
pub fn fingerprint(prf_key: &PrfKey, parameter: &[u8; PARAMETER_BYTES]) -> Fingerprint {
    let hash = Sha3_256::new()
        .chain_update(DOMAIN)
        .chain_update(prf_key.expose())
        .chain_update(parameter)
        .finalize();
    Fingerprint(hash.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_bytes_that_the_format_says_and_changes_with_either_part() {
        let of = |key: u8, parameter: u8| fingerprint(&PrfKey::new([key; 32]), &[parameter; PARAMETER_BYTES]);
        let text = [&b"keymill/1 one-time keys"[..], &[1; 32], &[2; 20]].concat();
        let expected: [u8; 32] = Sha3_256::digest(text).into();
        assert_eq!(of(1, 2), Fingerprint(expected));
        assert_ne!(of(1, 2), of(3, 2));
        assert_ne!(of(1, 2), of(1, 3));
    }
}
