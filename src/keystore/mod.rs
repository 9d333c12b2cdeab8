//! The secret of a key, and the two forms in which it is on disk: plain text, and a keystore of EIP-8310, in which it is
//! encrypted under a passphrase (docs/FORMAT.md, "secret" and "keystore.json"). Nothing here knows of directories.

mod cipher;
mod crypto_object;
mod error;
mod facts;
mod format;
mod kdf;
mod origin;
mod passphrase;
mod scheme_object;
mod secret;
mod state_object;
#[cfg(test)]
mod tests;

pub(crate) use error::exposed;
pub(crate) use facts::KeyFacts;
pub(crate) use format::{KEYSTORE_BYTES_MAX, Keystore};
pub use origin::Origin;
pub use passphrase::Passphrase;
pub use secret::Secret;
pub(crate) use secret::TEXT_BYTES_MAX as SECRET_TEXT_BYTES_MAX;
pub(crate) use state_object::Snapshot;

/// The error of this room where only the reader of a file knows what to call it: what is wrong with the text.
type Fault = String;

/// Bytes of hex digits, all of them lower case, as they are written.
fn from_hex(name: &str, digits: &str) -> Result<Vec<u8>, Fault> {
    if digits.bytes().any(|digit| digit.is_ascii_uppercase()) {
        return Err(format!("'{name}' has capitals among its hex digits"));
    }
    hex::decode(digits).map_err(|error| format!("'{name}' is not hex: {error}"))
}

/// The same of so many bytes.
fn from_hex_of<const BYTES: usize>(name: &str, digits: &str) -> Result<[u8; BYTES], Fault> {
    let bytes = from_hex(name, digits)?;
    let found = bytes.len();
    let wrong = |_| format!("'{name}' has {found} bytes instead of {BYTES}");
    bytes.try_into().map_err(wrong)
}
