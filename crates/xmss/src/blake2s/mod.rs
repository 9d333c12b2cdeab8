//! The BLAKE2s family: leanVM's XMSS, as in ethereum/cryptography-specs (docs/SCHEMES.md, "The BLAKE2s family").
//!
//! The parts are apart, so that another hash, other tweaks or another derivation can take the place of one of them: the hash
//! is in `compress`, tweaks in `tweak`, what follows from a seed in `derivation`, what a row says in `rows`.

pub(crate) mod bound;
mod compress;
mod derivation;
mod encoding;
mod lanes;
mod many_epochs;
mod many_signatures;
mod one_epoch;
mod rows;
#[cfg(test)]
mod tests;
mod tweak;
mod walk;
mod xmss;

pub(crate) use rows::SCHEMES;

use crate::hash::{DrawnKey, Kernel, PrfKey};
use crate::scheme::{Codewords, Family, KeyForms, NonCanonical, Parameter, Scheme, Secrets, SignatureForm, Widening};
use crate::units::{Level, NodeIndex};
use derivation::{Derivation, Digest, Keyed, Typed};
use lanes::{Packed, read_words, write_words};
use xmss::{DIGEST_BYTES, Xmss};

/// What tells the uses of the hash apart, as it stands in tweaks. Those of a derivation are with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Types {
    chain: u8,
    leaf: u8,
    node: u8,
    encoding: u8,
}

/// How everything secret is derived from the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Derived {
    /// By hashes like all others.
    Typed(Typed),
    /// By a keyed hash.
    Keyed(Keyed),
}

/// What a scheme of this family is, beside its sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blake2s {
    types: Types,
    derived: Derived,
    target_sum: u16,
    attempts_max: u64,
}

impl Blake2s {
    fn parameter(&self, seed: &[u8; 32]) -> Parameter {
        let seed = read_words(seed);
        let words = match self.derived {
            Derived::Typed(typed) => typed.parameter(&seed),
            Derived::Keyed(keyed) => keyed.parameter(&seed),
        };
        Parameter::of(&bytes(&words))
    }

    fn filler(&self, seed: &PrfKey, parameter: &Parameter, level: Level, node: NodeIndex) -> [u8; DIGEST_BYTES] {
        let (seed, parameter) = (read_words(seed.expose()), read_words(parameter));
        let (level, index) = (level.0.into(), node.0 as u32);
        bytes(&match self.derived {
            Derived::Typed(typed) => typed.filler(&seed, &parameter, level, index),
            Derived::Keyed(keyed) => keyed.filler(&seed, &parameter, level, index),
        })
    }
}

fn bytes(words: &Digest<u32>) -> [u8; DIGEST_BYTES] {
    let mut bytes = [0; DIGEST_BYTES];
    write_words(words, &mut bytes);
    bytes
}

impl Family for Blake2s {
    fn permutation(&self) -> &'static str {
        "BLAKE2s"
    }

    fn hash_function(&self) -> &'static str {
        "BLAKE2s"
    }

    fn codewords(&self) -> Codewords {
        Codewords {
            name: "63-bit words, target sum",
            manifest_word: "TargetSum",
            target_sum: Some(self.target_sum),
        }
    }

    fn attempts_max(&self) -> u64 {
        self.attempts_max
    }

    fn parameter_bytes(&self) -> usize {
        DIGEST_BYTES
    }

    /// Any bytes are a digest.
    fn check_canonical(&self, _: &[u8]) -> Result<(), NonCanonical> {
        Ok(())
    }

    fn widening(&self) -> Widening {
        Widening::Exact
    }

    fn secrets(&self) -> Secrets {
        Secrets::SeedAlone
    }

    fn draw(&self, scheme: &Scheme, seed: &[u8; 32], fillers: &[(Level, NodeIndex)]) -> DrawnKey {
        let prf_key = PrfKey::new(*seed);
        let parameter = self.parameter(seed);
        DrawnKey {
            fillers: self.fillers(scheme, &prf_key, &parameter, fillers),
            parameter,
            prf_key,
        }
    }

    fn fillers(&self, _: &Scheme, prf_key: &PrfKey, parameter: &Parameter, places: &[(Level, NodeIndex)]) -> Vec<u8> {
        let filler = |&(level, node): &(Level, NodeIndex)| self.filler(prf_key, parameter, level, node);
        places.iter().flat_map(filler).collect()
    }

    fn signature_form(&self) -> SignatureForm {
        SignatureForm::Flat
    }

    fn key_forms(&self) -> KeyForms {
        KeyForms::Leanvm
    }

    fn kernel(&self, scheme: &'static Scheme, parameter: &Parameter) -> Box<dyn Kernel> {
        let (types, target_sum) = (self.types, self.target_sum.into());
        match self.derived {
            Derived::Typed(typed) => Box::new(Xmss::<Packed, _>::new(scheme, types, typed, target_sum, parameter)),
            Derived::Keyed(keyed) => Box::new(Xmss::<Packed, _>::new(scheme, types, keyed, target_sum, parameter)),
        }
    }

    fn scratch_bytes(&self, _: &Scheme) -> usize {
        Xmss::<Packed, Typed>::SCRATCH_BYTES
    }
}
