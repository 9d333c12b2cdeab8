//! Reading a sealed key: authentication paths, signatures, and verifying them.

mod error;
mod path;
#[cfg(feature = "keygen")]
mod signer;
#[cfg(test)]
#[cfg(feature = "keygen")]
mod tests;
mod trimmed;
mod verify;

pub use error::SigningError;
pub use path::{AuthenticationPath, PathReader};
#[cfg(feature = "keygen")]
pub use signer::Signer;
pub use verify::{Claim, Rejection, Verifier, verify, verify_batch};
