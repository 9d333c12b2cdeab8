//! The sponge that hashes an epoch's chain ends to its leaf (docs/SCHEMES.md, "Permutation modes").

use p3_symmetric::Permutation;

use super::field::{Aligned, F};
use super::lanes::Lanes;
use super::layout::{Layout, SPONGE_CAPACITY, SPONGE_RATE};
use super::serial::{self, canonical};
use crate::poseidon::{PARAMETER_ELEMENTS, Poseidon};
use crate::scheme::Scheme;

/// A sponge a lane.
pub(super) struct Sponge<'a, L: Layout> {
    permutation: &'a L::Width24,
    state: Aligned<[L::Lanes; 24]>,
    /// Elements of the rate that the block in progress has filled.
    filled: usize,
}

impl<'a, L: Layout> Sponge<'a, L> {
    pub(super) fn new(permutation: &'a L::Width24, capacity: [L::Lanes; SPONGE_CAPACITY]) -> Self {
        let mut state = [L::Lanes::ZERO; 24];
        state[L::CAPACITY_START..][..SPONGE_CAPACITY].copy_from_slice(&capacity);
        Self {
            permutation,
            state: Aligned(state),
            filled: 0,
        }
    }

    #[inline(always)]
    pub(super) fn absorb(&mut self, elements: &[L::Lanes]) {
        for &element in elements {
            let place = &mut self.state.0[L::RATE_START + self.filled];
            if L::OVERWRITES_RATE {
                *place = element;
            } else {
                *place = place.plus(element);
            }
            self.filled += 1;
            if self.filled == SPONGE_RATE {
                self.permutation.permute_mut(&mut self.state.0);
                self.filled = 0;
            }
        }
    }

    /// Closes the last block and gives the first elements of the rate.
    pub(super) fn finish<const N: usize>(&mut self) -> [L::Lanes; N] {
        if self.filled > 0 {
            if L::OVERWRITES_RATE {
                self.state.0[L::RATE_START + self.filled..L::RATE_START + SPONGE_RATE].fill(L::Lanes::ZERO);
            }
            self.permutation.permute_mut(&mut self.state.0);
        }
        std::array::from_fn(|i| self.state.0[L::RATE_START + i])
    }
}

/// The capacity of a scheme's leaf sponge: a constant that binds the lengths of what is absorbed.
pub(super) fn capacity<L: Layout>(family: &Poseidon, scheme: &Scheme) -> [F; SPONGE_CAPACITY] {
    let lengths = [
        PARAMETER_ELEMENTS,
        super::layout::TWEAK_ELEMENTS,
        family.message_chunks(scheme),
        scheme.digest_bytes() / 4,
    ];
    let mut number = lengths
        .iter()
        .fold(0u128, |number, &length| (number << 32) | length as u128);
    let prime = u128::from(super::PRIME);
    let digits = std::array::from_fn(|_| {
        let digit = F::new((number % prime) as u32);
        number /= prime;
        digit
    });
    serial::compress(L::serial(), canonical(&digits)).map(F::new)
}
