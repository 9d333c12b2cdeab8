//! Poseidon1 of width 24 for one state, spread over vector registers.
//!
//! Elements are integers in doubles: exact below 2^53, so that a sum of many products is reduced once, and not product by
//! product as in the library's arithmetic. The S-boxes of the partial rounds, each of which waits for the one before,
//! run on the integer unit, where a cube is had with half the latency.

use p3_field::{Field, PrimeCharacteristicRing, PrimeField32};
use p3_koala_bear::{
    KOALABEAR_POSEIDON_HALF_FULL_ROUNDS as HALF_FULL, KOALABEAR_POSEIDON_PARTIAL_ROUNDS_24 as PARTIAL,
    KOALABEAR_POSEIDON1_RC_24 as ROUND_CONSTANTS,
};
use wide::f64x8;

use super::SerialPermutation;
use super::affine::{Form, PartialForms, WIDTH, mds_columns};
use crate::hash::PRIME;
use crate::hash::field::F;

/// Vectors that hold a state.
const VECTORS: usize = WIDTH / 8;

const P: f64 = PRIME as f64;
/// `1.5 * 2^52`: added to a double of at most 2^51 it leaves the nearest integer, in the low bits of the sum.
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// The columns of a matrix, each entry cut into a multiple of 2^15 and a rest of 15 bits: sums of up to 2^7 products of
/// such a part and an element are exact.
type Columns<const V: usize, const COUNT: usize> = [[[f64x8; 2]; V]; COUNT];

/// The permutation's constants.
pub(in crate::hash) struct SpreadPoseidon1 {
    /// Added before the first round.
    first: [f64x8; VECTORS],
    mds: Columns<VECTORS, WIDTH>,
    /// Added after the full rounds before the partial ones, but for the last.
    initial: [[f64x8; VECTORS]; HALF_FULL - 1],
    /// Added after the full rounds that follow the partial ones: the next round's constants, and nothing at last.
    terminal: [[f64x8; VECTORS]; HALF_FULL],
    /// What inputs of the partial rounds and, behind them, the state after these owe to the state before.
    into_partial: Columns<{ 2 * VECTORS }, WIDTH>,
    into_partial_constants: [f64x8; 2 * VECTORS],
    partial: PartialRounds,
    /// What the state after the partial rounds owes to their outputs.
    out_of_partial: Columns<VECTORS, PARTIAL>,
}

/// What inputs of the partial rounds owe to outputs of earlier ones. Each input is scaled such that the output just
/// before it enters with the coefficient 1: on the way from S-box to S-box nothing but an addition is left.
///
/// An output is the cube of its input over 2^64, as one Montgomery reduction leaves it, and coefficients bear the factor
/// 2^32 that another one takes away.
struct PartialRounds {
    /// For each round the coefficient of the output of the round two before.
    second: [i64; PARTIAL],
    /// The same, of the round three before.
    third: [i64; PARTIAL],
    /// For each output its coefficients in the inputs from four rounds later on.
    far: [[i32; WIDTH]; PARTIAL],
}

impl SpreadPoseidon1 {
    pub(in crate::hash) fn new() -> Self {
        let forms = PartialForms::new();
        let (scales, output_factors) = scaling(&forms);
        let mut rows = [Form::ZERO; 2 * WIDTH];
        for (round, row) in rows[..PARTIAL].iter_mut().enumerate() {
            *row = scaled(&forms.inputs[round], scales[round], &output_factors);
        }
        for (row, form) in rows[WIDTH..].iter_mut().zip(&forms.state_after) {
            *row = scaled(form, F::ONE, &output_factors);
        }
        let constants = |round: usize| spread(|i| ROUND_CONSTANTS[round][i]);
        let mds = mds_columns();
        Self {
            first: constants(0),
            mds: std::array::from_fn(|column| cut(|row| mds[column][row])),
            initial: std::array::from_fn(|round| constants(round + 1)),
            terminal: std::array::from_fn(|round| match HALF_FULL + PARTIAL + round + 1 {
                next if next < ROUND_CONSTANTS.len() => constants(next),
                _ => [f64x8::ZERO; VECTORS],
            }),
            into_partial: std::array::from_fn(|column| cut(|row| rows[row].state[column])),
            into_partial_constants: spread(|row| rows[row].constant),
            out_of_partial: std::array::from_fn(|output| cut(|row| rows[WIDTH + row].outputs[output])),
            partial: PartialRounds::new(&rows),
        }
    }

