//! The partial rounds of Poseidon1 as affine forms.
//!
//! A partial round sends one element through the S-box and mixes all linearly. So each S-box input, and the state after
//! the last of these rounds, is an affine form in the state before the first of them and in the outputs of the S-boxes
//! before. This finds the forms by running the rounds on them in place of values.

use p3_field::PrimeCharacteristicRing;
use p3_koala_bear::{
    KOALABEAR_POSEIDON_HALF_FULL_ROUNDS as HALF_FULL, KOALABEAR_POSEIDON_PARTIAL_ROUNDS_24 as PARTIAL,
    KOALABEAR_POSEIDON1_RC_24 as ROUND_CONSTANTS, MdsMatrixKoalaBear,
};
use p3_symmetric::Permutation;

use crate::hash::field::F;

/// Elements of the state.
pub(super) const WIDTH: usize = 24;

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

/// The forms of all partial rounds.
pub(super) struct PartialForms {
    /// What each round's S-box takes.
    pub(super) inputs: [Form; PARTIAL],
    /// The state after the last round, with the constants of the full round that follows added.
    pub(super) state_after: [Form; WIDTH],
}

impl PartialForms {
    /// Runs the rounds on forms, beginning with the linear layer of the full round before them, so that the state which
    /// the forms take is what that round's S-boxes give.
    pub(super) fn new() -> Self {
        let mds = mds_columns();
        let mix = |state: &[Form; WIDTH]| -> [Form; WIDTH] {
            std::array::from_fn(|row| {
                let mut sum = Form::ZERO;
                for (form, column) in state.iter().zip(&mds) {
                    sum.add_multiple(column[row], form);
                }
                sum
            })
        };
        let add_constants = |state: &mut [Form; WIDTH], round: usize| {
            for (form, &constant) in state.iter_mut().zip(&ROUND_CONSTANTS[round]) {
                form.constant += constant;
            }
        };
        let mut state = mix(&std::array::from_fn(Form::element));
        let inputs = std::array::from_fn(|round| {
            add_constants(&mut state, HALF_FULL + round);
            let input = state[0];
            state[0] = Form::output(round);
            state = mix(&state);
            input
        });
        add_constants(&mut state, HALF_FULL + PARTIAL);
        Self {
            inputs,
            state_after: state,
        }
    }
}

/// The columns of the linear layer's matrix: what it makes of the unit vectors.
pub(super) fn mds_columns() -> [[F; WIDTH]; WIDTH] {
    let mds = MdsMatrixKoalaBear::default();
    std::array::from_fn(|column| {
        let mut unit = [F::ZERO; WIDTH];
        unit[column] = F::ONE;
        mds.permute(unit)
    })
}
