//! The message hash, alone and of one attempt a lane (docs/SCHEMES.md, "Permutation modes" and "Encodings").

use std::ops::Range;

use super::field::{F, WIDTH, base_p_digits, read_elements, tweak_digits};
use super::lanes::{Lanes, broadcast};
use super::layout::{Layout, MESSAGE_ELEMENTS, TWEAK_ELEMENTS};
use super::node::compress;
use super::serial;
use crate::poseidon::encoding::HASH_ELEMENTS_MAX;
use crate::poseidon::{PARAMETER_ELEMENTS, tweak};
use crate::scheme::MESSAGE_BYTES;
use crate::units::Epoch;

/// Everything but rho, in place: hashing an attempt only writes its rho.
pub(super) struct MessageInput {
    input: [F; 24],
    rho: Range<usize>,
}

impl MessageInput {
    pub(super) fn new<L: Layout>(
        parameter: &[F; PARAMETER_ELEMENTS],
        rho_elements: usize,
        epoch: Epoch,
        message: &[u8; MESSAGE_BYTES],
    ) -> Self {
        let at = L::message_positions(rho_elements);
        let mut input = [F::default(); 24];
        input[at.parameter..at.parameter + PARAMETER_ELEMENTS].copy_from_slice(parameter);
        input[at.tweak..at.tweak + TWEAK_ELEMENTS].copy_from_slice(&tweak_digits(tweak::message(epoch)));
        let message: [_; MESSAGE_ELEMENTS] = base_p_digits(message);
        input[at.message..at.message + MESSAGE_ELEMENTS].copy_from_slice(&message);
        Self {
            input,
            rho: at.rho..at.rho + rho_elements,
        }
    }

    /// The whole input, with this rho (canonical elements).
    pub(super) fn with_rho(&self, rho: &[u8]) -> [F; 24] {
        let mut input = self.input;
        for (place, element) in input[self.rho.clone()].iter_mut().zip(rho.chunks_exact(4)) {
            *place = read_elements::<1>(element)[0];
        }
        input
    }

    /// The hash elements of attempts that differ in rho alone, element by element, an attempt a lane.
    pub(super) fn hash_attempts<L: Layout>(
        &self,
        permutation: &L::Width24,
        rho: &[L::Lanes],
    ) -> [[u32; WIDTH]; HASH_ELEMENTS_MAX] {
        let mut input = broadcast(self.input);
        input[self.rho.clone()].copy_from_slice(rho);
        hash_lanes::<L>(permutation, input)
    }
}

/// The hash elements of one input.
pub(super) fn hash_one<L: Layout>(input: &[F; 24]) -> [u32; HASH_ELEMENTS_MAX] {
    serial::compress(L::serial(), serial::canonical(input))
}

/// The hash elements of an input a lane, element by element.
pub(super) fn hash_lanes<L: Layout>(
    permutation: &L::Width24,
    input: [L::Lanes; 24],
) -> [[u32; WIDTH]; HASH_ELEMENTS_MAX] {
    let hashed: [L::Lanes; HASH_ELEMENTS_MAX] = compress(permutation, input);
    hashed.map(|vector| vector.canonical())
}

/// The hash elements of one lane.
pub(super) fn hash_of(hashes: &[[u32; WIDTH]; HASH_ELEMENTS_MAX], lane: usize) -> [u32; HASH_ELEMENTS_MAX] {
    hashes.map(|element| element[lane])
}
