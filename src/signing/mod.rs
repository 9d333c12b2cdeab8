//! Reading a sealed key: authentication paths, signatures, and verifying them.

mod error;
#[cfg(test)]
#[cfg(feature = "keygen")]
mod ledger_tests;
mod path;
#[cfg(feature = "keygen")]
mod signer;
mod stream;
#[cfg(test)]
#[cfg(feature = "keygen")]
mod stream_tests;
#[cfg(test)]
#[cfg(feature = "keygen")]
mod tests;
mod trimmed;
mod verify;

pub use error::SigningError;
pub use path::{AuthenticationPath, PathReader};
#[cfg(feature = "keygen")]
pub use signer::Signer;
pub use stream::PathStream;
pub use verify::{Claim, Rejection, Verifier, verify, verify_batch};
