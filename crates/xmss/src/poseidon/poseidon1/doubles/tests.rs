//! The arrangement in doubles against the library's permutation.

use p3_koala_bear::{default_koalabear_poseidon1_16, default_koalabear_poseidon1_24};

use super::*;
use crate::poseidon::PRIME;
use crate::poseidon::field::WIDTH;
use crate::poseidon::lanes::Lanes;

/// Odd multiplications of a counter: SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

const EDGES: [u32; 8] = [0, 1, 2, PRIME - 1, PRIME - 2, PRIME / 2, PRIME / 2 + 1, 1 << 24];

fn compare<C: Circulant<W>, const W: usize, const R: usize>(
    ours: &Poseidon1<C, W, R>,
    library: &impl Permutation<[F; W]>,
    seed: u64,
) {
    let mut random = Random(seed);
    for round in 0..300 {
        let states: [[F; WIDTH]; W] = std::array::from_fn(|_| {
            std::array::from_fn(|_| match round {
                edge @ 0..8 => F::new(EDGES[edge]),
                8..40 => F::new(EDGES[random.next() as usize % EDGES.len()]),
                _ => F::new((random.next() % u64::from(PRIME)) as u32),
            })
        });
        let mut state: [Doubles; W] = std::array::from_fn(|i| Doubles::from_fn(|lane| states[i][lane]));
        let mut expected: [[F; W]; WIDTH] = std::array::from_fn(|lane| std::array::from_fn(|i| states[i][lane]));
        // Several times without a reduction in between, as in a sponge.
        for again in 0..3 {
            ours.permute_mut(&mut state);
            for (lane, expected) in expected.iter_mut().enumerate() {
                library.permute_mut(expected);
                let found: [F; W] = std::array::from_fn(|i| state[i].lane(lane));
                assert_eq!(
                    found, *expected,
                    "seed {seed}, state {round}, permutation {again}, lane {lane}"
                );
            }
        }
    }
}

#[test]
fn every_lane_is_permuted_as_the_library_does() {
    compare(&width_16(), &default_koalabear_poseidon1_16(), 16);
    compare(&width_24(), &default_koalabear_poseidon1_24(), 24);
}
