//! The partial rounds of one state, on the integer unit: each S-box waits for the one before, and there a cube is had with
//! less than half the latency that it has in doubles.

use p3_field::{Field, PrimeCharacteristicRing};

use super::rounds::{Form, PARTIAL, PartialForms, WIDTH};
use crate::poseidon::PRIME;
use crate::poseidon::doubles::centered;
use crate::poseidon::field::F;

const P: i64 = PRIME as i64;

/// What inputs of the partial rounds owe to outputs of earlier ones. Each input is scaled such that the output just
/// before it enters with the coefficient 1: on the way from S-box to S-box nothing but an addition is left.
///
/// An output is the cube of its input over 2^64, as one Montgomery reduction leaves it, and coefficients bear the factor
/// 2^32 that another one takes away.
pub(super) struct PartialRounds {
    /// For each round the coefficient of the output of the round two before.
    second: [i64; PARTIAL],
    /// The same, of the round three before.
    third: [i64; PARTIAL],
    /// For each output its coefficients in the inputs from four rounds later on.
    far: [[i32; WIDTH]; PARTIAL],
}

impl PartialRounds {
    /// For inputs that have been scaled.
    pub(super) fn new(inputs: &[Form]) -> Self {
        let coefficient = |round: usize, output: usize| centered(inputs[round].outputs[output] * power_of_two(32));
        let before = |distance: usize| {
            std::array::from_fn(|round| match round.checked_sub(distance) {
                Some(output) => coefficient(round, output).into(),
                None => 0,
            })
        };
        Self {
            second: before(2),
            third: before(3),
            far: std::array::from_fn(|output| {
                std::array::from_fn(|round| match round {
                    round if round < PARTIAL && round >= output + 4 => coefficient(round, output),
                    _ => 0,
                })
            }),
        }
    }
}

/// Scales the forms as [`PartialRounds`] needs them, outputs being cubes over 2^64 from then on.
pub(super) fn scale(forms: &mut PartialForms) {
    let mut factors = [F::ONE; PARTIAL];
    for round in 0..PARTIAL {
        let input = &mut forms.inputs[round];
        replace_outputs(input, &factors);
        let scale = match round {
            0 => F::ONE,
            _ => input.outputs[round - 1],
        };
        let inverse = scale.inverse();
        let coefficients = input
            .state
            .iter_mut()
            .chain(&mut input.outputs)
            .chain([&mut input.constant]);
        for coefficient in coefficients {
            *coefficient *= inverse;
        }
        factors[round] = scale.cube() * power_of_two(64);
    }
    for form in &mut forms.state_after {
        replace_outputs(form, &factors);
    }
}

/// Counts outputs in units of these factors.
fn replace_outputs(form: &mut Form, factors: &[F; PARTIAL]) {
    for (coefficient, &factor) in form.outputs.iter_mut().zip(factors) {
        *coefficient *= factor;
    }
}

fn power_of_two(exponent: u64) -> F {
    F::TWO.exp_u64(exponent)
}

/// Products after which the pending sums are reduced: seven, of less than 2^60 each, stay below 2^63.
const PENDING_MAX: usize = 7;

/// Bounds of an input without the output before it, which is at most p. What is within them by [`within_bounds`] is at
/// most 0.424 p, and the square of the whole, of up to 1.425 p, fits 63 bits.
const REST_MIN: i64 = P * -6 / 10;
const REST_MAX: i64 = P * 4 / 10;

/// The partial rounds in progress.
pub(super) struct InProgress<'a> {
    constants: &'a PartialRounds,
    input: i64,
    /// Per input, what it owes to the state before the rounds and to outputs that were reduced.
    settled: [i64; WIDTH],
    /// Per input, the sum of its products with outputs at least four rounds older, not yet reduced.
    pending: [i64; WIDTH],
    /// The last output, from -0.09 p to p.
    last: i64,
    /// The same, of least size.
    last_centered: i64,
    /// The output before the last, of least size.
    second_last: i64,
}

