//! Poseidon1, a permutation a lane, in vectors of doubles.
//!
//! Rounds, matrix and constants are those of p3-koala-bear, which the tests compare it with; the arrangement is ours:
//! matrix products are summed in doubles and reduced once, if at all.

mod arithmetic;
mod circulant;
mod partial;
#[cfg(test)]
mod tests;

use p3_field::PrimeCharacteristicRing;
use p3_koala_bear::{KOALABEAR_POSEIDON1_RC_16, KOALABEAR_POSEIDON1_RC_24, MdsMatrixKoalaBear};
use p3_symmetric::Permutation;

pub(in crate::poseidon) use arithmetic::Doubles;
use circulant::{Circulant, Large, Scratch, Small};
use partial::PartialRounds;

use crate::poseidon::doubles::centered;
use crate::poseidon::field::F;

/// Full rounds before the partial ones, and after them.
const HALF_FULL_ROUNDS: usize = 4;

/// Poseidon1 of one width.
#[derive(Clone, Debug)]
pub(in crate::poseidon) struct Poseidon1<C, const W: usize, const R: usize> {
    first_constants: [f64; W],
    matrix: C,
    /// What each full round's matrix product is added to: the constants of the next round.
    full_constants: [[[f64; W]; HALF_FULL_ROUNDS]; 2],
    partial: PartialRounds<W, R>,
}

/// Width 16: chain steps.
pub(in crate::poseidon) type Width16 = Poseidon1<Small<16>, 16, 20>;
/// Width 24: leaves, tree nodes, messages.
pub(in crate::poseidon) type Width24 = Poseidon1<Large<24>, 24, 23>;

pub(in crate::poseidon) fn width_16() -> Width16 {
    Poseidon1::new(&MdsMatrixKoalaBear::default(), &KOALABEAR_POSEIDON1_RC_16)
}

pub(in crate::poseidon) fn width_24() -> Width24 {
    Poseidon1::new(&MdsMatrixKoalaBear::default(), &KOALABEAR_POSEIDON1_RC_24)
}

impl<C: Circulant<W>, const W: usize, const R: usize> Poseidon1<C, W, R> {
    /// For a circulant matrix and the constants of all rounds, in order.
    fn new(matrix: &impl Permutation<[F; W]>, constants: &[[F; W]]) -> Self {
        let mut column = [F::ZERO; W];
        column[0] = F::ONE;
        matrix.permute_mut(&mut column);
        let (initial, rest) = constants.split_at(HALF_FULL_ROUNDS);
        let (partial, terminal) = rest.split_at(R);
        let addends =
            |rounds: &[[F; W]]| std::array::from_fn(|i| C::addend(rounds.get(i + 1).copied().unwrap_or([F::ZERO; W])));
        Self {
            first_constants: initial[0].map(|constant| centered(constant).into()),
            matrix: C::new(column),
            full_constants: [addends(initial), addends(terminal)],
            partial: PartialRounds::new(column, partial, terminal[0]),
        }
    }

    #[inline(always)]
    fn full_rounds(&self, addends: &[[f64; W]; HALF_FULL_ROUNDS], state: &mut [Doubles; W], scratch: &mut Scratch<W>) {
        for addend in addends {
            for element in state.iter_mut() {
                *element = element.cubed();
            }
            self.matrix.multiply(addend, state, scratch);
        }
    }
}

impl<C: Circulant<W>, const W: usize, const R: usize> Permutation<[Doubles; W]> for Poseidon1<C, W, R> {
    /// Permutes elements of at most 2^39 and leaves such.
    fn permute_mut(&self, state: &mut [Doubles; W]) {
        let mut scratch = Scratch::new();
        for (element, &constant) in state.iter_mut().zip(&self.first_constants) {
            *element += Doubles::splat(constant);
        }
        self.full_rounds(&self.full_constants[0], state, &mut scratch);
        self.partial.apply(&self.matrix, state, &mut scratch);
        self.full_rounds(&self.full_constants[1], state, &mut scratch);
    }
}
