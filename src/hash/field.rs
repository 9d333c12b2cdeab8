//! KoalaBear elements in SIMD lanes: reading and writing them, and reducing the words of the pseudorandom function.

use p3_field::{Field, PackedValue, PrimeCharacteristicRing, PrimeField32};
use p3_keccak::VECTOR_LEN;
use p3_koala_bear::KoalaBear;
use serde::Deserialize;
use serde::de::value::U32Deserializer;

use super::PRIME;

pub(super) type F = KoalaBear;
/// As many field elements as one vector register of the compiled-for CPU holds.
pub(super) type Packed = <F as Field>::Packing;

/// Elements in a [`Packed`].
pub(super) const WIDTH: usize = Packed::WIDTH;
/// Instances computed side by side: enough to fill a field vector and a Keccak vector.
pub(super) const LANES: usize = if WIDTH > VECTOR_LEN { WIDTH } else { VECTOR_LEN };
/// Field vectors in a block of [`LANES`].
pub(super) const PACKS: usize = LANES / WIDTH;

/// `2^64, 2^96, 2^128, 2^160` mod p: the weights of a 128-bit word's low-first 32-bit limbs, times the two factors
/// of 2^32 that one Montgomery reduction removes and that Montgomery form keeps. They add up to less than 2^32, so
/// the weighted sum of four limbs fits 64 bits.
const LIMB_WEIGHTS: [u64; 4] = [0x17f7_efe4, 0x18af_7f37, 0x423d_7c8c, 0x1b79_fadf];
/// `p^-1` mod `2^32`.
const PRIME_INVERSE: u32 = 0x8100_0001;

/// Something that begins on a cache line. A [`Packed`] is aligned as its elements are, and a permutation takes twice as
/// long if all of its vectors lie across two lines.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Aligned<T>(pub(super) T);

/// The two low-first base-p digits of a tweak integer.
pub(super) fn tweak_digits(tweak: u64) -> [F; 2] {
    let prime = u64::from(PRIME);
    [F::new((tweak % prime) as u32), F::new((tweak / prime) as u32)]
}

/// A tweak for each lane.
pub(super) fn packed_tweak(tweak: impl Fn(usize) -> u64) -> [Packed; 2] {
    transposed(|lane| tweak_digits(tweak(lane)))
}

/// The same elements in every lane.
pub(super) fn broadcast<const N: usize>(elements: [F; N]) -> [Packed; N] {
    elements.map(Packed::from)
}

/// Elements that are given lane by lane.
#[inline(always)]
pub(super) fn transposed<const N: usize>(lane: impl Fn(usize) -> [F; N]) -> [Packed; N] {
    let lanes: [[F; N]; WIDTH] = std::array::from_fn(lane);
    std::array::from_fn(|element| Packed::from_fn(|lane| lanes[lane][element]))
}

/// `count` low-first base-p digits of a 32-byte little-endian integer.
pub(super) fn base_p_digits<const N: usize>(bytes: &[u8; 32]) -> [F; N] {
    let mut number = ruint::aliases::U256::from_le_bytes(*bytes);
    let prime = ruint::aliases::U256::from(PRIME);
    std::array::from_fn(|_| {
        let (quotient, digit) = number.div_rem(prime);
        number = quotient;
        F::new(digit.to::<u32>())
    })
}

/// Reads canonical elements, 4 bytes each; a value of p or more is reduced.
pub(super) fn read_elements<const N: usize>(bytes: &[u8]) -> [F; N] {
    let (words, _) = bytes.as_chunks::<4>();
    std::array::from_fn(|i| F::new(u32::from_le_bytes(words[i])))
}

/// Writes elements canonically, 4 bytes each.
pub(super) fn write_elements(elements: &[F], bytes: &mut [u8]) {
    let (words, _) = bytes.as_chunks_mut::<4>();
    for (word, element) in words.iter_mut().zip(elements) {
        *word = element.as_canonical_u32().to_le_bytes();
    }
}

