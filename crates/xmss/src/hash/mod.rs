//! What the rest of the program sees of the hashing, of whatever family: bytes in, bytes out.

mod fingerprint;
mod kernel;
mod secret;

pub use fingerprint::{OneTimeKeys, Shared, commitment, fingerprint};
pub use kernel::{Codeword, Kernel, Revealed};
pub use secret::{DrawnKey, PrfKey};

/// Permutations, or compressions, alone, as many as a leaf needs, for measuring how far a kernel is from them.
#[doc(hidden)]
pub mod bound {
    pub use crate::blake2s::bound::*;
    pub use crate::poseidon::bound::*;
}
