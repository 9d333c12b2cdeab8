//! The C interface (docs/C.md): key directories, and keys in a service, for programs in other languages. Its header is include/keymill.h.
//!
//! `exports.rs` has the functions by the names that C knows, and `pointers.rs` what they are given: together they are the
//! second home of unsafe code. Behind them everything is safe: `keys.rs` keeps the open keys, which C knows by number, and
//! `outcome.rs` turns errors and panics into a status and a text.

mod exports;
mod keys;
mod outcome;
#[cfg(test)]
mod place_tests;
mod pointers;
#[cfg(test)]
mod refusal_tests;
#[cfg(test)]
#[cfg(feature = "serve")]
mod service_tests;
#[cfg(test)]
mod tests;
mod trace;
