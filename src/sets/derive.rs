//! One secret for a whole set: the seed of each key follows from it.

use sha3::{Digest, Sha3_256};
use zeroize::Zeroizing;

use super::names::Role;
use crate::keydir::Secret;
use keymill_xmss::scheme::Scheme;

const SEED_DOMAIN: &[u8] = b"keymill/1 set key seed";
const COMMITMENT_DOMAIN: &[u8] = b"keymill/1 set seed commitment";

/// The seed of one key (docs/KEYSETS.md): SHA3-256(domain, seed of the set, scheme with its length, log2 of the epochs, index,
/// role). All parts but the scheme and the last are of fixed length, so that no two keys have the same input. Keys of other
/// schemes or lengths have other seeds: one-time keys that two keys had in common could sign two messages.
pub(crate) fn key_seed(set_seed: &[u8; 32], scheme: &Scheme, log_epochs: u8, index: u64, role: Role) -> Secret {
    let seed = Zeroizing::new(<[u8; 32]>::from(
        Sha3_256::new()
            .chain_update(SEED_DOMAIN)
            .chain_update(set_seed)
            .chain_update((scheme.id().len() as u64).to_le_bytes())
            .chain_update(scheme.id())
            .chain_update([log_epochs])
            .chain_update(index.to_le_bytes())
            .chain_update(role.name())
            .finalize(),
    ));
    Secret::Seed(*seed)
}

/// A value by which the same seed is known again, and which does not lead back to it.
pub(crate) fn commitment(set_seed: &[u8; 32]) -> [u8; 32] {
    Sha3_256::new()
        .chain_update(COMMITMENT_DOMAIN)
        .chain_update(set_seed)
        .finalize()
        .into()
}
