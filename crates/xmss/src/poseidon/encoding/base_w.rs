//! Base-w digits of the message hash: the plain target-sum encoding, and Winternitz with its checksum.

use ruint::aliases::U256;

use super::{base_p_number, sums_to};
use crate::scheme::Scheme;

/// Five elements, read as one number of 155 bits.
const HASH_ELEMENTS: usize = 5;

#[derive(Debug)]
pub(super) struct BaseW {
    message_chunks: usize,
    chain_length: u32,
    acceptance: Acceptance,
}

#[derive(Debug)]
enum Acceptance {
    TargetSum(u32),
    Checksum,
}

impl BaseW {
    pub(super) fn with_target_sum(scheme: &Scheme, message_chunks: usize, target_sum: u16) -> Self {
        Self::new(scheme, message_chunks, Acceptance::TargetSum(target_sum.into()))
    }

    pub(super) fn with_checksum(scheme: &Scheme, message_chunks: usize) -> Self {
        Self::new(scheme, message_chunks, Acceptance::Checksum)
    }

    fn new(scheme: &Scheme, message_chunks: usize, acceptance: Acceptance) -> Self {
        Self {
            message_chunks,
            chain_length: scheme.chain_length(),
            acceptance,
        }
    }

    pub(super) fn encode(&self, hash_elements: &[u32], codeword: &mut [u16]) -> bool {
        let (message, checksum) = codeword.split_at_mut(self.message_chunks);
        self.message_digits(&hash_elements[..HASH_ELEMENTS], message);
        match self.acceptance {
            Acceptance::TargetSum(target) => sums_to(message, target),
            Acceptance::Checksum => {
                self.checksum_digits(message, checksum);
                true
            }
        }
    }

    fn message_digits(&self, hash_elements: &[u32], digits: &mut [u16]) {
        // Every chain length of these encodings is a power of two, so digits are groups of bits.
        let bits = self.chain_length.trailing_zeros() as usize;
        let mask = U256::from(self.chain_length - 1);
        let mut number: U256 = base_p_number(hash_elements);
        for digit in digits {
            *digit = (number & mask).to::<u16>();
            number >>= bits;
        }
    }

    fn checksum_digits(&self, message: &[u16], digits: &mut [u16]) {
        let mut sum: u32 = message.iter().map(|&x| self.chain_length - 1 - u32::from(x)).sum();
        for digit in digits {
            *digit = (sum % self.chain_length) as u16;
            sum /= self.chain_length;
        }
    }
}
