//! Generalized XMSS over KoalaBear and Poseidon, as in the leanSig and hash-sig libraries, and over BLAKE2s, as in leanVM: the
//! computation alone, without files, threads or a database. [`Scheme`] is a row of the table of schemes, [`hash::Kernel`] computes leaves and nodes,
//! [`verify`] checks a signature.
//!
//! Everything at the interface is bytes: digests are in the canonical form in which they stand in a signature
//! (docs/SCHEMES.md).

pub mod arena;
mod blake2s;
pub mod hash;
pub mod poseidon;
pub mod scheme;
pub mod signature;
#[doc(hidden)]
pub mod text;
pub mod tree;
pub mod units;
mod verify;

pub use scheme::Scheme;
pub use signature::{PublicKey, Signature, SszError, TextError};
pub use verify::{Claim, Rejection, Verifier, verify, verify_batch};
