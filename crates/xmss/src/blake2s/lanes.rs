//! A 32-bit word a lane: of one hash, or of as many as a vector register has room for.

use std::ops::{Add, BitAnd, BitOr, BitXor};

/// Words that are computed with side by side.
pub(super) trait Lanes:
    Copy + Send + Sync + Add<Output = Self> + BitAnd<Output = Self> + BitOr<Output = Self> + BitXor<Output = Self> + 'static
{
    /// How many they are.
    const WIDTH: usize;

    /// The same word in every lane.
    fn splat(word: u32) -> Self;

    /// A word for each lane.
    fn from_fn(word: impl FnMut(usize) -> u32) -> Self;

    /// Writes the word of each lane.
    fn write(self, words: &mut [u32]);

    /// All lanes, each rotated to the right.
    fn rotated_right<const BITS: u32>(self) -> Self;
}

impl Lanes for u32 {
    const WIDTH: usize = 1;

    #[inline(always)]
    fn splat(word: u32) -> Self {
        word
    }

    #[inline(always)]
    fn from_fn(mut word: impl FnMut(usize) -> u32) -> Self {
        word(0)
    }

    #[inline(always)]
    fn write(self, words: &mut [u32]) {
        words[0] = self;
    }

    #[inline(always)]
    fn rotated_right<const BITS: u32>(self) -> Self {
        self.rotate_right(BITS)
    }
}

macro_rules! vector_lanes {
    ($vector:ty, $width:literal) => {
        impl Lanes for $vector {
            const WIDTH: usize = $width;

            #[inline(always)]
            fn splat(word: u32) -> Self {
                Self::splat(word)
            }

            #[inline(always)]
            fn from_fn(word: impl FnMut(usize) -> u32) -> Self {
                Self::new(std::array::from_fn(word))
            }

            #[inline(always)]
            fn write(self, words: &mut [u32]) {
                words[..$width].copy_from_slice(&self.to_array());
            }

            #[inline(always)]
            fn rotated_right<const BITS: u32>(self) -> Self {
                (self >> BITS) | (self << (32 - BITS))
            }
        }
    };
}

vector_lanes!(wide::u32x4, 4);
vector_lanes!(wide::u32x8, 8);
vector_lanes!(wide::u32x16, 16);

/// As many words as one vector register of the compiled-for CPU holds.
#[cfg(target_feature = "avx512f")]
pub(super) type Packed = wide::u32x16;
/// As many words as one vector register of the compiled-for CPU holds.
#[cfg(all(target_feature = "avx2", not(target_feature = "avx512f")))]
pub(super) type Packed = wide::u32x8;
/// As many words as one vector register of the compiled-for CPU holds.
#[cfg(not(target_feature = "avx2"))]
pub(super) type Packed = wide::u32x4;

/// The same words in every lane.
#[inline(always)]
pub(super) fn splat<V: Lanes, const N: usize>(words: [u32; N]) -> [V; N] {
    words.map(V::splat)
}

/// Words that are given lane by lane.
#[inline(always)]
pub(super) fn transposed<V: Lanes, const N: usize>(mut lane: impl FnMut(usize) -> [u32; N]) -> [V; N] {
    let mut lanes = [[0; N]; WIDTH_MAX];
    for (index, words) in lanes[..V::WIDTH].iter_mut().enumerate() {
        *words = lane(index);
    }
    std::array::from_fn(|word| V::from_fn(|lane| lanes[lane][word]))
}

/// Most lanes of any vector.
pub(super) const WIDTH_MAX: usize = 16;

/// The words of every lane; those beyond the last lane are zeros.
#[inline(always)]
pub(super) fn by_lane<V: Lanes, const N: usize>(words: &[V; N]) -> [[u32; N]; WIDTH_MAX] {
    let mut columns = [[0; WIDTH_MAX]; N];
    for (column, word) in columns.iter_mut().zip(words) {
        word.write(column);
    }
    std::array::from_fn(|lane| std::array::from_fn(|word| columns[word][lane]))
}

/// Little-endian words.
#[inline(always)]
pub(super) fn read_words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let (words, _) = bytes.as_chunks::<4>();
    std::array::from_fn(|word| u32::from_le_bytes(words[word]))
}

/// Writes as many of the words as there is room for.
#[inline(always)]
pub(super) fn write_words(words: &[u32], bytes: &mut [u8]) {
    for (place, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *place = word.to_le_bytes();
    }
}

/// Writes lane after lane until `bytes` is full.
#[inline(always)]
pub(super) fn write_lanes<V: Lanes, const N: usize>(words: &[V; N], bytes: &mut [u8]) {
    for (words, digest) in by_lane(words).iter().zip(bytes.chunks_exact_mut(4 * N)) {
        write_words(words, digest);
    }
}
