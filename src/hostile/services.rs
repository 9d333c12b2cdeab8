//! Keys in services: their addresses, what comes back from there, and who may connect.

use crate::client::{Address, read_answer};
#[cfg(feature = "serve")]
use crate::service::KnownClients;

/// An address that is read is the same one when each byte of its paths is written as an escape.
pub(super) fn address(bytes: &[u8]) -> Result<bool, String> {
    let parsed = std::str::from_utf8(bytes).ok().and_then(Address::parse);
    let Some(Ok(address)) = parsed else {
        return Ok(false);
    };
    let again = Address::parse(&address.escaped());
    match again {
        Some(Ok(again)) if again == address => Ok(true),
        other => Err(format!("an address became another when it was written: {other:?}")),
    }
}

/// An answer that is whole is the same one whatever stands behind it, and when the connection ends.
pub(super) fn answer(bytes: &[u8]) -> Result<bool, String> {
    let Ok(Some(answer)) = read_answer(bytes, false) else {
        return Ok(read_answer(bytes, true).is_ok());
    };
    for (bytes, is_ended) in [(bytes, true), (&[bytes, b"\r\n"].concat(), false)] {
        match read_answer(bytes, is_ended) {
            Ok(Some(again)) if again == answer => {}
            other => return Err(format!("an answer became another: {other:?}")),
        }
    }
    Ok(true)
}

/// A list of clients that is read is the same one when it is written with nothing but their fingerprints.
#[cfg(feature = "serve")]
pub(super) fn known_clients(bytes: &[u8]) -> Result<bool, String> {
    let Ok(known) = KnownClients::parse(bytes) else {
        return Ok(false);
    };
    match KnownClients::parse(known.to_text().as_bytes()) {
        Ok(again) if again == known => Ok(true),
        other => Err(format!(
            "a list of clients became another when it was written: {other:?}"
        )),
    }
}