    /// The partial rounds, with the linear layer of the full round before them.
    #[inline(always)]
    fn partial_rounds(&self, state: &[f64x8; VECTORS]) -> [f64x8; VECTORS] {
        let mut sums = Sums::new(&self.into_partial_constants);
        for (column, element) in self.into_partial.iter().zip(to_array(state)) {
            sums.add(column, element);
        }
        let inputs = std::array::from_fn(|vector| sums.reduced(vector));
        let mut after = Sums {
            high: std::array::from_fn(|vector| sums.high[VECTORS + vector]),
            low: std::array::from_fn(|vector| sums.low[VECTORS + vector]),
        };
        let mut rounds = Rounds::new(&self.partial, &inputs);
        for (round, column) in self.out_of_partial.iter().enumerate() {
            after.add(column, rounds.take(round));
        }
        after.all_reduced()
    }
}

impl SerialPermutation for SpreadPoseidon1 {
    fn permute(&self, state: &mut [u32; WIDTH]) {
        let mut elements: [f64x8; VECTORS] = from_array(&state.map(f64::from));
        for (element, &constant) in elements.iter_mut().zip(&self.first) {
            *element += constant;
        }
        for constants in &self.initial {
            elements = mix(&self.mds, constants, &elements.map(cube));
        }
        elements = self.partial_rounds(&elements.map(cube));
        for constants in &self.terminal {
            elements = mix(&self.mds, constants, &elements.map(cube));
        }
        for (place, element) in state.iter_mut().zip(to_array(&elements)) {
            let signed = to_integer(element) as u32;
            // One of the two is above p: a negative number read as unsigned, or what is not negative with p added.
            *place = signed.min(signed.wrapping_add(PRIME));
        }
    }
}

/// A full round's linear layer, and the addition after it.
#[inline(always)]
fn mix(
    columns: &Columns<VECTORS, WIDTH>,
    constants: &[f64x8; VECTORS],
    state: &[f64x8; VECTORS],
) -> [f64x8; VECTORS] {
    // Two sums that take turns: one alone would wait for itself.
    let mut even = Sums::new(constants);
    let mut odd = Sums::new(&[f64x8::ZERO; VECTORS]);
    let elements = to_array(state);
    for (columns, elements) in columns.chunks_exact(2).zip(elements.chunks_exact(2)) {
        even.add(&columns[0], elements[0]);
        odd.add(&columns[1], elements[1]);
    }
    for vector in 0..VECTORS {
        even.high[vector] += odd.high[vector];
        even.low[vector] += odd.low[vector];
    }
    even.all_reduced()
}

/// Sums of products with the two parts of matrix entries.
struct Sums<const V: usize> {
    high: [f64x8; V],
    low: [f64x8; V],
}

impl<const V: usize> Sums<V> {
    #[inline(always)]
    fn new(constants: &[f64x8; V]) -> Self {
        Self {
            high: [f64x8::ZERO; V],
            low: *constants,
        }
    }

    #[inline(always)]
    fn add(&mut self, column: &[[f64x8; 2]; V], element: f64) {
        let element = f64x8::splat(element);
        for (vector, [high, low]) in column.iter().enumerate() {
            self.high[vector] = element.mul_add(*high, self.high[vector]);
            self.low[vector] = element.mul_add(*low, self.low[vector]);
        }
    }

    #[inline(always)]
    fn reduced(&self, vector: usize) -> f64x8 {
        let (high, low) = (self.high[vector], self.low[vector]);
        // The sum may be rounded, by far less than p; the difference is again exact.
        let quotient = nearest_quotient(high + low);
        quotient.mul_neg_add(f64x8::splat(P), high) + low
    }
}

impl Sums<VECTORS> {
    #[inline(always)]
    fn all_reduced(&self) -> [f64x8; VECTORS] {
        std::array::from_fn(|vector| self.reduced(vector))
    }
}

