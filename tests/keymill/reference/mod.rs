//! A plain reference implementation of the signature schemes, the oracle of the other tests.
//!
//! It is written from `schemes.md` and `formats.md` alone, with one value at a time and nothing
//! clever, and it shares no code with the crate under test. Everything at its interface is plain
//! bytes: a digest is 4n bytes, a public parameter 20. It trusts its caller, so wrong lengths and
//! non-canonical digests panic; only `verify` takes whatever comes.

pub mod encoding;
pub mod field;
pub mod hash;
pub mod keccak;
pub mod key;
pub mod params;
pub mod poseidon;
pub mod poseidon2_classic;
pub mod secret_key;
pub mod signature;
pub mod tree;

pub use hash::Reference;
pub use key::{DrawnKey, Filler, draw_from_seed, widen};
pub use params::{Params, all_ids, params};
pub use secret_key::secret_key_ssz;
pub use tree::{Tree, fillers_needed};
