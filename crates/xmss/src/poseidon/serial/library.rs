//! The library's permutations: for CPUs on which those of our own would not be exact, and to compare with.

use p3_field::PrimeField32;
use p3_koala_bear::{Poseidon1KoalaBear, Poseidon2KoalaBear, default_koalabear_poseidon1_24};
use p3_symmetric::Permutation;

use super::SerialPermutation;
use crate::poseidon::field::F;
use crate::poseidon::poseidon2_classic::poseidon2_24;

/// A permutation of the library, one state at a time.
pub(in crate::poseidon) struct OfLibrary<P>(P);

#[cfg(not(all(target_feature = "avx", target_feature = "fma")))]
pub(in crate::poseidon) type SerialPoseidon1 = OfLibrary<Poseidon1KoalaBear<24>>;
#[cfg(not(all(target_feature = "avx", target_feature = "fma")))]
pub(in crate::poseidon) type SerialPoseidon2 = OfLibrary<Poseidon2KoalaBear<24>>;

impl OfLibrary<Poseidon1KoalaBear<24>> {
    pub(in crate::poseidon) fn poseidon1() -> Self {
        Self(default_koalabear_poseidon1_24())
    }
}

impl OfLibrary<Poseidon2KoalaBear<24>> {
    pub(in crate::poseidon) fn poseidon2_classic() -> Self {
        Self(poseidon2_24())
    }
}

impl<P: Permutation<[F; 24]> + Send + Sync> SerialPermutation for OfLibrary<P> {
    fn permute(&self, state: &mut [u32; 24]) {
        let permuted = self.0.permute(state.map(F::new));
        *state = permuted.map(|element| element.as_canonical_u32());
    }
}