#[inline(always)]
fn nearest_quotient(value: f64x8) -> f64x8 {
    let rounder = f64x8::splat(ROUNDER);
    value.mul_add(f64x8::splat(1.0 / P), rounder) - rounder
}

/// `a * b` mod p, at most about p/2 in size, for factors of at most 2^32.
#[inline(always)]
fn product(a: f64x8, b: f64x8) -> f64x8 {
    let high = a * b;
    let low = a.mul_sub(b, high);
    nearest_quotient(high).mul_neg_add(f64x8::splat(P), high) + low
}

#[inline(always)]
fn cube(element: f64x8) -> f64x8 {
    product(product(element, element), element)
}

/// The partial rounds in progress, on integers.
struct Rounds<'a> {
    constants: &'a PartialRounds,
    input: i64,
    /// Per input, what it owes to the state before.
    settled: [i64; WIDTH],
    /// Per input, products with outputs at least four rounds older, not yet reduced.
    pending: [i64; WIDTH],
    /// The last output, from 0 to p, and the one before it, of least size.
    previous: [i64; 2],
    last_centered: i64,
}

/// Products after which the pending sums are reduced: seven of less than 2^60 stay below 2^63.
const PENDING_MAX: usize = 7;
const P_INTEGER: i64 = PRIME as i64;
/// Bounds of the part of an input that is not the output before it: from -0.6 p to 0.4 p, so that the square of the
/// whole fits 63 bits.
const PART_MIN: i64 = P_INTEGER * -6 / 10;
const PART_MAX: i64 = P_INTEGER * 4 / 10;

impl<'a> Rounds<'a> {
    #[inline(always)]
    fn new(constants: &'a PartialRounds, inputs: &[f64x8; VECTORS]) -> Self {
        let settled = to_array(inputs).map(to_integer);
        Self {
            constants,
            input: settled[0],
            settled,
            pending: [0; WIDTH],
            previous: [0; 2],
            last_centered: 0,
        }
    }

    /// Takes a round and gives its output.
    #[inline(always)]
    fn take(&mut self, round: usize) -> f64 {
        let next = round + 1;
        let mut part = 0;
        if next < PARTIAL {
            let older = shrunk(self.settled[next] + montgomery_32(self.pending[next]));
            let [second, third] = self.previous;
            let near = second * self.constants.second[next] + third * self.constants.third[next];
            part = within_bounds(montgomery_32((older << 32) + near));
        }
        let output = montgomery_cube(self.input);
        let with_prime = part + P_INTEGER;
        self.input = output + if output < 0 { with_prime } else { part };
        let output = if output < 0 { output + P_INTEGER } else { output };
        let centered = if output > P_INTEGER / 2 { output - P_INTEGER } else { output };
        self.previous = [output, self.last_centered];
        self.last_centered = centered;
        for (pending, &factor) in self.pending.iter_mut().zip(&self.constants.far[round]) {
            *pending += i64::from(factor) * i64::from(centered as i32);
        }
        if round % PENDING_MAX == PENDING_MAX - 1 {
            for (settled, pending) in self.settled.iter_mut().zip(&mut self.pending) {
                *settled += montgomery_32(*pending);
                *pending = 0;
            }
        }
        centered as f64
    }
}

/// `p^-1` mod 2^64; its low half is the inverse mod 2^32.
const P_INVERSE_64: u64 = {
    // Newton's step doubles the number of right bits; p is its own inverse mod 8.
    let prime = PRIME as u64;
    let mut inverse = prime;
    let mut right_bits = 3;
    while right_bits < 64 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(prime.wrapping_mul(inverse)));
        right_bits *= 2;
    }
    inverse
};

/// `value^3 / 2^64` mod p, between -p and p, for values from -0.7 p to 1.4 p.
#[inline(always)]
fn montgomery_cube(value: i64) -> i64 {
    let cube = i128::from(value * value) * i128::from(value);
    let multiple = (cube as u64).wrapping_mul(P_INVERSE_64);
    let excess = (u128::from(multiple) * PRIME as u128) >> 64;
    (cube >> 64) as i64 - excess as i64
}

