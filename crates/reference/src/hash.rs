//! The hashes and the pseudorandom function of one scheme under one public parameter.

use super::encoding::{self, LayerSizes};
use super::field::{self, Integer, P};
use super::keccak::shake128;
use super::params::{Encoding, Layout, Params, params};
use super::poseidon::Poseidon;

/// SEP (docs/SCHEMES.md, "Pseudorandom function").
const SEPARATOR: [u8; 16] = [
    0xae, 0xae, 0x22, 0xff, 0x00, 0x01, 0xfa, 0xff, 0x21, 0xaf, 0x12, 0x00, 0x01, 0x11, 0xff, 0x00,
];
const FOR_CHAIN_START: u8 = 0;
const FOR_RHO: u8 = 1;

/// Field elements of P, of a tweak and of a message (docs/SCHEMES.md, "The table of schemes").
pub const PARAMETER_ELEMENTS: usize = 5;
const TWEAK_ELEMENTS: usize = 2;
const MESSAGE_ELEMENTS: usize = 9;

/// A scheme together with a public parameter P: everything but the secrets.
pub struct Reference {
    pub params: Params,
    parameter: Vec<u32>,
    poseidon: Poseidon,
    capacity: Vec<u32>,
    layer_sizes: Option<LayerSizes>,
}

impl Reference {
    /// Panics if there is no such scheme or the parameter is not 5 canonical elements.
    pub fn new(scheme_id: &str, parameter: &[u8]) -> Self {
        let params = params(scheme_id);
        let poseidon = Poseidon::new(params.layout);
        let layer_sizes = match params.encoding {
            Encoding::TopLevel { .. } => Some(LayerSizes::new(params.v, params.w)),
            _ => None,
        };
        Reference {
            capacity: capacity(&poseidon, &params),
            parameter: field::from_bytes(parameter, PARAMETER_ELEMENTS).expect("the parameter is 5 canonical elements"),
            poseidon,
            layer_sizes,
            params,
        }
    }

    /// P, 20 bytes.
    pub fn parameter(&self) -> Vec<u8> {
        field::to_bytes(&self.parameter)
    }

    /// The secret start of a chain, position 0 (docs/SCHEMES.md, "Pseudorandom function").
    pub fn chain_start(&self, prf_key: &[u8; 32], epoch: u32, chain: u64) -> Vec<u8> {
        let mut input = SEPARATOR.to_vec();
        input.push(FOR_CHAIN_START);
        input.extend(prf_key);
        input.extend(epoch.to_be_bytes());
        input.extend(chain.to_be_bytes());
        let output = shake128(&input, 16 * self.params.n);
        field::to_bytes(&field::reduce_each_16_bytes(&output))
    }

    /// The value at `to_position`, given the one at `from_position`.
    pub fn chain_walk(&self, epoch: u32, chain: u64, from_position: u64, to_position: u64, value: &[u8]) -> Vec<u8> {
        assert!(from_position <= to_position && to_position < self.params.w as u64);
        let mut value = self.digest(value);
        for position in from_position + 1..=to_position {
            let tweak = tweak((u64::from(epoch) << 24) + (chain << 16) + (position << 8));
            let input = match self.params.layout {
                Layout::Classic => [&self.parameter, &tweak, &value],
                Layout::Devnet4 => [&value, &self.parameter, &tweak],
            }
            .map(Vec::as_slice)
            .concat();
            value = self.poseidon.compress_16(&input, self.params.n);
        }
        field::to_bytes(&value)
    }

    /// The leaf hash of an epoch from its chain ends (docs/SCHEMES.md, "Permutation modes"): node
    /// (0, e) of the tree, over all v ends.
    pub fn leaf_from_chain_ends(&self, epoch: u32, ends: &[Vec<u8>]) -> Vec<u8> {
        assert_eq!(ends.len(), self.params.v);
        let mut input = [self.parameter.clone(), node_tweak(0, u64::from(epoch))].concat();
        for end in ends {
            input.extend(self.digest(end));
        }
        let leaf = self.poseidon.sponge(&self.capacity, &input, self.params.n);
        field::to_bytes(&leaf)
    }

