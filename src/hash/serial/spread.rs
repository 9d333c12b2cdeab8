//! A permutation of width 24 of one state, spread over vector registers.
//!
//! Elements are integers in doubles: exact below 2^53, so that a sum of many products is reduced once, and not product by
//! product as in the library's arithmetic. This needs fused multiply-add.

use p3_field::PrimeField32;
use wide::f64x8;

use super::SerialPermutation;
use super::partial::{InProgress, PartialRounds, scale};
use super::rounds::{Form, HALF_FULL, PARTIAL, PartialForms, Rounds, WIDTH};
use crate::hash::PRIME;
use crate::hash::field::F;

/// Vectors that hold a state.
const VECTORS: usize = WIDTH / 8;

const P: f64 = PRIME as f64;
/// `1.5 * 2^52`: added to a double of at most 2^51 it leaves the nearest integer, in the low bits of the sum.
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// Parts of the entries of a matrix whose entries are any elements: a multiple of 2^15, and a rest of 15 bits.
const CUT: usize = 2;
/// Parts of the entries of a matrix whose entries are small.
const WHOLE: usize = 1;

/// The columns of a matrix, in parts that are so small that sums of up to 2^7 products with elements are exact.
type Columns<const V: usize, const PARTS: usize, const COUNT: usize> = [[[f64x8; PARTS]; V]; COUNT];

/// Poseidon1, whose matrix has entries of any size.
pub(in crate::hash) type SpreadPoseidon1 = Spread<CUT>;
/// Poseidon2, whose full rounds have a matrix of small entries.
pub(in crate::hash) type SpreadPoseidon2 = Spread<WHOLE>;

/// The permutation's constants; the full rounds' matrix has entries of this many parts.
pub(in crate::hash) struct Spread<const PARTS: usize> {
    mixes_first: bool,
    full: Columns<VECTORS, PARTS, WIDTH>,
    /// Added before the first round.
    first: [f64x8; VECTORS],
    /// Added after the full rounds before the partial ones, but for the last: the next round's constants.
    initial: [[f64x8; VECTORS]; HALF_FULL - 1],
    /// What inputs of the partial rounds and, behind them, the state after these owe to the state before.
    into_partial: Columns<{ 2 * VECTORS }, CUT, WIDTH>,
    into_partial_constants: [f64x8; 2 * VECTORS],
    partial: PartialRounds,
    /// What the state after the partial rounds owes to their outputs.
    out_of_partial: Columns<VECTORS, CUT, PARTIAL>,
    /// Added after the full rounds that follow the partial ones: the next round's constants, and nothing at last.
    terminal: [[f64x8; VECTORS]; HALF_FULL],
}

impl SpreadPoseidon1 {
    pub(in crate::hash) fn poseidon1() -> Self {
        Self::new(&Rounds::poseidon1())
    }
}

impl SpreadPoseidon2 {
    pub(in crate::hash) fn poseidon2_classic() -> Self {
        Self::new(&Rounds::poseidon2_classic())
    }
}

impl<const PARTS: usize> Spread<PARTS> {
    fn new(rounds: &Rounds) -> Self {
        let mut forms = PartialForms::new(rounds);
        scale(&mut forms);
        let mut rows = [Form::ZERO; 2 * WIDTH];
        rows[..PARTIAL].copy_from_slice(&forms.inputs);
        rows[WIDTH..].copy_from_slice(&forms.state_after);
        let constants = |round: usize| match rounds.constants.get(round) {
            Some(constants) => vectors(|i| centered(constants[i]).into()),
            None => [f64x8::ZERO; VECTORS],
        };
        Self {
            mixes_first: rounds.mixes_first,
            full: std::array::from_fn(|column| cut(|row| rounds.full[column][row])),
            first: constants(0),
            initial: std::array::from_fn(|round| constants(round + 1)),
            into_partial: std::array::from_fn(|column| cut(|row| rows[row].state[column])),
            into_partial_constants: vectors(|row| centered(rows[row].constant).into()),
            partial: PartialRounds::new(&forms.inputs),
            out_of_partial: std::array::from_fn(|output| cut(|row| rows[WIDTH + row].outputs[output])),
            terminal: std::array::from_fn(|round| constants(HALF_FULL + PARTIAL + round + 1)),
        }
    }

    /// A full round's linear layer, and the addition after it.
    #[inline(always)]
    fn mixed(&self, state: &[f64x8; VECTORS], constants: &[f64x8; VECTORS]) -> [f64x8; VECTORS] {
        // Two sums that take turns: one alone would wait for itself.
        let mut even = Sums::new(constants);
        let mut odd = Sums::new(&[f64x8::ZERO; VECTORS]);
        let elements = to_array(state);
        for (columns, elements) in self.full.chunks_exact(2).zip(elements.chunks_exact(2)) {
            even.add(&columns[0], elements[0]);
            odd.add(&columns[1], elements[1]);
        }
        for (even, odd) in even.0.iter_mut().zip(&odd.0) {
            for (even, &odd) in even.iter_mut().zip(odd) {
                *even += odd;
            }
        }
        even.reduced()
    }

