//! SSZ as leanSig writes it (docs/SCHEMES.md, "Public key and signature"). Integers are little-endian, digests
//! canonical.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use zeroize::Zeroize;

use crate::scheme::{NonCanonical, Parameter, Scheme, SignatureForm, UnknownScheme};

/// A public key or a signature is not in the form that the scheme demands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SszError {
    /// The number of bytes is wrong.
    #[error("it is {found_bytes} bytes; the {what} of {scheme} is {expected_bytes}")]
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

/// A text is not a public key or a signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// There is no scheme before it.
    #[error("it has no scheme before a colon, as in 'leansig-p1-l32-abort-v46-w8:5e1f...'")]
    NoScheme,
    /// The scheme is not known.
    #[error(transparent)]
    UnknownScheme(#[from] UnknownScheme),
    /// What follows is not hex.
    #[error("it is not hex: {0}")]
    Hex(#[from] hex::FromHexError),
    /// The bytes are not in the form that the scheme demands.
    #[error(transparent)]
    Form(#[from] SszError),
}

/// Reads `SCHEME:HEX`.
fn scheme_and_bytes(text: &str) -> Result<(&'static Scheme, Vec<u8>), TextError> {
    let (scheme, digits) = text.split_once(':').ok_or(TextError::NoScheme)?;
    Ok((Scheme::by_id(scheme)?, hex::decode(digits)?))
}

/// A public key: `root | parameter`, canonical and of the length that its scheme demands.
///
/// As text it is `SCHEME:HEX`.
///
/// # Examples
/// ```
/// use keymill_xmss::{PublicKey, Scheme};
/// let scheme = Scheme::by_id("leansig-p1-l8-abort-v4-w8")?;
/// let public_key = PublicKey::from_ssz(scheme, &[0; 52])?;
/// assert_eq!(public_key.to_string().parse::<PublicKey>()?, public_key);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    scheme: &'static Scheme,
    root: Vec<u8>,
    parameter: Parameter,
}

impl PublicKey {
    /// Reads a public key.
    ///
    /// # Errors
    /// [`SszError`] if the length is wrong or an element is not canonical.
    pub fn from_ssz(scheme: &'static Scheme, bytes: &[u8]) -> Result<Self, SszError> {
        check_length("public key", scheme, bytes, scheme.public_key_bytes())?;
        let (root, parameter) = bytes.split_at(scheme.digest_bytes());
        check_part(scheme, "root", root)?;
        check_part(scheme, "parameter", parameter)?;
        Ok(Self {
            scheme,
            root: root.to_vec(),
            parameter: Parameter::of(parameter),
        })
    }

    /// The scheme.
    pub fn scheme(&self) -> &'static Scheme {
        self.scheme
    }

    /// Root digest.
    pub fn root(&self) -> &[u8] {
        &self.root
    }

    /// Public parameter.
    pub fn parameter(&self) -> &Parameter {
        &self.parameter
    }

    /// Writes the public key.
    pub fn to_ssz(&self) -> Vec<u8> {
        [&self.root[..], &self.parameter].concat()
    }
}

impl Display for PublicKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scheme.id(), hex::encode(self.to_ssz()))
    }
}

impl FromStr for PublicKey {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let (scheme, bytes) = scheme_and_bytes(text)?;
        Ok(Self::from_ssz(scheme, &bytes)?)
    }
}

/// A signature: canonical parts of the lengths that its scheme demands. How they follow each other is the matter of its family
/// ([`SignatureForm`]).
///
/// As text it is `SCHEME:HEX`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    scheme: &'static Scheme,
    rho: Vec<u8>,
    siblings: Vec<u8>,
    hashes: Vec<u8>,
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

/// What a signature is written of, in order.
enum Piece {
    /// An offset, which has one possible value.
    Offset(u32),
    Rho,
    Siblings,
    Hashes,
}

impl Piece {
    fn bytes(&self, scheme: &Scheme) -> usize {
        let [(_, rho), (_, siblings), (_, hashes)] = parts(scheme);
        match self {
            Self::Offset(_) => 4,
            Self::Rho => rho,
            Self::Siblings => siblings,
            Self::Hashes => hashes,
        }
    }
}