    /// The leaf of an epoch from the secret: every chain from its start to its end.
    pub fn leaf(&self, prf_key: &[u8; 32], epoch: u32) -> Vec<u8> {
        let end_of = |chain| {
            let start = self.chain_start(prf_key, epoch, chain);
            self.chain_walk(epoch, chain, 0, self.params.w as u64 - 1, &start)
        };
        let ends: Vec<_> = (0..self.params.v as u64).map(end_of).collect();
        self.leaf_from_chain_ends(epoch, &ends)
    }

    /// Node (level, index) from its children; `level` is the parent's and at least 1.
    pub fn parent(&self, level: u8, index: u64, left: &[u8], right: &[u8]) -> Vec<u8> {
        let input = [
            self.parameter.clone(),
            node_tweak(level, index),
            self.digest(left),
            self.digest(right),
        ]
        .concat();
        field::to_bytes(&self.poseidon.compress_24(&input, self.params.n))
    }

    /// The randomness of a signing attempt (docs/SCHEMES.md, "Pseudorandom function").
    pub fn rho(&self, prf_key: &[u8; 32], epoch: u32, message: &[u8; 32], attempt: u64) -> Vec<u8> {
        let mut input = SEPARATOR.to_vec();
        input.push(FOR_RHO);
        input.extend(prf_key);
        input.extend(epoch.to_be_bytes());
        input.extend(message);
        input.extend(attempt.to_be_bytes());
        let output = shake128(&input, 16 * self.params.r);
        field::to_bytes(&field::reduce_each_16_bytes(&output))
    }

    /// The codeword of a message, or None if this rho is rejected (docs/SCHEMES.md, "Encodings").
    pub fn codeword(&self, epoch: u32, message: &[u8; 32], rho: &[u8]) -> Option<Vec<u8>> {
        let x = self.codeword_of_any_sum(epoch, message, rho)?;
        let sum: u64 = x.iter().map(|&position| u64::from(position)).sum();
        let accepted = self.params.target_sum.is_none_or(|target| target == sum);
        accepted.then_some(x)
    }

    /// The same before its sum is looked at.
    pub fn codeword_of_any_sum(&self, epoch: u32, message: &[u8; 32], rho: &[u8]) -> Option<Vec<u8>> {
        let rho = field::from_bytes(rho, self.params.r).expect("rho is r canonical elements");
        let message = field::low_first_elements(Integer::from_le_slice(message), MESSAGE_ELEMENTS);
        let tweak = tweak((u64::from(epoch) << 8) + 0x02);
        // The top-level schemes append the invocation index, always 0: the same as the padding.
        let input = match self.params.layout {
            Layout::Classic => [&rho, &self.parameter, &tweak, &message],
            Layout::Devnet4 => [&message, &self.parameter, &tweak, &rho],
        }
        .map(Vec::as_slice)
        .concat();
        let elements = self.params.encoding.hash_elements();
        let hash = self.poseidon.compress_24(&input, elements);
        encoding::vector(&self.params, self.layer_sizes.as_ref(), &hash)
    }

    fn digest(&self, bytes: &[u8]) -> Vec<u32> {
        field::from_bytes(bytes, self.params.n).expect("a digest is n canonical elements")
    }
}

/// A constant of the scheme: |P|, the tweak length, c and n, hashed (docs/SCHEMES.md, "Permutation modes").
fn capacity(poseidon: &Poseidon, params: &Params) -> Vec<u32> {
    let lengths = [PARAMETER_ELEMENTS, TWEAK_ELEMENTS, params.c, params.n];
    let number = lengths
        .iter()
        .fold(Integer::ZERO, |number, &length| (number << 32) + Integer::from(length));
    poseidon.capacity(&field::low_first_elements(number, 24))
}

fn node_tweak(level: u8, index: u64) -> Vec<u32> {
    tweak((u64::from(level) << 40) + (index << 8) + 0x01)
}

/// A tweak from its number (docs/SCHEMES.md, "Tweaks"): two low-first base-p digits.
fn tweak(number: u64) -> Vec<u32> {
    vec![(number % P) as u32, (number / P) as u32]
}
