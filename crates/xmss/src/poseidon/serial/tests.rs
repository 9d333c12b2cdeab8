//! Permutations of one state, compared with the library's.

use p3_field::PrimeField32;
use p3_koala_bear::default_koalabear_poseidon1_24;
use p3_symmetric::Permutation;

use super::SerialPermutation;
use crate::poseidon::PRIME;
use crate::poseidon::field::F;
use crate::poseidon::layout::{Layout, Poseidon1Devnet4, Poseidon2Classic};
use crate::poseidon::poseidon2_classic::poseidon2_24;

/// A sequence of numbers that looks random and is the same each time.
struct Numbers(u64);

impl Numbers {
    fn element(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        ((self.0 >> 33) as u32) % PRIME
    }
}

#[test]
fn a_state_alone_is_permuted_as_the_library_says() {
    permutes_as(&default_koalabear_poseidon1_24(), Poseidon1Devnet4::serial());
    permutes_as(&poseidon2_24(), Poseidon2Classic::serial());
}

fn permutes_as(library: &impl Permutation<[F; 24]>, own: &impl SerialPermutation) {
    let seed = 24;
    let mut numbers = Numbers(seed);
    let edges = [0, 1, 2, PRIME / 2, PRIME / 2 + 1, PRIME - 2, PRIME - 1];
    let equal = edges.map(|element| [element; 24]);
    let random = std::iter::repeat_with(|| std::array::from_fn(|_| numbers.element())).take(10_000);
    for (number, state) in equal.into_iter().chain(random).enumerate() {
        let expected = library
            .permute(state.map(F::new))
            .map(|element| element.as_canonical_u32());
        let mut found = state;
        own.permute(&mut found);
        assert_eq!(found, expected, "state {number} of seed {seed}: {state:?}");
    }
}
