//! The public parameter of a key.

use std::fmt;
use std::ops::Deref;

use super::{NonCanonical, Scheme};

/// The public parameter of a key: as many bytes as its family has, in canonical form.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Parameter {
    bytes: [u8; Self::BYTES_MAX],
    length: u8,
}

/// Bytes are not a public parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WrongParameter {
    /// The number of bytes is wrong.
    #[error("a public parameter of {scheme} has {expected_bytes} bytes, not {found_bytes}")]
    Length {
        /// Scheme identifier.
        scheme: &'static str,
        /// Bytes that were given.
        found_bytes: usize,
        /// Bytes that it has to have.
        expected_bytes: usize,
    },
    /// A value is not reduced.
    #[error(transparent)]
    NonCanonical(#[from] NonCanonical),
}

impl Parameter {
    /// Bytes of the longest parameter of any family.
    pub const BYTES_MAX: usize = 32;

    /// A parameter of a scheme.
    ///
    /// # Errors
    /// [`WrongParameter`] if the length is not the scheme's, or a value is not canonical.
    pub fn new(scheme: &Scheme, bytes: &[u8]) -> Result<Self, WrongParameter> {
        if bytes.len() != scheme.parameter_bytes() {
            return Err(WrongParameter::Length {
                scheme: scheme.id(),
                found_bytes: bytes.len(),
                expected_bytes: scheme.parameter_bytes(),
            });
        }
        scheme.check_canonical(bytes)?;
        Ok(Self::of(bytes))
    }

    /// A parameter of these bytes, which a family has computed, so that they need no check. Bytes beyond
    /// [`BYTES_MAX`](Self::BYTES_MAX) are left out.
    pub fn of(bytes: &[u8]) -> Self {
        let length = bytes.len().min(Self::BYTES_MAX);
        let mut all = [0; Self::BYTES_MAX];
        all[..length].copy_from_slice(&bytes[..length]);
        Self {
            bytes: all,
            length: length as u8,
        }
    }
}

impl Deref for Parameter {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl AsRef<[u8]> for Parameter {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self))
    }
}

impl fmt::Debug for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Parameter({self})")
    }
}
