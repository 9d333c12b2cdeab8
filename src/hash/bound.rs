//! The permutations of a leaf and nothing else, in packed lanes: the bound that the kernel is measured against.

use std::hint::black_box;

use p3_field::PrimeCharacteristicRing;
use p3_keccak::{KeccakF, VECTOR_LEN};
use p3_symmetric::Permutation;

use super::field::{Packed, WIDTH};
use super::layout::{Layout, Poseidon1Devnet4, Poseidon2Classic};
use crate::scheme::{PermutationLayout, Scheme};

/// How many instances one call of each permutation computes: field vector, Keccak vector.
pub fn lanes() -> (usize, usize) {
    (WIDTH, VECTOR_LEN)
}

/// Runs `width_16` and `width_24` packed permutations of the scheme's layout and `keccak` packed Keccak-f, each on the
/// output of the one before.
pub fn run(scheme: &Scheme, width_16: usize, width_24: usize, keccak: usize) {
    match scheme.layout() {
        PermutationLayout::Poseidon2Classic => poseidon::<Poseidon2Classic>(width_16, width_24),
        PermutationLayout::Poseidon1Devnet4 => poseidon::<Poseidon1Devnet4>(width_16, width_24),
    }
    let mut state = black_box([[1u64; VECTOR_LEN]; 25]);
    for _ in 0..keccak {
        KeccakF.permute_mut(&mut state);
    }
    let _ = black_box(state);
}

fn poseidon<L: Layout>(width_16: usize, width_24: usize) {
    let permutation = L::width_16();
    let mut state = black_box([Packed::ONE; 16]);
    for _ in 0..width_16 {
        permutation.permute_mut(&mut state);
    }
    let _ = black_box(state);
    let permutation = L::width_24();
    let mut state = black_box([Packed::ONE; 24]);
    for _ in 0..width_24 {
        permutation.permute_mut(&mut state);
    }
    let _ = black_box(state);
}
