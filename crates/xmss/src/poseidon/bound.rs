//! The permutations of a leaf and nothing else, in packed lanes: the bound that the kernel is measured against.

use std::hint::black_box;
use std::sync::LazyLock;

use p3_field::PrimeCharacteristicRing;
use p3_keccak::{KeccakF, VECTOR_LEN};
use p3_koala_bear::{
    Poseidon1KoalaBear, Poseidon2KoalaBear, default_koalabear_poseidon1_16, default_koalabear_poseidon1_24,
};
use p3_symmetric::Permutation;

use super::field::{Aligned, F, Packed, WIDTH};
use super::lanes::Lanes;
use super::layout::{Layout, Poseidon1Devnet4, Poseidon2Classic};
use super::serial::{OfLibrary, SerialPermutation};
use crate::scheme::Scheme;

/// How many instances one call of each permutation computes: field vector, Keccak vector.
pub fn lanes() -> (usize, usize) {
    (WIDTH, VECTOR_LEN)
}

/// Independent states that take turns, so that no permutation waits for the one before it.
const STATES: usize = 4;

/// Runs `width_16` and `width_24` packed permutations of the scheme's layout and `keccak` packed Keccak-f.
pub fn run(scheme: &Scheme, width_16: usize, width_24: usize, keccak: usize) {
    if is_poseidon1(scheme) {
        poseidon::<Poseidon1Devnet4>(width_16, width_24);
    } else {
        poseidon::<Poseidon2Classic>(width_16, width_24);
    }
    repeat(&KeccakF, [1u64; VECTOR_LEN], keccak);
}

/// As [`run`] without Keccak, with the permutations of p3-koala-bear, whether or not there are our own.
pub fn run_library(scheme: &Scheme, width_16: usize, width_24: usize) {
    if is_poseidon1(scheme) {
        static WIDTH_16: LazyLock<Poseidon1KoalaBear<16>> = LazyLock::new(default_koalabear_poseidon1_16);
        static WIDTH_24: LazyLock<Poseidon1KoalaBear<24>> = LazyLock::new(default_koalabear_poseidon1_24);
        repeat::<_, Packed, 16>(&*WIDTH_16, Lanes::broadcast(F::ONE), width_16);
        repeat::<_, Packed, 24>(&*WIDTH_24, Lanes::broadcast(F::ONE), width_24);
    } else {
        repeat::<_, Packed, 16>(Poseidon2Classic::width_16(), Lanes::broadcast(F::ONE), width_16);
        repeat::<_, Packed, 24>(Poseidon2Classic::width_24(), Lanes::broadcast(F::ONE), width_24);
    }
}

/// Runs `times` permutations of width 24 of the scheme's layout, of one state that waits for each.
pub fn run_serial(scheme: &Scheme, times: usize) {
    if is_poseidon1(scheme) {
        serial(Poseidon1Devnet4::serial(), times);
    } else {
        serial(Poseidon2Classic::serial(), times);
    }
}

/// As [`run_serial`], with the permutations of p3-koala-bear.
pub fn run_library_serial(scheme: &Scheme, times: usize) {
    static POSEIDON1: LazyLock<OfLibrary<Poseidon1KoalaBear<24>>> = LazyLock::new(OfLibrary::poseidon1);
    static POSEIDON2: LazyLock<OfLibrary<Poseidon2KoalaBear<24>>> = LazyLock::new(OfLibrary::poseidon2_classic);
    if is_poseidon1(scheme) {
        serial(&*POSEIDON1, times);
    } else {
        serial(&*POSEIDON2, times);
    }
}

fn is_poseidon1(scheme: &Scheme) -> bool {
    scheme.family().hash_function() == "Poseidon1"
}

fn serial(permutation: &impl SerialPermutation, times: usize) {
    let mut state = black_box([1; 24]);
    for _ in 0..times {
        permutation.permute(&mut state);
    }
    let _ = black_box(state);
}

fn poseidon<L: Layout>(width_16: usize, width_24: usize) {
    repeat::<_, _, 16>(L::width_16(), L::Lanes::broadcast(F::ONE), width_16);
    repeat::<_, _, 24>(L::width_24(), L::Lanes::broadcast(F::ONE), width_24);
}

fn repeat<P, A, const W: usize>(permutation: &P, element: A, times: usize)
where
    A: Copy + Sync,
    P: Permutation<[A; W]>,
{
    let mut states = black_box([Aligned([element; W]); STATES]);
    for i in 0..times {
        permutation.permute_mut(&mut states[i % STATES].0);
    }
    let _ = black_box(states);
}
