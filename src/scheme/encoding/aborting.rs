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
}

impl Aborting {
    pub(super) fn new(scheme: &Scheme, chunks_per_element: u8, quotient: u32, target_sum: u16) -> Self {
        Self {
            chunks_per_element: chunks_per_element.into(),
            chain_length: scheme.chain_length(),
            quotient,
            bound: quotient * scheme.chain_length().pow(chunks_per_element.into()),
            target_sum: target_sum.into(),
        }
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
