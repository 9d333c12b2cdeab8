//! KoalaBear elements: their vectors, and reading and writing them.

use p3_field::{PackedValue, PrimeCharacteristicRing, PrimeField32};
use p3_keccak::VECTOR_LEN;
use p3_koala_bear::KoalaBear;
use serde::Deserialize;
use serde::de::value::U32Deserializer;

use super::PRIME;

pub(super) type F = KoalaBear;
/// As many field elements as one vector register of the compiled-for CPU holds. By its own name, it is known to be
/// another type than the lanes that exist beside it there.
#[cfg(target_feature = "avx512f")]
pub(super) type Packed = p3_koala_bear::PackedKoalaBearAVX512;
/// As many field elements as one vector register of the compiled-for CPU holds.
#[cfg(not(target_feature = "avx512f"))]
pub(super) type Packed = <F as p3_field::Field>::Packing;

/// Elements in a [`Packed`].
pub(super) const WIDTH: usize = Packed::WIDTH;
/// Instances computed side by side: enough to fill a field vector and a Keccak vector.
pub(super) const LANES: usize = if WIDTH > VECTOR_LEN { WIDTH } else { VECTOR_LEN };
/// Field vectors in a block of [`LANES`].
pub(super) const PACKS: usize = LANES / WIDTH;

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
