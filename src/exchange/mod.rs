//! Keys come in from elsewhere, and go out: as text on paper, and back.

pub mod backup;
#[cfg(feature = "keygen")]
pub mod restore;
