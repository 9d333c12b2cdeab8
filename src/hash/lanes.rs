//! One field element a lane, in whatever form a permutation computes with.

use p3_field::{PackedValue, PrimeCharacteristicRing, PrimeField32};

use super::field::{F, Packed, WIDTH, from_montgomery, read_elements, tweak_digits, write_elements};

/// [`WIDTH`] field elements that are computed with side by side.
pub(super) trait Lanes: Copy + Send + Sync {
    const ZERO: Self;

    /// An element for each lane.
    fn from_fn(element: impl Fn(usize) -> F) -> Self;

    /// The same element in every lane.
    fn broadcast(element: F) -> Self {
        Self::from_fn(|_| element)
    }

    /// The element of one lane.
    fn lane(&self, lane: usize) -> F;

    /// Replaces the element of one lane.
    fn set_lane(&mut self, lane: usize, element: F);

    /// The canonical integers of all lanes.
    fn canonical(&self) -> [u32; WIDTH];

    /// The sums, lane by lane.
    fn plus(self, other: Self) -> Self;

    /// 128-bit words mod p, one a lane. `word(lane)` gives its high and its low half.
    fn from_words(word: impl Fn(usize) -> (u64, u64)) -> Self;
}

impl Lanes for Packed {
    const ZERO: Self = <Packed as PrimeCharacteristicRing>::ZERO;

    #[inline(always)]
    fn from_fn(element: impl Fn(usize) -> F) -> Self {
        <Self as PackedValue>::from_fn(element)
    }

    fn lane(&self, lane: usize) -> F {
        self.as_slice()[lane]
    }

    fn set_lane(&mut self, lane: usize, element: F) {
        self.as_slice_mut()[lane] = element;
    }

    #[inline(always)]
    fn canonical(&self) -> [u32; WIDTH] {
        std::array::from_fn(|lane| self.as_slice()[lane].as_canonical_u32())
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self + other
    }

    #[inline(always)]
    fn from_words(word: impl Fn(usize) -> (u64, u64)) -> Self {
        let montgomery = reduce_words(MONTGOMERY_WEIGHTS, word);
        <Self as PackedValue>::from_fn(|lane| from_montgomery(montgomery[lane]))
    }
}

/// The same elements in every lane.
pub(super) fn broadcast<A: Lanes, const N: usize>(elements: [F; N]) -> [A; N] {
    elements.map(A::broadcast)
}

/// Elements that are given lane by lane.
#[inline(always)]
pub(super) fn transposed<A: Lanes, const N: usize>(lane: impl Fn(usize) -> [F; N]) -> [A; N] {
    let lanes: [[F; N]; WIDTH] = std::array::from_fn(lane);
    std::array::from_fn(|element| A::from_fn(|lane| lanes[lane][element]))
}

/// A tweak for each lane.
pub(super) fn tweak_lanes<A: Lanes>(tweak: impl Fn(usize) -> u64) -> [A; 2] {
    transposed(|lane| tweak_digits(tweak(lane)))
}

/// The elements of one lane.
pub(super) fn lane_of<A: Lanes, const N: usize>(elements: &[A; N], lane: usize) -> [F; N] {
    std::array::from_fn(|i| elements[i].lane(lane))
}

/// Reads digests, one a lane, canonical elements of 4 bytes each. `digest(lane)` gives its bytes.
pub(super) fn read_lanes<'a, A: Lanes, const N: usize>(digest: impl Fn(usize) -> &'a [u8]) -> [A; N] {
    transposed(|lane| read_elements(digest(lane)))
}

/// Writes lane after lane, each lane's elements canonically, until `bytes` is full.
pub(super) fn write_lanes<A: Lanes, const N: usize>(elements: &[A; N], bytes: &mut [u8]) {
    for (lane, digest) in bytes.chunks_exact_mut(4 * N).enumerate() {
        write_elements(&lane_of(elements, lane), digest);
    }
}

/// `2^64, 2^96, 2^128, 2^160` mod p: the weights of a 128-bit word's low-first 32-bit limbs, times the two factors
/// of 2^32 that one Montgomery reduction removes and that Montgomery form keeps. They add up to less than 2^32, so
/// the weighted sum of four limbs fits 64 bits.
const MONTGOMERY_WEIGHTS: [u64; 4] = [0x17f7_efe4, 0x18af_7f37, 0x423d_7c8c, 0x1b79_fadf];
/// `2^32, 2^64, 2^96, 2^128` mod p: the same for elements in canonical form.
pub(super) const CANONICAL_WEIGHTS: [u64; 4] = [0x01ff_fffe, 0x17f7_efe4, 0x18af_7f37, 0x423d_7c8c];
/// `p^-1` mod `2^32`.
const PRIME_INVERSE: u32 = 0x8100_0001;