    /// The partial rounds, with the linear layer of the full round before them.
    #[inline(always)]
    fn partial_rounds(&self, state: &[f64x8; VECTORS]) -> [f64x8; VECTORS] {
        let mut sums = Sums::new(&self.into_partial_constants);
        for (column, element) in self.into_partial.iter().zip(to_array(state)) {
            sums.add(column, element);
        }
        let inputs: [f64x8; VECTORS] = Sums(std::array::from_fn(|vector| sums.0[vector])).reduced();
        let mut after = Sums(std::array::from_fn(|vector| sums.0[VECTORS + vector]));
        let mut rounds = InProgress::new(&self.partial, to_array(&inputs).map(to_integer));
        for (round, column) in self.out_of_partial.iter().enumerate() {
            after.add(column, rounds.take(round) as f64);
        }
        after.reduced()
    }
}

impl<const PARTS: usize> SerialPermutation for Spread<PARTS> {
    fn permute(&self, state: &mut [u32; WIDTH]) {
        let mut elements = vectors(|i| state[i].into());
        if self.mixes_first {
            elements = self.mixed(&elements, &self.first);
        } else {
            for (element, &constant) in elements.iter_mut().zip(&self.first) {
                *element += constant;
            }
        }
        for constants in &self.initial {
            elements = self.mixed(&elements.map(cube), constants);
        }
        elements = self.partial_rounds(&elements.map(cube));
        for constants in &self.terminal {
            elements = self.mixed(&elements.map(cube), constants);
        }
        for (place, element) in state.iter_mut().zip(to_array(&elements)) {
            let signed = to_integer(element) as u32;
            // The greater one is a negative number read as unsigned, or what is not negative with p added.
            *place = signed.min(signed.wrapping_add(PRIME));
        }
    }
}

/// Sums of products with each part of matrix entries.
struct Sums<const V: usize, const PARTS: usize>([[f64x8; PARTS]; V]);

impl<const V: usize, const PARTS: usize> Sums<V, PARTS> {
    #[inline(always)]
    fn new(constants: &[f64x8; V]) -> Self {
        let mut sums = [[f64x8::ZERO; PARTS]; V];
        for (sum, &constant) in sums.iter_mut().zip(constants) {
            sum[PARTS - 1] = constant;
        }
        Self(sums)
    }

    #[inline(always)]
    fn add(&mut self, column: &[[f64x8; PARTS]; V], element: f64) {
        let element = f64x8::splat(element);
        for (sums, entries) in self.0.iter_mut().zip(column) {
            for (sum, &entry) in sums.iter_mut().zip(entries) {
                *sum = element.mul_add(entry, *sum);
            }
        }
    }

    /// The sums mod p, about p/2 at most in size.
    #[inline(always)]
    fn reduced(&self) -> [f64x8; V] {
        self.0.map(|parts| {
            let low = parts[PARTS - 1];
            if PARTS == WHOLE {
                return nearest_quotient(low).mul_neg_add(f64x8::splat(P), low);
            }
            // The sum of both may be rounded, by far less than p; the difference is again exact.
            let high = parts[0];
            nearest_quotient(high + low).mul_neg_add(f64x8::splat(P), high) + low
        })
    }
}

/// The integer nearest to `value / p`, for quotients of up to 2^51.
#[inline(always)]
fn nearest_quotient(value: f64x8) -> f64x8 {
    let rounder = f64x8::splat(ROUNDER);
    value.mul_add(f64x8::splat(1.0 / P), rounder) - rounder
}

/// `a * b` mod p, about p/2 at most in size, for factors of up to 2^32.
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

/// The integer that a double of at most 2^51 is.
#[inline(always)]
fn to_integer(element: f64) -> i64 {
    ((element + ROUNDER).to_bits() as i64).wrapping_sub(ROUNDER.to_bits() as i64)
}

#[inline(always)]
fn to_array(vectors: &[f64x8; VECTORS]) -> [f64; WIDTH] {
    let mut array = [0.0; WIDTH];
    for (place, vector) in array.chunks_exact_mut(8).zip(vectors) {
        place.copy_from_slice(&vector.to_array());
    }
    array
}

#[inline(always)]
fn vectors<const V: usize>(element: impl Fn(usize) -> f64) -> [f64x8; V] {
    std::array::from_fn(|vector| f64x8::new(std::array::from_fn(|lane| element(8 * vector + lane))))
}

/// The element's representative of least size.
pub(super) fn centered(element: F) -> i32 {
    let canonical = element.as_canonical_u32() as i32;
    if canonical > PRIME as i32 / 2 {
        canonical - PRIME as i32
    } else {
        canonical
    }
}

/// A column in parts.
fn cut<const V: usize, const PARTS: usize>(entry: impl Fn(usize) -> F) -> [[f64x8; PARTS]; V] {
    let unit = f64::from(1 << 15);
    let part = |index: usize, part: usize| {
        let entry = f64::from(centered(entry(index)));
        let high = (entry / unit).round() * unit;
        match (PARTS, part) {
            (WHOLE, _) => entry,
            (_, 0) => high,
            _ => entry - high,
        }
    };
    let parts: [[f64x8; V]; PARTS] = std::array::from_fn(|i| vectors(|index| part(index, i)));
    std::array::from_fn(|vector| std::array::from_fn(|i| parts[i][vector]))
}
