//! The compute crate against a second implementation, written for reading, and against the known answers of three
//! independent libraries. They need neither files nor a database, so every CPU's build can run them.

#![expect(clippy::unwrap_used, reason = "tests say what they expect by unwrapping it")]

mod as_text;
mod known_answers;
mod leanvm;
mod memory_key;
mod mixed_batches;
mod reference_is_right;
mod sampled;
mod signatures;

use keymill_xmss::Scheme;
use rayon::prelude::*;

/// The schemes for which [`keymill_reference::Reference`] is the plain implementation.
fn poseidon_schemes() -> impl ParallelIterator<Item = &'static Scheme> {
    let schemes = Scheme::all().par_iter();
    schemes.filter(|scheme| scheme.family().hash_function().starts_with("Poseidon"))
}