/// Reduces 128-bit words, one a lane, to numbers below p: the sum of their limbs by weight, over 2^32.
#[inline(always)]
pub(super) fn reduce_words(weights: [u64; 4], word: impl Fn(usize) -> (u64, u64)) -> [u32; WIDTH] {
    let mut reduced = [0u32; WIDTH];
    for (lane, reduced) in reduced.iter_mut().enumerate() {
        let (high, low) = word(lane);
        let limbs = [low & 0xffff_ffff, low >> 32, high & 0xffff_ffff, high >> 32];
        let sum = limbs[0] * weights[0] + limbs[1] * weights[1] + limbs[2] * weights[2] + limbs[3] * weights[3];
        *reduced = montgomery_reduce(sum);
    }
    reduced
}

/// `sum / 2^32` mod p, for `sum` below `2^32 * 2p`.
#[inline(always)]
fn montgomery_reduce(sum: u64) -> u32 {
    let prime = super::PRIME;
    let multiple = u64::from((sum as u32).wrapping_mul(PRIME_INVERSE)) * u64::from(prime);
    let high = (sum >> 32) as u32;
    let high = high.min(high.wrapping_sub(prime));
    // The low halves of sum and multiple are equal and cancel.
    let difference = high.wrapping_sub((multiple >> 32) as u32);
    difference.min(difference.wrapping_add(prime))
}

#[cfg(test)]
mod tests {
    use super::super::layout::{Layout, Poseidon1Devnet4, Poseidon2Classic};
    use super::*;
    use crate::scheme::PRIME;

    /// The plain way: 128-bit arithmetic.
    fn reduced_plainly(word: u128) -> F {
        F::new((word % u128::from(PRIME)) as u32)
    }

    fn words() -> Vec<u128> {
        let prime = u128::from(PRIME);
        let mut words = vec![0, 1, prime - 1, prime, prime + 1, u128::MAX, u128::MAX - 1];
        let mut state = 0x9e37_79b9_7f4a_7c15_u128;
        for _ in 0..20_000 {
            state = state
                .wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645)
                .wrapping_add(0x5851_f42d_4c95_7f2d_1405_7b7e_f767_814f);
            words.push(state ^ (state >> 64));
        }
        words
    }

    fn words_reduce<A: Lanes>() {
        for group in words().chunks(WIDTH) {
            let at = |lane: usize| group[lane % group.len()];
            let packed = A::from_words(|lane| ((at(lane) >> 64) as u64, at(lane) as u64));
            for (lane, &word) in group.iter().enumerate() {
                assert_eq!(packed.lane(lane), reduced_plainly(word), "{word:#034x}");
            }
        }
    }

    #[test]
    fn words_reduce_as_128_bit_division_says() {
        words_reduce::<<Poseidon2Classic as Layout>::Lanes>();
        words_reduce::<<Poseidon1Devnet4 as Layout>::Lanes>();
    }

    fn elements_survive<A: Lanes>() {
        let edges = [0, 1, 2, PRIME - 1, PRIME - 2, PRIME / 2, PRIME / 2 + 1];
        let element = |lane: usize| F::new(edges[lane % edges.len()]);
        let mut vector = A::from_fn(element);
        for lane in 0..WIDTH {
            assert_eq!(vector.lane(lane), element(lane), "lane {lane}");
            assert_eq!(
                vector.canonical()[lane],
                element(lane).as_canonical_u32(),
                "lane {lane}"
            );
            assert_eq!(vector.plus(vector).lane(lane), element(lane).double(), "lane {lane}");
        }
        vector.set_lane(WIDTH - 1, F::TWO);
        assert_eq!(vector.lane(WIDTH - 1), F::TWO);
        if WIDTH > 1 {
            assert_eq!(vector.lane(0), element(0));
        }
    }

    #[test]
    fn lanes_give_back_what_was_put_in() {
        elements_survive::<<Poseidon2Classic as Layout>::Lanes>();
        elements_survive::<<Poseidon1Devnet4 as Layout>::Lanes>();
    }
}
