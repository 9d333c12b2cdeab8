//! Reading a sealed key: authentication paths, signatures, and verifying them.

mod error;
mod key;
#[cfg(test)]
mod ledger_tests;
mod path;
#[cfg(test)]
mod set_hostile_tests;
#[cfg(test)]
mod set_tests;
mod shared;
mod signer;
mod stream;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
pub(crate) mod tests;
mod trimmed;

#[cfg(any(feature = "capi", test))]
pub(crate) use error::outside_key;
#[cfg(feature = "serve")]
pub(crate) use error::spent;
#[cfg(feature = "serve")]
pub(crate) use key::{Prepared, SigningKey};
pub use path::{AuthenticationPath, PathReader};
#[cfg(feature = "serve")]
pub(crate) use shared::{Shared, SharedLayers};
pub use signer::Signer;
pub use stream::PathStream;
