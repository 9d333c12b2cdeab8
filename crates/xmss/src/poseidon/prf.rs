//! The pseudorandom function: SHAKE128 on one block, several instances side by side (docs/SCHEMES.md, "Pseudorandom
//! function").
//!
//! Input and output each fit one Keccak block, so a call is one permutation. Between the instances of a block only the
//! epoch and a counter (the chain, or the signing attempt) differ, so all other words are prepared once.

use p3_keccak::{KeccakF, VECTOR_LEN};
use p3_symmetric::Permutation;
use zeroize::{Zeroize, ZeroizeOnDrop, optimization_barrier};

use super::field::{Aligned, LANES, PACKS};
use super::lanes::{Lanes, reduce_word};
use crate::hash::PrfKey;
use crate::scheme::MESSAGE_BYTES;
use crate::units::Epoch;

/// SHAKE128's rate in 64-bit words (FIPS 202, section 6.2).
const RATE_WORDS: usize = 21;
/// Domain suffix of SHAKE and the first bit of its padding (FIPS 202, section 6.2).
const SHAKE_SUFFIX: u64 = 0x1f;
/// Last bit of the padding, in the last byte of the rate.
const PADDING_END: u64 = 0x80 << 56;

/// The word whose bytes 1 to 4 hold the epoch, after separator, kind and key.
const EPOCH_WORD: usize = 6;

const SEPARATOR: [u8; 16] = [
    0xae, 0xae, 0x22, 0xff, 0x00, 0x01, 0xfa, 0xff, 0x21, 0xaf, 0x12, 0x00, 0x01, 0x11, 0xff, 0x00,
];
const CHAIN_START: u8 = 0x00;
const RHO: u8 = 0x01;

/// A block of input with room for the counter, whose eight bytes stand last.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Input {
    words: [u64; RATE_WORDS],
    /// The word in which the counter begins. It begins at that word's byte 5 in both uses.
    counter_word: usize,
}

impl Input {
    /// For the chain starts of any epoch, which each instance fills in.
    pub(super) fn chain_starts(key: &PrfKey) -> Self {
        Self::new(&[&SEPARATOR, &[CHAIN_START], key.expose(), &[0; 4]])
    }

    /// For the randomness of one epoch's signature of one message.
    pub(super) fn rho(key: &PrfKey, epoch: Epoch, message: &[u8; MESSAGE_BYTES]) -> Self {
        Self::new(&[&SEPARATOR, &[RHO], key.expose(), &epoch.0.to_be_bytes(), message])
    }

    fn new(parts: &[&[u8]]) -> Self {
        let mut block = [0u8; 8 * RATE_WORDS];
        let mut length = 0;
        for part in parts {
            block[length..length + part.len()].copy_from_slice(part);
            length += part.len();
        }
        debug_assert_eq!(length % 8, 5);
        let (chunks, _) = block.as_chunks::<8>();
        let mut words = std::array::from_fn(|i| u64::from_le_bytes(chunks[i]));
        words[length / 8 + 1] |= SHAKE_SUFFIX << 40;
        words[RATE_WORDS - 1] |= PADDING_END;
        block.zeroize();
        Self {
            words,
            counter_word: length / 8,
        }
    }

    /// Instances of this input, computed in `states`.
    pub(super) fn instances<'a>(&'a self, states: &'a mut States) -> Instances<'a> {
        Instances { input: self, states }
    }
}

/// Words of a Keccak state.
const STATE_WORDS: usize = 25;
/// Keccak vectors in a block.
const GROUPS: usize = LANES / VECTOR_LEN;

/// The Keccak states of a block.
pub(super) type States = Aligned<[[[u64; VECTOR_LEN]; STATE_WORDS]; GROUPS]>;

/// States to compute instances in.
pub(super) const BLANK_STATES: States = Aligned([[[0; VECTOR_LEN]; STATE_WORDS]; GROUPS]);

/// As many instances as a block has, side by side. Their states are wiped when dropped: Keccak is a permutation, so
/// whoever finds a state can go back from it to the key.
pub(super) struct Instances<'a> {
    input: &'a Input,
    states: &'a mut States,
}

impl Instances<'_> {
    /// `N` elements an instance: `epoch(lane)` is or-ed into the epoch's place, `counter(lane)` into the counter's.
    #[inline(always)]
    pub(super) fn elements<A: Lanes, const N: usize>(
        &mut self,
        epoch: impl Fn(usize) -> u32,
        counter: impl Fn(usize) -> u64,
    ) -> [[A; N]; PACKS] {
        let input = self.input;
        for (group, state) in self.states.0.iter_mut().enumerate() {
            for (word, value) in state.iter_mut().zip(input.words) {
                *word = [value; VECTOR_LEN];
            }
            state[RATE_WORDS..].fill([0; VECTOR_LEN]);
            let lane = |i: usize| group * VECTOR_LEN + i;
            let mut fill = |word: usize, bits: &dyn Fn(usize) -> u64| {
                for (i, place) in state[word].iter_mut().enumerate() {
                    *place |= bits(lane(i));
                }
            };
            fill(EPOCH_WORD, &|lane| u64::from(epoch(lane).swap_bytes()) << 8);
            fill(input.counter_word, &|lane| counter(lane).swap_bytes() << 40);
            fill(input.counter_word + 1, &|lane| counter(lane).swap_bytes() >> 24);
            KeccakF.permute_mut(state);
        }
        let mut elements = [[A::ZERO; N]; PACKS];
        for element in 0..N {
            let mut reduced = [0; LANES];
            for (state, reduced) in self.states.0.iter().zip(reduced.chunks_exact_mut(VECTOR_LEN)) {
                let halves = state[2 * element].iter().zip(&state[2 * element + 1]);
                for (reduced, (high, low)) in reduced.iter_mut().zip(halves) {
                    *reduced = reduce_word(A::WORD_WEIGHTS, high.swap_bytes(), low.swap_bytes());
                }
            }
            for (place, words) in elements.iter_mut().zip(reduced.as_chunks().0) {
                place[element] = A::from_reduced(words);
            }
        }
        elements
    }
}

impl Drop for Instances<'_> {
    fn drop(&mut self) {
        *self.states = BLANK_STATES;
        optimization_barrier(&self.states.0);
    }
}
