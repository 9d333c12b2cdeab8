//! The permutations and the modes they are used in (docs/SCHEMES.md, "Permutation modes").

use p3_field::{PrimeCharacteristicRing, PrimeField32};
use p3_koala_bear::{KoalaBear, Poseidon2KoalaBear, default_koalabear_poseidon1_16, default_koalabear_poseidon1_24};
use p3_poseidon2::ExternalLayerConstants;
use p3_symmetric::Permutation;

use super::params::Layout;
use super::poseidon2_classic as classic;

/// Elements of the sponge that take input; the other 9 of the 24 are the capacity.
const RATE: usize = 15;
const CAPACITY: usize = 9;

type Permute<const W: usize> = Box<dyn Fn(&mut [KoalaBear; W]) + Send + Sync>;

pub struct Poseidon {
    layout: Layout,
    permute_16: Permute<16>,
    permute_24: Permute<24>,
}

impl Poseidon {
    pub fn new(layout: Layout) -> Self {
        let (permute_16, permute_24): (Permute<16>, Permute<24>) = match layout {
            Layout::Classic => {
                let narrow = poseidon2(
                    &classic::WIDTH_16_EXTERNAL_INITIAL,
                    &classic::WIDTH_16_EXTERNAL_FINAL,
                    &classic::WIDTH_16_INTERNAL,
                    Poseidon2KoalaBear::<16>::new,
                );
                let wide = poseidon2(
                    &classic::WIDTH_24_EXTERNAL_INITIAL,
                    &classic::WIDTH_24_EXTERNAL_FINAL,
                    &classic::WIDTH_24_INTERNAL,
                    Poseidon2KoalaBear::<24>::new,
                );
                (
                    Box::new(move |state| narrow.permute_mut(state)),
                    Box::new(move |state| wide.permute_mut(state)),
                )
            }
            Layout::Devnet4 => {
                let narrow = default_koalabear_poseidon1_16();
                let wide = default_koalabear_poseidon1_24();
                (
                    Box::new(move |state| narrow.permute_mut(state)),
                    Box::new(move |state| wide.permute_mut(state)),
                )
            }
        };
        Poseidon {
            layout,
            permute_16,
            permute_24,
        }
    }

    /// compress_16, the first `count` elements.
    pub fn compress_16(&self, input: &[u32], count: usize) -> Vec<u32> {
        compress(&self.permute_16, input, count)
    }

    /// compress_24, the first `count` elements.
    pub fn compress_24(&self, input: &[u32], count: usize) -> Vec<u32> {
        compress(&self.permute_24, input, count)
    }

    /// The first 9 elements of compress_24 of these 24: the capacity of a scheme.
    pub fn capacity(&self, input: &[u32]) -> Vec<u32> {
        self.compress_24(input, CAPACITY)
    }

    /// The sponge of the leaf hash, the first `count` elements of the rate.
    pub fn sponge(&self, capacity: &[u32], input: &[u32], count: usize) -> Vec<u32> {
        assert_eq!(capacity.len(), CAPACITY);
        let (rate_at, capacity_at) = match self.layout {
            Layout::Classic => (0, RATE),
            Layout::Devnet4 => (CAPACITY, 0),
        };
        let mut state = [KoalaBear::ZERO; 24];
        for (i, &element) in capacity.iter().enumerate() {
            state[capacity_at + i] = KoalaBear::from_u32(element);
        }
        for block in input.chunks(RATE) {
            for i in 0..RATE {
                // A short last block counts as filled up with zeros: adding them changes nothing,
                // overwriting with them clears the rest of the rate.
                let absorbed = KoalaBear::from_u32(block.get(i).copied().unwrap_or(0));
                match self.layout {
                    Layout::Classic => state[rate_at + i] += absorbed,
                    Layout::Devnet4 => state[rate_at + i] = absorbed,
                }
            }
            (self.permute_24)(&mut state);
        }
        let digest = &state[rate_at..rate_at + count];
        digest.iter().map(PrimeField32::as_canonical_u32).collect()
    }
}

/// Poseidon2 from round constants given as canonical values.
fn poseidon2<const W: usize, T>(
    initial: &[[u32; W]],
    terminal: &[[u32; W]],
    internal: &[u32],
    new: impl Fn(ExternalLayerConstants<KoalaBear, W>, Vec<KoalaBear>) -> T,
) -> T {
    let rounds = |rows: &[[u32; W]]| rows.iter().map(|row| row.map(KoalaBear::from_u32)).collect();
    new(
        ExternalLayerConstants::new(rounds(initial), rounds(terminal)),
        internal.iter().map(|&e| KoalaBear::from_u32(e)).collect(),
    )
}

/// The first `count` elements of Permute(x') + x', x' being the input padded with zeros.
fn compress<const W: usize>(permute: &Permute<W>, input: &[u32], count: usize) -> Vec<u32> {
    assert!(input.len() <= W);
    let mut padded = [KoalaBear::ZERO; W];
    for (slot, &element) in padded.iter_mut().zip(input) {
        *slot = KoalaBear::from_u32(element);
    }
    let mut permuted = padded;
    permute(&mut permuted);
    (0..count)
        .map(|i| (permuted[i] + padded[i]).as_canonical_u32())
        .collect()
}
