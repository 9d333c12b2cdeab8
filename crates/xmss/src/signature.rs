//! SSZ as leanSig writes it (docs/SCHEMES.md, "Public key and signature"). Integers are little-endian, digests
//! canonical.

use crate::hash::{NonCanonical, check_canonical};
use crate::scheme::{PARAMETER_BYTES, Scheme};

/// A public key or a signature is not in the form that the scheme demands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SszError {
    /// The number of bytes is wrong.
    #[error("it is {found_bytes} bytes long, the {what} of {scheme} has {expected_bytes}")]
    Length {
        /// "public key", "signature", or a part of one.
        what: &'static str,
        /// Scheme identifier.
        scheme: &'static str,
        /// Its length.
        found_bytes: usize,
        /// What it has to be.
        expected_bytes: usize,
    },
    /// An offset does not have its one possible value.
    #[error("the offset at byte {at} is {found}, it has to be {expected}")]
    Offset {
        /// Where the offset stands.
        at: usize,
        /// Its value.
        found: u32,
        /// What it has to be.
        expected: u32,
    },
    /// An element is not reduced.
    #[error("in its {part}, {source}")]
    NotCanonical {
        /// Which part.
        part: &'static str,
        /// Which element.
        source: NonCanonical,
    },
}

/// A public key: `root | parameter`, canonical and of the length that its scheme demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    root: Vec<u8>,
    parameter: [u8; PARAMETER_BYTES],
}

impl PublicKey {
    /// Reads a public key.
    ///
    /// # Errors
    /// [`SszError`] if the length is wrong or an element is not canonical.
    pub fn from_ssz(scheme: &Scheme, bytes: &[u8]) -> Result<Self, SszError> {
        check_length("public key", scheme, bytes, scheme.public_key_bytes())?;
        let (root, rest) = bytes.split_at(scheme.digest_bytes());
        let mut parameter = [0; PARAMETER_BYTES];
        parameter.copy_from_slice(rest);
        check_part("root", root)?;
        check_part("parameter", &parameter)?;
        Ok(Self {
            root: root.to_vec(),
            parameter,
        })
    }

    /// Root digest.
    pub fn root(&self) -> &[u8] {
        &self.root
    }

    /// Public parameter.
    pub fn parameter(&self) -> &[u8; PARAMETER_BYTES] {
        &self.parameter
    }

    /// Writes the public key.
    pub fn to_ssz(&self) -> Vec<u8> {
        [&self.root[..], &self.parameter].concat()
    }
}

/// A signature: offset of the path, rho, offset of the hashes; the path behind an offset of its own; the hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Randomness of the message hash, [`Scheme::rho_bytes`] long.
    pub rho: Vec<u8>,
    /// Sibling digests from level 0 upward, `h` of them.
    pub siblings: Vec<u8>,
    /// One value a chain.
    pub hashes: Vec<u8>,
}

/// The parts of a signature and their lengths.
fn parts(scheme: &Scheme) -> [(&'static str, usize); 3] {
    let digests = |count: usize| count * scheme.digest_bytes();
    [
        ("rho", scheme.rho_bytes()),
        ("authentication path", digests(scheme.log_lifetime().into())),
        ("chain values", digests(scheme.chains())),
    ]
}

/// Offset of the siblings within the path, its only content.
const SIBLINGS_OFFSET: u32 = 4;

impl Signature {
    /// Reads a signature.
    ///
    /// # Errors
    /// [`SszError`] if the length is wrong, an offset is not the only one possible, or an element is not canonical.
    pub fn from_ssz(scheme: &Scheme, bytes: &[u8]) -> Result<Self, SszError> {
        check_length("signature", scheme, bytes, scheme.signature_bytes())?;
        let [path_offset, hashes_offset] = offsets(scheme);
        let rho_end = 4 + scheme.rho_bytes();
        for (at, expected) in [
            (0, path_offset),
            (rho_end, hashes_offset),
            (path_offset as usize, SIBLINGS_OFFSET),
        ] {
            check_offset(bytes, at, expected)?;
        }
        let signature = Self {
            rho: bytes[4..rho_end].to_vec(),
            siblings: bytes[path_offset as usize + 4..hashes_offset as usize].to_vec(),
            hashes: bytes[hashes_offset as usize..].to_vec(),
        };
        signature.check(scheme)?;
        Ok(signature)
    }

    /// Checks the lengths of the parts, and that every element is canonical.
    ///
    /// # Errors
    /// [`SszError`] names the first part that is wrong.
    pub fn check(&self, scheme: &Scheme) -> Result<(), SszError> {
        let fields = [&self.rho, &self.siblings, &self.hashes];
        for ((part, length), bytes) in parts(scheme).into_iter().zip(fields) {
            check_length(part, scheme, bytes, length)?;
            check_part(part, bytes)?;
        }
        Ok(())
    }

    /// Writes the signature.
    pub fn to_ssz(&self, scheme: &Scheme) -> Vec<u8> {
        let [path_offset, hashes_offset] = offsets(scheme).map(u32::to_le_bytes);
        [
            &path_offset[..],
            &self.rho,
            &hashes_offset,
            &SIBLINGS_OFFSET.to_le_bytes(),
            &self.siblings,
            &self.hashes,
        ]
        .concat()
    }
}

fn offsets(scheme: &Scheme) -> [u32; 2] {
    let path = 4 + scheme.rho_bytes() + 4;
    let path_bytes = 4 + usize::from(scheme.log_lifetime()) * scheme.digest_bytes();
    [path as u32, (path + path_bytes) as u32]
}

fn check_length(what: &'static str, scheme: &Scheme, bytes: &[u8], expected_bytes: usize) -> Result<(), SszError> {
    if bytes.len() == expected_bytes {
        return Ok(());
    }
    Err(SszError::Length {
        what,
        scheme: scheme.id(),
        found_bytes: bytes.len(),
        expected_bytes,
    })
}

fn check_offset(bytes: &[u8], at: usize, expected: u32) -> Result<(), SszError> {
    let word: [u8; 4] = std::array::from_fn(|i| bytes[at + i]);
    let found = u32::from_le_bytes(word);
    if found == expected {
        return Ok(());
    }
    Err(SszError::Offset { at, found, expected })
}

fn check_part(part: &'static str, bytes: &[u8]) -> Result<(), SszError> {
    check_canonical(bytes).map_err(|source| SszError::NotCanonical { part, source })
}
