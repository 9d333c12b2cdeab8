//! One field element a lane, in whatever form a permutation computes with.

use p3_field::{PackedValue, PrimeCharacteristicRing, PrimeField32};

use super::field::{F, Packed, WIDTH, from_montgomery, read_elements};
use super::serial::tweak_digits;

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

    /// The canonical integers of all lanes.
    fn canonical(&self) -> [u32; WIDTH];

    /// The elements that canonical integers stand for, one a lane.
    #[inline(always)]
    fn from_canonical(words: &[u32; WIDTH]) -> Self {
        Self::from_fn(|lane| F::new(words[lane]))
    }

    /// The sums, lane by lane.
    fn plus(self, other: Self) -> Self;

    /// By what [`reduce_word`] has to multiply the limbs of a word for [`from_reduced`](Self::from_reduced).
    const WORD_WEIGHTS: [u64; 4];

    /// The elements that 128-bit words are mod p, one a lane.
    fn from_reduced(words: &[u32; WIDTH]) -> Self;
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

    #[inline(always)]
    fn canonical(&self) -> [u32; WIDTH] {
        std::array::from_fn(|lane| self.as_slice()[lane].as_canonical_u32())
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self + other
    }

    /// `2^64, 2^96, 2^128, 2^160` mod p: one factor of 2^32 more than elements in canonical form need, since these are
    /// in Montgomery form.
    const WORD_WEIGHTS: [u64; 4] = [0x17f7_efe4, 0x18af_7f37, 0x423d_7c8c, 0x1b79_fadf];

    // Inlined, the lanes of several elements would be interleaved with gathers and scatters.
    #[inline(never)]
    fn from_reduced(words: &[u32; WIDTH]) -> Self {
        <Self as PackedValue>::from_fn(|lane| from_montgomery(words[lane]))
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

/// The canonical integers of every lane's elements.
#[inline(always)]
pub(super) fn canonical_lanes<A: Lanes, const N: usize>(elements: &[A; N]) -> [[u32; N]; WIDTH] {
    let words = elements.map(|element| element.canonical());
    std::array::from_fn(|lane| std::array::from_fn(|element| words[element][lane]))
}

/// Elements that are given lane by lane as canonical integers.
#[inline(always)]
pub(super) fn from_canonical_lanes<A: Lanes, const N: usize>(lane: impl Fn(usize) -> [u32; N]) -> [A; N] {
    let lanes: [[u32; N]; WIDTH] = std::array::from_fn(lane);
    std::array::from_fn(|element| A::from_canonical(&std::array::from_fn(|lane| lanes[lane][element])))
}

/// A tweak for each lane.
pub(super) fn tweak_lanes<A: Lanes>(tweak: impl Fn(usize) -> u64) -> [A; 2] {
    from_canonical_lanes(|lane| tweak_digits(tweak(lane)))
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
    let numbers = elements.map(|element| element.canonical());
    for (lane, digest) in bytes.chunks_exact_mut(4 * N).enumerate() {
        for (place, numbers) in digest.as_chunks_mut().0.iter_mut().zip(&numbers) {
            *place = numbers[lane].to_le_bytes();
        }
    }
}

/// `2^32, 2^64, 2^96, 2^128` mod p: the weights of a 128-bit word's low-first 32-bit limbs for elements in canonical form,
/// times the factor of 2^32 that a Montgomery reduction removes. Like those for Montgomery form they add up to less than
/// 2^32, so that the weighted sum of four limbs fits 64 bits.
#[cfg(all(target_feature = "avx512f", target_feature = "fma"))]
pub(super) const CANONICAL_WEIGHTS: [u64; 4] = [0x01ff_fffe, 0x17f7_efe4, 0x18af_7f37, 0x423d_7c8c];
const LOW_HALF: u64 = 0xffff_ffff;

/// Reduces a 128-bit word to a number below p: the sum of its limbs by weight, over 2^32.
///
/// All products are of numbers below 2^32 in 64 bits, the one that vectors multiply in one step.
#[inline(always)]
pub(super) fn reduce_word(weights: [u64; 4], high: u64, low: u64) -> u32 {
    let limbs = [low & LOW_HALF, low >> 32, high & LOW_HALF, high >> 32];
    let sum = limbs[0] * weights[0] + limbs[1] * weights[1] + limbs[2] * weights[2] + limbs[3] * weights[3];
    let prime = u64::from(super::PRIME);
    // Times 1/p mod 2^32, which is 2^31 + 2^24 + 1.
    let multiple = (sum.wrapping_add(sum << 24).wrapping_add(sum << 31) & LOW_HALF) * prime;
    // The low halves of sum and multiple are equal and cancel. The sum is below 2^32 * 2p.
    let quotient = (sum >> 32) as u32;
    let quotient = quotient.min(quotient.wrapping_sub(super::PRIME));
    let difference = quotient.wrapping_sub((multiple >> 32) as u32);
    difference.min(difference.wrapping_add(super::PRIME))
}

#[cfg(test)]
mod tests {
    use super::super::layout::{Layout, Poseidon1Devnet4, Poseidon2Classic};
    use super::*;
    use crate::poseidon::PRIME;

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
            let reduced = |lane: usize| reduce_word(A::WORD_WEIGHTS, (at(lane) >> 64) as u64, at(lane) as u64);
            let packed = A::from_reduced(&std::array::from_fn(reduced));
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
        let vector = A::from_fn(element);
        for lane in 0..WIDTH {
            assert_eq!(vector.lane(lane), element(lane), "lane {lane}");
            assert_eq!(
                vector.canonical()[lane],
                element(lane).as_canonical_u32(),
                "lane {lane}"
            );
            assert_eq!(vector.plus(vector).lane(lane), element(lane).double(), "lane {lane}");
        }
        let again = A::from_canonical(&vector.canonical());
        for lane in 0..WIDTH {
            assert_eq!(again.lane(lane), element(lane), "lane {lane}");
        }
    }

    #[test]
    fn lanes_give_back_what_was_put_in() {
        elements_survive::<<Poseidon2Classic as Layout>::Lanes>();
        elements_survive::<<Poseidon1Devnet4 as Layout>::Lanes>();
    }
}