impl<'a> InProgress<'a> {
    /// `inputs` is what the inputs owe to the state before, each about p/2 at most in size.
    #[inline(always)]
    pub(super) fn new(constants: &'a PartialRounds, inputs: [i64; WIDTH]) -> Self {
        Self {
            constants,
            input: inputs[0],
            settled: inputs,
            pending: [0; WIDTH],
            last: 0,
            last_centered: 0,
            second_last: 0,
        }
    }

    /// Takes a round and gives its output, of least size.
    #[inline(always)]
    pub(super) fn take(&mut self, round: usize) -> i64 {
        let next = round + 1;
        let rest = if next < PARTIAL { self.rest_of(next) } else { 0 };
        let output = montgomery_cube(self.input);
        let raised_rest = rest + P;
        self.input = output + if output < 0 { raised_rest } else { rest };
        self.second_last = self.last_centered;
        self.last = if output < 0 { output + P } else { output };
        self.last_centered = if self.last > P / 2 { self.last - P } else { self.last };
        for (pending, &coefficient) in self.pending.iter_mut().zip(&self.constants.far[round]) {
            *pending += i64::from(coefficient) * i64::from(self.last_centered as i32);
        }
        if round % PENDING_MAX == PENDING_MAX - 1 {
            for (settled, pending) in self.settled.iter_mut().zip(&mut self.pending) {
                *settled += montgomery_32(*pending);
                *pending = 0;
            }
        }
        self.last_centered
    }

    /// The input of the next round but for the output that is being computed.
    #[inline(always)]
    fn rest_of(&self, next: usize) -> i64 {
        let older = shrunk(self.settled[next] + montgomery_32(self.pending[next]));
        // In units of 2^60: at most 4.3 + 2 + 1 < 8.
        let newer = self.last * self.constants.second[next] + self.second_last * self.constants.third[next];
        // Over 2^32 that is 0.5513 p + 0.2481 p + 0.1241 p at most, and 0.5 p for what the reduction adds: less than 1.424 p
        // in all, since p is 0.496 * 2^32.
        within_bounds(montgomery_32((older << 32) + newer))
    }
}

/// `p^-1` mod 2^64; its low half is the inverse mod 2^32.
const P_INVERSE: u64 = {
    // Newton's step doubles the number of right bits; p is its own inverse mod 8.
    let mut inverse = P as u64;
    let mut right_bits = 3;
    while right_bits < 64 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub((P as u64).wrapping_mul(inverse)));
        right_bits *= 2;
    }
    inverse
};

/// `value^3 / 2^64` mod p, from -1.09 p to p, for values from -0.7 p to 1.424 p.
#[inline(always)]
fn montgomery_cube(value: i64) -> i64 {
    let cube = i128::from(value * value) * i128::from(value);
    let multiple = (cube as u64).wrapping_mul(P_INVERSE);
    // The low halves of the cube and of multiple * p are equal and cancel.
    let excess = (u128::from(multiple) * P as u128) >> 64;
    (cube >> 64) as i64 - excess as i64
}

/// `value / 2^32` mod p, at most p/2 from the quotient.
#[inline(always)]
fn montgomery_32(value: i64) -> i64 {
    let multiple = (value as i32).wrapping_mul(P_INVERSE as i32);
    // Again the low halves cancel; the difference of the whole could overflow.
    (value >> 32) - ((i64::from(multiple) * P) >> 32)
}

/// The same mod p, at most 0.5513 p in size, for values of up to 6 p.
#[inline(always)]
fn shrunk(value: i64) -> i64 {
    value - ((value + (1 << 30)) >> 31) * P
}

/// The same mod p within the bounds of a rest, for values of up to 1.424 p in size.
#[inline(always)]
fn within_bounds(value: i64) -> i64 {
    let raised = value + P;
    let value = if value < REST_MIN { raised } else { value };
    let lowered = value - P;
    if value > REST_MAX { lowered } else { value }
}