/// Writes lane after lane, each lane's elements canonically, until `bytes` is full.
pub(super) fn write_lanes<const N: usize>(packed: &[Packed; N], bytes: &mut [u8]) {
    for (lane, digest) in bytes.chunks_exact_mut(4 * N).enumerate() {
        write_elements(&lane_of(packed, lane), digest);
    }
}

/// The elements of one lane.
pub(super) fn lane_of<const N: usize>(packed: &[Packed; N], lane: usize) -> [F; N] {
    packed.map(|vector| vector.as_slice()[lane])
}

/// Reduces 128-bit words, one a lane, to field elements. `word(lane)` gives its high and its low half.
#[inline(always)]
pub(super) fn reduce_words(word: impl Fn(usize) -> (u64, u64)) -> Packed {
    let mut montgomery = [0u32; WIDTH];
    for (lane, reduced) in montgomery.iter_mut().enumerate() {
        let (high, low) = word(lane);
        let limbs = [low & 0xffff_ffff, low >> 32, high & 0xffff_ffff, high >> 32];
        let sum = limbs[0] * LIMB_WEIGHTS[0]
            + limbs[1] * LIMB_WEIGHTS[1]
            + limbs[2] * LIMB_WEIGHTS[2]
            + limbs[3] * LIMB_WEIGHTS[3];
        *reduced = montgomery_reduce(sum);
    }
    Packed::from_fn(|lane| from_montgomery(montgomery[lane]))
}

/// `sum / 2^32` mod p, for `sum` below `2^32 * 2p`.
#[inline(always)]
fn montgomery_reduce(sum: u64) -> u32 {
    let multiple = u64::from((sum as u32).wrapping_mul(PRIME_INVERSE)) * u64::from(PRIME);
    let high = (sum >> 32) as u32;
    let high = high.min(high.wrapping_sub(PRIME));
    // The low halves of sum and multiple are equal and cancel.
    let difference = high.wrapping_sub((multiple >> 32) as u32);
    difference.min(difference.wrapping_add(PRIME))
}

/// The element whose Montgomery form is `value`; zero for a value of p or more.
///
/// The library builds an element from its Montgomery form only through serde; with an error that holds nothing this
/// compiles to a compare and a select.
#[inline(always)]
pub(super) fn from_montgomery(value: u32) -> F {
    F::deserialize(U32Deserializer::<OutOfRange>::new(value)).unwrap_or(F::ZERO)
}

#[derive(Debug)]
struct OutOfRange;

impl std::fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not below the prime")
    }
}

impl std::error::Error for OutOfRange {}

impl serde::de::Error for OutOfRange {
    #[inline(always)]
    fn custom<T: std::fmt::Display>(_message: T) -> Self {
        OutOfRange
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The plain way: 128-bit arithmetic.
    fn reduced_plainly(word: u128) -> F {
        F::new((word % u128::from(PRIME)) as u32)
    }

    #[test]
    fn words_reduce_as_128_bit_division_says() {
        let prime = u128::from(PRIME);
        let mut words = vec![0, 1, prime - 1, prime, prime + 1, u128::MAX, u128::MAX - 1];
        let mut state = 0x9e37_79b9_7f4a_7c15_u128;
        for _ in 0..20_000 {
            state = state
                .wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645)
                .wrapping_add(0x5851_f42d_4c95_7f2d_1405_7b7e_f767_814f);
            words.push(state ^ (state >> 64));
        }
        for group in words.chunks(WIDTH) {
            let at = |lane: usize| group[lane % group.len()];
            let packed = reduce_words(|lane| ((at(lane) >> 64) as u64, at(lane) as u64));
            for (lane, &word) in group.iter().enumerate() {
                assert_eq!(packed.as_slice()[lane], reduced_plainly(word), "{word:#034x}");
            }
        }
    }
}