/// Reading and writing go through the same pieces.
fn pieces(scheme: &Scheme) -> Vec<Piece> {
    match scheme.family().signature_form() {
        SignatureForm::WithOffsets => {
            let [path_offset, hashes_offset] = offsets(scheme);
            vec![
                Piece::Offset(path_offset),
                Piece::Rho,
                Piece::Offset(hashes_offset),
                Piece::Offset(SIBLINGS_OFFSET),
                Piece::Siblings,
                Piece::Hashes,
            ]
        }
        SignatureForm::Flat => vec![Piece::Hashes, Piece::Rho, Piece::Siblings],
    }
}

impl Signature {
    /// Reads a signature.
    ///
    /// # Errors
    /// [`SszError`] if the length is wrong, an offset is not the only one possible, or an element is not canonical.
    pub fn from_ssz(scheme: &'static Scheme, bytes: &[u8]) -> Result<Self, SszError> {
        check_length("signature", scheme, bytes, scheme.signature_bytes())?;
        let [mut rho, mut siblings, mut hashes] = [const { Vec::new() }; 3];
        let mut at = 0;
        for piece in pieces(scheme) {
            let end = at + piece.bytes(scheme);
            let read = &bytes[at..end];
            match piece {
                Piece::Offset(expected) => check_offset(bytes, at, expected)?,
                Piece::Rho => rho = read.to_vec(),
                Piece::Siblings => siblings = read.to_vec(),
                Piece::Hashes => hashes = read.to_vec(),
            }
            at = end;
        }
        Self::new(scheme, rho, siblings, hashes)
    }

    /// A signature of these parts: randomness of the message hash ([`Scheme::rho_bytes`]), sibling digests from level 0
    /// upward, one value a chain.
    ///
    /// # Errors
    /// [`SszError`] names the first part that has a wrong length or is not canonical.
    pub fn new(scheme: &'static Scheme, rho: Vec<u8>, siblings: Vec<u8>, hashes: Vec<u8>) -> Result<Self, SszError> {
        for ((part, length), bytes) in parts(scheme).into_iter().zip([&rho, &siblings, &hashes]) {
            check_length(part, scheme, bytes, length)?;
            check_part(scheme, part, bytes)?;
        }
        Ok(Self {
            scheme,
            rho,
            siblings,
            hashes,
        })
    }

    /// The scheme.
    pub fn scheme(&self) -> &'static Scheme {
        self.scheme
    }

    /// Randomness of the message hash.
    pub fn rho(&self) -> &[u8] {
        &self.rho
    }

    /// Sibling digests from level 0 upward.
    pub fn siblings(&self) -> &[u8] {
        &self.siblings
    }

    /// One value a chain.
    pub fn hashes(&self) -> &[u8] {
        &self.hashes
    }

    /// Writes the signature.
    pub fn to_ssz(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.scheme.signature_bytes());
        for piece in pieces(self.scheme) {
            match piece {
                Piece::Offset(offset) => bytes.extend(offset.to_le_bytes()),
                Piece::Rho => bytes.extend(&self.rho),
                Piece::Siblings => bytes.extend(&self.siblings),
                Piece::Hashes => bytes.extend(&self.hashes),
            }
        }
        bytes
    }
}

impl Display for Signature {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scheme.id(), hex::encode(self.to_ssz()))
    }
}

impl FromStr for Signature {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let (scheme, bytes) = scheme_and_bytes(text)?;
        Ok(Self::from_ssz(scheme, &bytes)?)
    }
}

/// For a signature that must not leave. Afterwards it verifies as little as any other bytes.
impl Zeroize for Signature {
    fn zeroize(&mut self) {
        self.hashes.iter_mut().for_each(Zeroize::zeroize);
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

fn check_part(scheme: &Scheme, part: &'static str, bytes: &[u8]) -> Result<(), SszError> {
    scheme
        .check_canonical(bytes)
        .map_err(|source| SszError::NotCanonical { part, source })
}
