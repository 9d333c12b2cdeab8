//! The message hash, of one attempt a lane (spec "Permutation modes", "Encodings").

use p3_field::{PackedValue, PrimeCharacteristicRing, PrimeField32};

use super::field::{Packed, WIDTH, base_p_digits, broadcast, tweak_digits};
use super::layout::{Layout, MESSAGE_ELEMENTS, TWEAK_ELEMENTS};
use super::node::compress;
use crate::scheme::{HASH_ELEMENTS_MAX, MESSAGE_BYTES, PARAMETER_ELEMENTS, tweak};
use crate::units::Epoch;

/// Everything but rho, in place: hashing an attempt only writes its rho.
pub(super) struct MessageInput {
    input: [Packed; 24],
    rho_start: usize,
}

impl MessageInput {
    pub(super) fn new<L: Layout>(
        parameter: &[Packed; PARAMETER_ELEMENTS],
        rho_elements: usize,
        epoch: Epoch,
        message: &[u8; MESSAGE_BYTES],
    ) -> Self {
        let at = L::message_positions(rho_elements);
        let mut input = [Packed::ZERO; 24];
        input[at.parameter..at.parameter + PARAMETER_ELEMENTS].copy_from_slice(parameter);
        let tweak = broadcast(tweak_digits(tweak::message(epoch)));
        input[at.tweak..at.tweak + TWEAK_ELEMENTS].copy_from_slice(&tweak);
        let message: [_; MESSAGE_ELEMENTS] = broadcast(base_p_digits(message));
        input[at.message..at.message + MESSAGE_ELEMENTS].copy_from_slice(&message);
        Self {
            input,
            rho_start: at.rho,
        }
    }

    /// The canonical hash elements of each lane's rho.
    pub(super) fn hash<L: Layout>(
        &self,
        permutation: &L::Width24,
        rho: &[Packed],
    ) -> [[u32; HASH_ELEMENTS_MAX]; WIDTH] {
        let mut input = self.input;
        input[self.rho_start..self.rho_start + rho.len()].copy_from_slice(rho);
        let hashed: [Packed; HASH_ELEMENTS_MAX] = compress(permutation, input);
        std::array::from_fn(|lane| hashed.map(|h| h.as_slice()[lane].as_canonical_u32()))
    }
}
