//! Reading a sealed key: authentication paths, signatures, and verifying them.

mod error;
#[cfg(test)]
mod ledger_tests;
mod path;
mod signer;
mod stream;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;
mod trimmed;

pub use path::{AuthenticationPath, PathReader};
pub use signer::Signer;
pub use stream::PathStream;
