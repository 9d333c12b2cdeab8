//! Hash chains, walked in lanes (docs/SCHEMES.md, "Permutation modes" and "Tweaks").

use p3_field::PrimeCharacteristicRing;

use super::PRIME;
use super::field::{Aligned, F, WIDTH};
use super::lanes::{Lanes, tweak_lanes};
use super::layout::{Layout, TWEAK_ELEMENTS};
use super::node::compress_in_place;
use crate::poseidon::PARAMETER_ELEMENTS;
use crate::poseidon::tweak::{CHAIN_INDEX_STRIDE, CHAIN_POSITION_STRIDE, chain_base};
use crate::units::Epoch;

/// One step of a chain: the state is set up once, and each step writes only tweak and value into it.
pub(super) struct ChainStep<'a, L: Layout, const N: usize> {
    permutation: &'a L::Width16,
    input: [L::Lanes; 16],
}

impl<'a, L: Layout, const N: usize> ChainStep<'a, L, N> {
    pub(super) fn new(permutation: &'a L::Width16, parameter: &[L::Lanes; PARAMETER_ELEMENTS]) -> Self {
        let mut input = [L::Lanes::ZERO; 16];
        let at = L::chain_positions(N).parameter;
        input[at..at + PARAMETER_ELEMENTS].copy_from_slice(parameter);
        Self { permutation, input }
    }

    #[inline(always)]
    pub(super) fn take(&self, tweak: [L::Lanes; TWEAK_ELEMENTS], value: &mut [L::Lanes; N]) {
        let at = L::chain_positions(N);
        let mut state = Aligned(self.input);
        state.0[at.tweak..at.tweak + TWEAK_ELEMENTS].copy_from_slice(&tweak);
        state.0[at.value..at.value + N].copy_from_slice(value);
        *value = compress_in_place(self.permutation, &mut state);
    }
}

/// The chain tweaks of one epoch a lane.
///
/// Within an epoch a chain tweak grows by less than 2^24 < p, so its low digit wraps at most once and its high digit is
/// one of two values. Low digits are therefore had by adding field elements, with no division in the walk.
pub(super) struct EpochTweaks<A> {
    low: A,
    high: A,
    /// The increment from which on a lane's low digit has wrapped.
    wraps_at: [u32; WIDTH],
    first_wrap: u32,
}

impl<A: Lanes> EpochTweaks<A> {
    pub(super) fn new(epoch: impl Fn(usize) -> Epoch) -> Self {
        let [low, high] = tweak_lanes(|lane| chain_base(epoch(lane)));
        let wraps_at = std::array::from_fn(|lane| PRIME - (chain_base(epoch(lane)) % u64::from(PRIME)) as u32);
        let first_wrap = wraps_at.iter().copied().min().unwrap_or(PRIME);
        Self {
            low,
            high,
            wraps_at,
            first_wrap,
        }
    }

    /// Walks `chain` from its start to its end in every lane.
    #[inline(always)]
    pub(super) fn walk_whole_chain<L: Layout<Lanes = A>, const N: usize>(
        &self,
        step: &ChainStep<'_, L, N>,
        chain: usize,
        chain_length: u32,
        value: &mut [A; N],
    ) {
        let first = chain as u32 * CHAIN_INDEX_STRIDE as u32;
        let stride = CHAIN_POSITION_STRIDE as u32;
        let last = first + (chain_length - 1) * stride;
        let wraps = last >= self.first_wrap;
        let mut low = self.low.plus(A::broadcast(F::new(first)));
        let low_stride = A::broadcast(F::new(stride));
        let mut increment = first;
        for _position in 1..chain_length {
            low = low.plus(low_stride);
            increment += stride;
            let high = if wraps { self.high_after(increment) } else { self.high };
            step.take([low, high], value);
        }
    }

    #[cold]
    fn high_after(&self, increment: u32) -> A {
        self.high
            .plus(A::from_fn(|lane| F::from_bool(increment >= self.wraps_at[lane])))
    }
}
