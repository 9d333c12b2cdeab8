//! The hashing itself: pseudorandom function, permutations, chains, leaves, tree nodes. Pure compute, no I/O, no threads.
//!
//! Only this module and `scheme` know what a field element is; everything else sees bytes.

mod bytes;
mod chain;
mod draw;
mod field;
mod kernel;
mod layout;
mod message;
mod node;
mod poseidon2_classic;
mod prf;
mod sponge;
mod xmss;

pub use bytes::{NonCanonical, check_canonical};
pub use draw::{DrawnKey, derive_fillers, draw_key};
pub use kernel::{Codeword, Kernel, kernel};
pub use prf::PrfKey;

/// The KoalaBear prime, `2^31 - 2^24 + 1`.
pub const PRIME: u32 = 0x7f00_0001;

/// Permutations alone, as many as a leaf needs, for measuring how far a kernel is from them.
#[doc(hidden)]
pub mod bound;