/// `value / 2^32` mod p, at most p/2 from the quotient in size.
#[inline(always)]
fn montgomery_32(value: i64) -> i64 {
    let multiple = (value as i32).wrapping_mul(P_INVERSE_64 as i32);
    // The low halves of value and multiple are equal and cancel; the difference of the whole could overflow.
    (value >> 32) - ((i64::from(multiple) * P_INTEGER) >> 32)
}

/// The same mod p, at most a little more than p/2 in size, for values of a few p.
#[inline(always)]
fn shrunk(value: i64) -> i64 {
    value - ((value + (1 << 30)) >> 31) * P_INTEGER
}

/// The same mod p between the two bounds, for values less than p away from them.
#[inline(always)]
fn within_bounds(value: i64) -> i64 {
    let raised = value + P_INTEGER;
    let value = if value < PART_MIN { raised } else { value };
    let lowered = value - P_INTEGER;
    if value > PART_MAX { lowered } else { value }
}

/// The integer that a double of at most 2^51 is.
#[inline(always)]
fn to_integer(element: f64) -> i64 {
    ((element + ROUNDER).to_bits() as i64).wrapping_sub(ROUNDER.to_bits() as i64)
}

#[inline(always)]
fn to_array<const V: usize>(vectors: &[f64x8; V]) -> [f64; WIDTH] {
    let mut array = [0.0; WIDTH];
    for (place, vector) in array.chunks_exact_mut(8).zip(vectors) {
        place.copy_from_slice(&vector.to_array());
    }
    array
}

#[inline(always)]
fn from_array<const V: usize>(array: &[f64; WIDTH]) -> [f64x8; V] {
    std::array::from_fn(|vector| f64x8::new(std::array::from_fn(|lane| array[8 * vector + lane])))
}

/// Scales of the inputs of the partial rounds, and what each output stands for: the cube of the scaled input over 2^64.
fn scaling(forms: &PartialForms) -> ([F; PARTIAL], [F; PARTIAL]) {
    let mut scales = [F::ONE; PARTIAL];
    let mut output_factors = [F::ONE; PARTIAL];
    for round in 0..PARTIAL {
        if round > 0 {
            scales[round] = forms.inputs[round].outputs[round - 1] * output_factors[round - 1];
        }
        output_factors[round] = scales[round].cube() * power_of_two(64);
    }
    (scales, output_factors)
}

/// The form with its outputs replaced by what stands for them, over a scale.
fn scaled(form: &Form, scale: F, output_factors: &[F; PARTIAL]) -> Form {
    let by = scale.inverse();
    Form {
        state: form.state.map(|coefficient| coefficient * by),
        outputs: std::array::from_fn(|output| form.outputs[output] * output_factors[output] * by),
        constant: form.constant * by,
    }
}

impl PartialRounds {
    fn new(inputs: &[Form]) -> Self {
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

fn power_of_two(exponent: u64) -> F {
    F::TWO.exp_u64(exponent)
}

/// The element's representative of least size.
fn centered(element: F) -> i32 {
    let canonical = element.as_canonical_u32();
    if canonical > PRIME / 2 {
        canonical as i32 - PRIME as i32
    } else {
        canonical as i32
    }
}

fn spread<const V: usize>(element: impl Fn(usize) -> F) -> [f64x8; V] {
    let lane = |vector: usize, lane: usize| f64::from(centered(element(8 * vector + lane)));
    std::array::from_fn(|vector| f64x8::new(std::array::from_fn(|i| lane(vector, i))))
}

/// A column with its entries cut in two.
fn cut<const V: usize>(entry: impl Fn(usize) -> F) -> [[f64x8; 2]; V] {
    let unit = f64::from(1 << 15);
    let part = |index: usize| {
        let entry = f64::from(centered(entry(index)));
        let high = (entry / unit).round() * unit;
        [high, entry - high]
    };
    std::array::from_fn(|vector| {
        std::array::from_fn(|half| f64x8::new(std::array::from_fn(|lane| part(8 * vector + lane)[half])))
    })
}
