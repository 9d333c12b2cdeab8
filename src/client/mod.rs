//! A key that a service holds, used from another process (docs/C.md, "A key in a service").
//!
//! `address.rs` reads where the key is. `exchange.rs` asks, on a connection for each request, and `answer.rs` reads what comes
//! back. `key.rs` believes none of it: a signature is verified, and a path folded to the root, before either is given out. No
//! thread is started, and nothing is held between two calls, so threads and forked processes use one key.

mod address;
mod answer;
#[cfg(test)]
mod answer_tests;
mod error;
mod exchange;
mod key;
#[cfg(test)]
#[cfg(feature = "serve")]
pub(crate) mod service_tests;
#[cfg(test)]
mod tests;

pub(crate) use address::Address;
#[cfg(any(test, fuzzing))]
pub(crate) use answer::read_answer;
pub(crate) use key::RemoteKey;
