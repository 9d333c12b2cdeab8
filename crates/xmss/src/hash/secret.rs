//! The secret of a key, and what is drawn with it.

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::scheme::Parameter;

/// The secret from which every chain start of a key is derived. Wiped from memory when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct PrfKey([u8; 32]);

impl PrfKey {
    /// A key of these 32 bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret bytes.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for PrfKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrfKey(secret)")
    }
}

/// Everything that decides a key's bytes, apart from scheme and interval.
#[derive(Debug)]
pub struct DrawnKey {
    /// Public parameter, canonical bytes.
    pub parameter: Parameter,
    /// The secret.
    pub prf_key: PrfKey,
    /// Filler digests, one after the other in the order of the geometry.
    pub fillers: Vec<u8>,
}
