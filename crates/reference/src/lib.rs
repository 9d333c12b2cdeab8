//! What the tests compare with: a plain second implementation of the signature schemes, and the recorded answers of three
//! independent libraries ([`vectors`]).
//!
//! The implementation is written from the specification alone (docs/SCHEMES.md), one value at a time and nothing clever, and
//! shares no code with the crates under test. Everything at its interface is plain bytes: a digest is 4n bytes, a public
//! parameter 20. It trusts its caller: wrong lengths and digests that are not canonical panic; only `verify` takes any input.

pub mod encoding;
pub mod field;
pub mod hash;
pub mod keccak;
pub mod key;
pub mod leanvm;
pub mod leanvm_vectors;
pub mod params;
pub mod poseidon;
pub mod poseidon2_classic;
pub mod secret_key;
pub mod signature;
pub mod tree;
pub mod vectors;

mod numbers;

pub use hash::Reference;
pub use key::{DrawnKey, Filler, draw_from_seed, widen};
pub use numbers::Numbers;
pub use params::{Params, all_ids, params};
pub use secret_key::secret_key_ssz;
pub use tree::{Tree, fillers_needed};
