//! The Poseidon family: generalized XMSS over KoalaBear, as in the hash-sig and leanSig libraries (docs/SCHEMES.md, "The
//! Poseidon family").

pub(crate) mod bound;
mod canonical;
mod chain;
#[cfg(all(target_feature = "avx", target_feature = "fma"))]
mod doubles;
mod draw;
mod encoding;
mod field;
mod lanes;
mod layout;
mod many_epochs;
mod many_signatures;
mod message;
mod node;
mod one_epoch;
mod poseidon1;
mod poseidon2_classic;
mod prf;
mod serial;
mod sponge;
mod table;
#[cfg(test)]
mod tests;
mod tweak;
mod walk;
mod xmss;

pub use canonical::{check_canonical, from_montgomery_form, to_montgomery_form};
pub(crate) use table::SCHEMES;

use crate::hash::{DrawnKey, Kernel, PrfKey};
use crate::scheme::{Codewords, Family, KeyForms, NonCanonical, Parameter, Scheme, Secrets, SignatureForm, Widening};
use crate::units::{Level, NodeIndex};
use layout::{Poseidon1Devnet4, Poseidon2Classic};
use xmss::Xmss;

/// The KoalaBear prime, `2^31 - 2^24 + 1`: the order of the field.
pub const PRIME: u32 = 0x7f00_0001;

/// Field elements of the public parameter.
const PARAMETER_ELEMENTS: usize = 5;

/// Bytes of the public parameter: five field elements, each a canonical little-endian `u32`.
pub const PARAMETER_BYTES: usize = 4 * PARAMETER_ELEMENTS;

/// Attempts after which signing gives up looking for an accepted codeword (docs/SCHEMES.md, "Encodings").
const SIGNING_ATTEMPTS_MAX: u64 = 100_000;

/// What is hashed with: the permutation, the order in which its inputs are laid out, and the length of a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permutation {
    /// Poseidon2 with the constants and input order of hash-sig and of leanSig up to devnet 3; digests of 7 elements.
    Poseidon2Classic7,
    /// The same; digests of 8 elements.
    Poseidon2Classic8,
    /// Poseidon1 with the input order of leanSig devnet 4 and leanSpec; digests of 8 elements.
    Poseidon1Devnet4,
}

impl Permutation {
    const fn digest_elements(self) -> u8 {
        match self {
            Self::Poseidon2Classic7 => 7,
            Self::Poseidon2Classic8 | Self::Poseidon1Devnet4 => 8,
        }
    }
}

/// How a message hash becomes a codeword in `{0..w-1}^v`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Encoding {
    /// Base-w digits of the hash, accepted if they add up to the target.
    Plain {
        /// Required sum of the codeword.
        target_sum: u16,
    },
    /// Winternitz: base-w digits followed by the digits of their checksum; always accepted.
    Checksum {
        /// Chains that carry the checksum.
        checksum_chunks: u16,
    },
    /// The hash is unranked into the top layers of the hypercube (eprint 2025/889), accepted on the target sum.
    TopLevel {
        /// Deepest layer that is mapped into.
        final_layer: u16,
        /// Required sum of the codeword.
        target_sum: u16,
    },
    /// Each hash element below a bound gives a few digits, any other aborts the attempt (eprint 2026/016).
    Aborting {
        /// Digits taken from one hash element.
        chunks_per_element: u8,
        /// Hash values that share one group of digits.
        quotient: u32,
        /// Required sum of the codeword.
        target_sum: u16,
    },
}

/// What a scheme of this family is, beside its sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Poseidon {
    pub(crate) permutation: Permutation,
    pub(crate) encoding: Encoding,
}

impl Poseidon {
    /// Chains that carry the message: all but those of the Winternitz checksum.
    fn message_chunks(&self, scheme: &Scheme) -> usize {
        match self.encoding {
            Encoding::Checksum { checksum_chunks } => scheme.chains() - usize::from(checksum_chunks),
            Encoding::Plain { .. } | Encoding::TopLevel { .. } | Encoding::Aborting { .. } => scheme.chains(),
        }
    }
}

