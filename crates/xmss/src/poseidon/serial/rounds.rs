//! The rounds of a permutation of width 24, as data, and its partial rounds as affine forms.
//!
//! A partial round sends one element through the S-box and mixes all linearly. So each S-box input, and the state after
//! the last of these rounds, is an affine form in the state before the first of them and in the outputs of the S-boxes
//! before. The forms are found by running the rounds on them in place of values.

use p3_field::PrimeCharacteristicRing;
use p3_koala_bear::{
    GenericPoseidon2LinearLayersKoalaBear, KOALABEAR_POSEIDON_PARTIAL_ROUNDS_24, KOALABEAR_POSEIDON1_RC_24,
    MdsMatrixKoalaBear,
};
use p3_poseidon2::GenericPoseidon2LinearLayers;
use p3_symmetric::Permutation;

use crate::poseidon::field::F;
use crate::poseidon::poseidon2_classic::constants_24;

/// Elements of the state.
pub(super) const WIDTH: usize = 24;
/// Full rounds before the partial ones, and again after them.
pub(super) const HALF_FULL: usize = 4;
/// Partial rounds, of Poseidon1 and Poseidon2 alike.
pub(super) const PARTIAL: usize = KOALABEAR_POSEIDON_PARTIAL_ROUNDS_24;

/// A matrix, column after column.
type Matrix = [[F; WIDTH]; WIDTH];

/// A permutation of Poseidon's kind with the S-box `x^3`. A round adds its constants, sends all elements (a partial round:
/// the first one) through the S-box, and mixes them.
pub(super) struct Rounds {
    /// Whether the state is mixed once before the first round, as in Poseidon2.
    pub(super) mixes_first: bool,
    /// The linear layer of full rounds.
    pub(super) full: Matrix,
    /// The linear layer of partial rounds.
    pub(super) partial: Matrix,
    /// The constants of each round.
    pub(super) constants: [[F; WIDTH]; 2 * HALF_FULL + PARTIAL],
}

impl Rounds {
    /// Poseidon1 as the library has it.
    pub(super) fn poseidon1() -> Self {
        let mds = matrix(|state| MdsMatrixKoalaBear::default().permute_mut(state));
        Self {
            mixes_first: false,
            full: mds,
            partial: mds,
            constants: KOALABEAR_POSEIDON1_RC_24,
        }
    }

    /// Poseidon2 with the constants of the classic schemes.
    pub(super) fn poseidon2_classic() -> Self {
        Self {
            mixes_first: true,
            full: matrix(GenericPoseidon2LinearLayersKoalaBear::external_linear_layer),
            partial: matrix(GenericPoseidon2LinearLayersKoalaBear::internal_linear_layer),
            constants: constants_24(),
        }
    }
}

/// The columns of a linear layer: what it makes of the unit vectors.
fn matrix(layer: impl Fn(&mut [F; WIDTH])) -> Matrix {
    std::array::from_fn(|column| {
        let mut unit = [F::ZERO; WIDTH];
        unit[column] = F::ONE;
        layer(&mut unit);
        unit
    })
}

/// `constant + sum of state[i] * element i + sum of outputs[j] * output of the partial round j`.
#[derive(Clone, Copy)]
pub(super) struct Form {
    pub(super) state: [F; WIDTH],
    pub(super) outputs: [F; PARTIAL],
    pub(super) constant: F,
}

impl Form {
    pub(super) const ZERO: Self = Self {
        state: [F::ZERO; WIDTH],
        outputs: [F::ZERO; PARTIAL],
        constant: F::ZERO,
    };

    fn element(index: usize) -> Self {
        let mut form = Self::ZERO;
        form.state[index] = F::ONE;
        form
    }

    fn output(round: usize) -> Self {
        let mut form = Self::ZERO;
        form.outputs[round] = F::ONE;
        form
    }

    fn add_multiple(&mut self, factor: F, other: &Self) {
        for (own, &other) in self.state.iter_mut().zip(&other.state) {
            *own += factor * other;
        }
        for (own, &other) in self.outputs.iter_mut().zip(&other.outputs) {
            *own += factor * other;
        }
        self.constant += factor * other.constant;
    }
}

/// The forms of all partial rounds. The state that they take is what the S-boxes of the full round before give: its
/// linear layer is part of them.
pub(super) struct PartialForms {
    /// What each round's S-box takes.
    pub(super) inputs: [Form; PARTIAL],
    /// The state after the last round, with the constants of the full round that follows added.
    pub(super) state_after: [Form; WIDTH],
}

impl PartialForms {
    pub(super) fn new(rounds: &Rounds) -> Self {
        let add_constants = |state: &mut [Form; WIDTH], round: usize| {
            for (form, &constant) in state.iter_mut().zip(&rounds.constants[round]) {
                form.constant += constant;
            }
        };
        let mut state = mixed(&rounds.full, &std::array::from_fn(Form::element));
        let inputs = std::array::from_fn(|round| {
            add_constants(&mut state, HALF_FULL + round);
            let input = state[0];
            state[0] = Form::output(round);
            state = mixed(&rounds.partial, &state);
            input
        });
        add_constants(&mut state, HALF_FULL + PARTIAL);
        Self {
            inputs,
            state_after: state,
        }
    }
}

fn mixed(matrix: &Matrix, state: &[Form; WIDTH]) -> [Form; WIDTH] {
    std::array::from_fn(|row| {
        let mut sum = Form::ZERO;
        for (form, column) in state.iter().zip(matrix) {
            sum.add_multiple(column[row], form);
        }
        sum
    })
}
