//! From the elements of a message hash to a codeword: which position of each chain a signature reveals.

mod aborting;
mod base_w;
mod top_level;

use super::{Encoding, Poseidon};
use crate::scheme::Scheme;
use aborting::Aborting;
use base_w::BaseW;
use top_level::TopLevel;

/// Most elements that any encoding asks of the message hash.
pub(crate) const HASH_ELEMENTS_MAX: usize = 15;

/// Turns message hashes into codewords for one scheme; building it may compute tables, so keep it.
#[derive(Debug)]
pub(crate) struct CodewordEncoder {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    BaseW(BaseW),
    TopLevel(Box<TopLevel>),
    Aborting(Aborting),
}

impl CodewordEncoder {
    pub(crate) fn new(family: &Poseidon, scheme: &Scheme) -> Self {
        let message_chunks = family.message_chunks(scheme);
        let kind = match family.encoding {
            Encoding::Plain { target_sum } => Kind::BaseW(BaseW::with_target_sum(scheme, message_chunks, target_sum)),
            Encoding::Checksum { .. } => Kind::BaseW(BaseW::with_checksum(scheme, message_chunks)),
            Encoding::TopLevel {
                final_layer,
                target_sum,
            } => Kind::TopLevel(Box::new(TopLevel::new(scheme, final_layer, target_sum))),
            Encoding::Aborting {
                chunks_per_element,
                quotient,
                target_sum,
            } => Kind::Aborting(Aborting::new(scheme, chunks_per_element, quotient, target_sum)),
        };
        Self { kind }
    }

    /// The lanes whose hash may give an accepted codeword, in order. `hashes` holds their canonical elements, an array of
    /// lanes for each element.
    ///
    /// Nearly all attempts to sign are rejected; where that is seen without their codewords, those are not computed.
    pub(crate) fn candidates<const LANES: usize>(
        &self,
        hashes: &[[u32; LANES]],
    ) -> impl Iterator<Item = usize> + use<LANES> {
        let is_candidate = match &self.kind {
            Kind::Aborting(encoding) => encoding.candidates(hashes),
            Kind::BaseW(_) | Kind::TopLevel(_) => [true; LANES],
        };
        (0..LANES).filter(move |&lane| is_candidate[lane])
    }

    /// Writes the codeword of these canonical hash elements, one entry a chain, and says whether it is accepted.
    ///
    /// A rejected codeword must not be used: `codeword` then holds whatever had been computed.
    pub(crate) fn encode(&self, hash_elements: &[u32], codeword: &mut [u16]) -> bool {
        match &self.kind {
            Kind::BaseW(encoding) => encoding.encode(hash_elements, codeword),
            Kind::TopLevel(encoding) => encoding.encode(hash_elements, codeword),
            Kind::Aborting(encoding) => encoding.encode(hash_elements, codeword),
        }
    }
}

fn sums_to(codeword: &[u16], target_sum: u32) -> bool {
    codeword.iter().map(|&x| u32::from(x)).sum::<u32>() == target_sum
}

/// Reads field elements as the digits of a big-endian base-p number.
fn base_p_number<const BITS: usize, const LIMBS: usize>(hash_elements: &[u32]) -> ruint::Uint<BITS, LIMBS> {
    let prime = ruint::Uint::from(super::PRIME);
    hash_elements.iter().fold(ruint::Uint::ZERO, |number, &element| {
        number * prime + ruint::Uint::from(element)
    })
}