impl Family for Poseidon {
    fn permutation(&self) -> &'static str {
        match self.permutation {
            Permutation::Poseidon2Classic7 | Permutation::Poseidon2Classic8 => "Poseidon2, classic",
            Permutation::Poseidon1Devnet4 => "Poseidon1, devnet 4",
        }
    }

    fn hash_function(&self) -> &'static str {
        match self.permutation {
            Permutation::Poseidon2Classic7 | Permutation::Poseidon2Classic8 => "Poseidon2",
            Permutation::Poseidon1Devnet4 => "Poseidon1",
        }
    }

    fn codewords(&self) -> Codewords {
        let (name, manifest_word, target_sum) = match self.encoding {
            Encoding::Plain { target_sum } => ("plain target sum", "TargetSum", Some(target_sum)),
            Encoding::Checksum { .. } => ("Winternitz checksum", "Winternitz", None),
            Encoding::TopLevel { target_sum, .. } => ("top-level target sum", "TargetSum", Some(target_sum)),
            Encoding::Aborting { target_sum, .. } => ("aborting target sum", "TargetSum", Some(target_sum)),
        };
        Codewords {
            name,
            manifest_word,
            target_sum,
        }
    }

    fn attempts_max(&self) -> u64 {
        match self.encoding {
            // Every codeword is accepted.
            Encoding::Checksum { .. } => 1,
            Encoding::Plain { .. } | Encoding::TopLevel { .. } | Encoding::Aborting { .. } => SIGNING_ATTEMPTS_MAX,
        }
    }

    fn parameter_bytes(&self) -> usize {
        PARAMETER_BYTES
    }

    fn check_canonical(&self, bytes: &[u8]) -> Result<(), NonCanonical> {
        canonical::check_canonical(bytes)
    }

    fn widening(&self) -> Widening {
        Widening::ToBottomTrees
    }

    fn secrets(&self) -> Secrets {
        Secrets::SeedOrPrfKey
    }

    fn draw(&self, scheme: &Scheme, seed: &[u8; 32], fillers: &[(Level, NodeIndex)]) -> DrawnKey {
        draw::draw_key(scheme, seed, fillers.len())
    }

    fn fillers(
        &self,
        scheme: &Scheme,
        prf_key: &PrfKey,
        parameter: &Parameter,
        places: &[(Level, NodeIndex)],
    ) -> Vec<u8> {
        draw::derive_fillers(scheme, prf_key, parameter, places.len())
    }

    fn signature_form(&self) -> SignatureForm {
        SignatureForm::WithOffsets
    }

    fn key_forms(&self) -> KeyForms {
        KeyForms::Leansig
    }

    fn kernel(&self, scheme: &'static Scheme, parameter: &Parameter) -> Box<dyn Kernel> {
        match self.permutation {
            Permutation::Poseidon2Classic7 => Box::new(Xmss::<Poseidon2Classic, 7>::new(self, scheme, parameter)),
            Permutation::Poseidon2Classic8 => Box::new(Xmss::<Poseidon2Classic, 8>::new(self, scheme, parameter)),
            Permutation::Poseidon1Devnet4 => Box::new(Xmss::<Poseidon1Devnet4, 8>::new(self, scheme, parameter)),
        }
    }

    fn scratch_bytes(&self, _: &Scheme) -> usize {
        match self.permutation {
            Permutation::Poseidon2Classic7 => Xmss::<Poseidon2Classic, 7>::SCRATCH_BYTES,
            Permutation::Poseidon2Classic8 => Xmss::<Poseidon2Classic, 8>::SCRATCH_BYTES,
            Permutation::Poseidon1Devnet4 => Xmss::<Poseidon1Devnet4, 8>::SCRATCH_BYTES,
        }
    }
}
