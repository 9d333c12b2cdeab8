//! The aborting hypercube hash (eprint 2026/016): no reduction of big numbers, at the price of some rejected attempts.

use super::sums_to;
use crate::scheme::Scheme;

#[derive(Debug)]
pub(super) struct Aborting {
    chunks_per_element: usize,
    chain_length: u32,
    quotient: u32,
    /// Elements from here on would make the digits uneven, and reject the attempt.
    bound: u32,
    target_sum: u32,
    chunks: usize,
    /// Every chain length of these encodings is a power of two.
    chain_length_bits: u32,
    /// `2^38 / quotient`, rounded up: an element times this, over 2^38, is the element over the quotient. It is so for
    /// elements below 2^31 and quotients up to 2^7, the error of the reciprocal being below 1.
    reciprocal: u64,
}

const RECIPROCAL_BITS: u32 = 38;

impl Aborting {
    pub(super) fn new(scheme: &Scheme, chunks_per_element: u8, quotient: u32, target_sum: u16) -> Self {
        Self {
            chunks_per_element: chunks_per_element.into(),
            chain_length: scheme.chain_length(),
            quotient,
            bound: quotient * scheme.chain_length().pow(chunks_per_element.into()),
            target_sum: target_sum.into(),
            chunks: scheme.chains(),
            chain_length_bits: scheme.chain_length().trailing_zeros(),
            reciprocal: (1u64 << RECIPROCAL_BITS).div_ceil(quotient.into()),
        }
    }

    /// Which lanes have digits that add up to the target, if no element of theirs is over the bound.
    pub(super) fn candidates<const LANES: usize>(&self, hashes: &[[u32; LANES]]) -> [bool; LANES] {
        let mut sums = [0; LANES];
        let mut chunks_left = self.chunks;
        for elements in hashes.iter().take(self.chunks.div_ceil(self.chunks_per_element)) {
            let mut numbers =
                elements.map(|element| ((u64::from(element) * self.reciprocal) >> RECIPROCAL_BITS) as u32);
            for _ in 0..chunks_left.min(self.chunks_per_element) {
                for (sum, number) in sums.iter_mut().zip(&mut numbers) {
                    *sum += *number & (self.chain_length - 1);
                    *number >>= self.chain_length_bits;
                }
            }
            chunks_left = chunks_left.saturating_sub(self.chunks_per_element);
        }
        sums.map(|sum| sum == self.target_sum)
    }

    pub(super) fn encode(&self, hash_elements: &[u32], codeword: &mut [u16]) -> bool {
        let groups = codeword.chunks_mut(self.chunks_per_element);
        for (digits, &element) in groups.zip(hash_elements) {
            if element >= self.bound {
                return false;
            }
            let mut number = element / self.quotient;
            for digit in digits {
                *digit = (number % self.chain_length) as u16;
                number /= self.chain_length;
            }
        }
        sums_to(codeword, self.target_sum)
    }
}
