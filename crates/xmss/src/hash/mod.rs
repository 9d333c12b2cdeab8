//! The hashing itself: pseudorandom function, permutations, chains, leaves, tree nodes. Pure compute, no I/O, no threads.
//!
//! Only this module and `scheme` know what a field element is; everything else sees bytes.

/// Permutations alone, as many as a leaf needs, for measuring how far a kernel is from them.
#[doc(hidden)]
pub mod bound;
mod bytes;
mod chain;
#[cfg(all(target_feature = "avx", target_feature = "fma"))]
mod doubles;
mod draw;
mod field;
mod fingerprint;
mod kernel;
mod lanes;
mod layout;
mod many_epochs;
mod many_signatures;
mod message;
mod node;
mod one_epoch;
mod poseidon1;
mod poseidon2_classic;
mod prf;
mod serial;
mod sponge;
#[cfg(test)]
mod tests;
mod walk;
mod xmss;

pub use bytes::{NonCanonical, check_canonical, from_montgomery_form, to_montgomery_form};
pub use draw::{DrawnKey, derive_fillers, draw_key};

pub use fingerprint::{OneTimeKeys, Shared, commitment, fingerprint};
pub use kernel::{Codeword, Kernel, Revealed, kernel, scratch_bytes};
pub use prf::PrfKey;

use crate::scheme::PRIME;
