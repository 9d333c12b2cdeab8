//! The contract of a family of hash functions: everything in which one family can differ from another.
//!
//! What every family has in common is in the rest of this crate and of the program: chains, a tree of fixed arity two,
//! epochs, intervals, one-time keys that are derived from 32 secret bytes (docs/SCHEMES.md, "What every family says").

use std::fmt::Debug;

use super::{Parameter, Scheme};
use crate::hash::{DrawnKey, Kernel, PrfKey};
use crate::units::{Level, NodeIndex};

/// A family of hash functions, with whatever one scheme of it needs to know.
pub trait Family: Debug + Send + Sync {
    /// What is hashed with, for tables.
    fn permutation(&self) -> &'static str;

    /// What is hashed with, as the manifests of key sets call it.
    fn hash_function(&self) -> &'static str;

    /// How messages become codewords.
    fn codewords(&self) -> Codewords;

    /// Attempts that signing may make to find an accepted codeword.
    fn attempts_max(&self) -> u64;

    /// Bytes of the public parameter, at most [`Parameter::BYTES_MAX`].
    fn parameter_bytes(&self) -> usize;

    /// Whether the bytes of a digest, a parameter or the randomness of a signature, or of several of them, are in the one
    /// form that each value has.
    ///
    /// # Errors
    /// [`NonCanonical`] names the first value that is not.
    fn check_canonical(&self, bytes: &[u8]) -> Result<(), NonCanonical>;

    /// Which epochs a key stores beyond those that were asked for.
    fn widening(&self) -> Widening;

    /// From what a key of this family can be made.
    fn secrets(&self) -> Secrets;

    /// Everything that a seed decides: parameter, PRF key, and the fillers of these places, in their order.
    fn draw(&self, scheme: &Scheme, seed: &[u8; 32], fillers: &[(Level, NodeIndex)]) -> DrawnKey;

    /// The fillers of a key that was given as PRF key and parameter.
    fn fillers(
        &self,
        scheme: &Scheme,
        prf_key: &PrfKey,
        parameter: &Parameter,
        places: &[(Level, NodeIndex)],
    ) -> Vec<u8>;

    /// How the parts of a signature follow each other.
    fn signature_form(&self) -> SignatureForm;

    /// In which forms other programs keep secret keys of this family.
    fn key_forms(&self) -> KeyForms;

    /// The hash functions of a scheme under a public parameter.
    fn kernel(&self, scheme: &'static Scheme, parameter: &Parameter) -> Box<dyn Kernel>;

    /// What the arena of a worker has to hold: the scratch of [`Kernel::leaves`], and the leaves of one block of as many
    /// epochs as the kernel has lanes.
    fn scratch_bytes(&self, scheme: &Scheme) -> usize;
}

/// How messages become codewords, for tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codewords {
    /// In words.
    pub name: &'static str,
    /// As the manifests of key sets call it.
    pub manifest_word: &'static str,
    /// The sum that a codeword has to have, if it has to have one.
    pub target_sum: Option<u16>,
}

/// Which epochs a key stores beyond those that were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Widening {
    /// Whole bottom trees of half the height, at least two of them.
    ToBottomTrees,
    /// None.
    Exact,
}

/// From what a key can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// A seed, from which parameter, PRF key and fillers are drawn; or PRF key and parameter themselves.
    SeedOrPrfKey,
    /// A seed alone, which is the PRF key as well.
    SeedAlone,
}

/// How the parts of a signature follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureForm {
    /// An SSZ container of variable parts: offset of the path, rho, offset of the chain values, the path behind an offset of
    /// its own, the chain values.
    WithOffsets,
    /// Chain values, rho, path.
    Flat,
}

/// In which forms other programs keep secret keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForms {
    /// Those of leanSig and leanSpec.
    Leansig,
    /// That of leanVM.
    Leanvm,
    /// In none that is known here.
    Unknown,
}

/// A value that is not in the one form that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "element {element} (bytes {}..{}) is {value}, but a field element must be below {bound}",
    4 * .element, 4 * .element + 4
)]
pub struct NonCanonical {
    /// Index of the element, counted from 0 in units of four bytes.
    pub element: usize,
    /// What the four bytes hold, read little-endian.
    pub value: u32,
    /// What it has to be below.
    pub bound: u32,
}
