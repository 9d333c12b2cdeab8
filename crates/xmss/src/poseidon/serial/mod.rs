//! Sequential hashing, one state at a time: the sponge over one epoch's chain ends, one path to its root.
//!
//! There are no lanes to fill here, and no arithmetic but the permutation's. So elements are plain canonical integers, as
//! they stand in a signature, and what the permutation makes of them inside is its own business.

mod library;
#[cfg(all(target_feature = "avx", target_feature = "fma"))]
mod partial;
#[cfg(all(target_feature = "avx", target_feature = "fma"))]
mod rounds;
#[cfg(all(target_feature = "avx", target_feature = "fma"))]
mod spread;
#[cfg(test)]
mod tests;

pub(super) use library::OfLibrary;
#[cfg(not(all(target_feature = "avx", target_feature = "fma")))]
pub(super) use library::{SerialPoseidon1, SerialPoseidon2};
#[cfg(all(target_feature = "avx", target_feature = "fma"))]
pub(super) use spread::{SpreadPoseidon1 as SerialPoseidon1, SpreadPoseidon2 as SerialPoseidon2};

use p3_field::PrimeField32;

use super::PRIME;
use super::field::F;
use super::layout::{Layout, SPONGE_CAPACITY, SPONGE_RATE};
use crate::poseidon::PARAMETER_ELEMENTS;

/// A permutation of width 24 of one state of canonical elements.
pub(super) trait SerialPermutation: Send + Sync {
    fn permute(&self, state: &mut [u32; 24]);
}

/// The two low-first base-p digits of a tweak integer.
pub(super) fn tweak_digits(tweak: u64) -> [u32; 2] {
    let prime = u64::from(PRIME);
    [(tweak % prime) as u32, (tweak / prime) as u32]
}

/// Reads elements, 4 bytes each; a value of p or more is reduced.
pub(super) fn read_elements<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let (words, _) = bytes.as_chunks::<4>();
    std::array::from_fn(|i| u32::from_le_bytes(words[i]) % PRIME)
}

/// Writes elements, 4 bytes each.
pub(super) fn write_elements(elements: &[u32], bytes: &mut [u8]) {
    let (words, _) = bytes.as_chunks_mut::<4>();
    for (word, element) in words.iter_mut().zip(elements) {
        *word = element.to_le_bytes();
    }
}

/// The canonical integers of field elements.
pub(super) fn canonical<const N: usize>(elements: &[F; N]) -> [u32; N] {
    elements.map(|element| element.as_canonical_u32())
}

fn sum(a: u32, b: u32) -> u32 {
    let sum = a + b;
    sum.min(sum.wrapping_sub(PRIME))
}

/// Permutes, adds the input again, and keeps the first `M` elements.
pub(super) fn compress<const M: usize>(permutation: &impl SerialPermutation, input: [u32; 24]) -> [u32; M] {
    let mut state = input;
    permutation.permute(&mut state);
    std::array::from_fn(|i| sum(state[i], input[i]))
}

/// The parent of two digests.
pub(super) fn parent<const N: usize>(
    permutation: &impl SerialPermutation,
    parameter: &[u32; PARAMETER_ELEMENTS],
    tweak: u64,
    children: [&[u32; N]; 2],
) -> [u32; N] {
    let mut input = [0; 24];
    let mut rest = &mut input[..];
    for part in [&parameter[..], &tweak_digits(tweak), children[0], children[1]] {
        let (place, after) = rest.split_at_mut(part.len());
        place.copy_from_slice(part);
        rest = after;
    }
    compress(permutation, input)
}

/// The sponge over the chain ends of one epoch.
pub(super) struct SerialSponge<'a, L: Layout> {
    permutation: &'a L::Serial,
    state: [u32; 24],
    /// Elements of the rate that the block in progress has filled.
    filled: usize,
}

impl<'a, L: Layout> SerialSponge<'a, L> {
    pub(super) fn new(permutation: &'a L::Serial, capacity: &[F; SPONGE_CAPACITY]) -> Self {
        let mut state = [0; 24];
        state[L::CAPACITY_START..][..SPONGE_CAPACITY].copy_from_slice(&canonical(capacity));
        Self {
            permutation,
            state,
            filled: 0,
        }
    }

    pub(super) fn absorb(&mut self, elements: &[u32]) {
        for &element in elements {
            let place = &mut self.state[L::RATE_START + self.filled];
            *place = if L::OVERWRITES_RATE {
                element
            } else {
                sum(*place, element)
            };
            self.filled += 1;
            if self.filled == SPONGE_RATE {
                self.permutation.permute(&mut self.state);
                self.filled = 0;
            }
        }
    }

    /// Closes the last block and gives the first elements of the rate.
    pub(super) fn finish<const N: usize>(mut self) -> [u32; N] {
        if self.filled > 0 {
            if L::OVERWRITES_RATE {
                self.state[L::RATE_START + self.filled..L::RATE_START + SPONGE_RATE].fill(0);
            }
            self.permutation.permute(&mut self.state);
        }
        std::array::from_fn(|i| self.state[L::RATE_START + i])
    }
}
