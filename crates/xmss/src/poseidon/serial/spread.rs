//! A permutation of width 24 of one state, spread over vector registers.
//!
//! Elements are integers in doubles: exact below 2^53, so that a sum of many products is reduced once, and not product by
//! product as in the library's arithmetic. This needs fused multiply-add.

use super::SerialPermutation;
use super::partial::{InProgress, PartialRounds, scale};
use super::rounds::{Form, HALF_FULL, PARTIAL, PartialForms, Rounds, WIDTH};
use crate::poseidon::doubles::{Vector, canonical, centered, cubed, reduced, reduced_sum, split, to_integer};
use crate::poseidon::field::F;

/// Vectors that hold a state.
const VECTORS: usize = WIDTH / 8;

/// Parts of the entries of a matrix whose entries are any elements: a multiple of 2^15, and a rest of 15 bits.
const CUT: usize = 2;
/// Parts of the entries of a matrix whose entries are small.
const WHOLE: usize = 1;

/// The columns of a matrix, in parts that are so small that sums of up to 2^7 products with elements are exact.
type Columns<const V: usize, const PARTS: usize, const COUNT: usize> = [[[Vector; PARTS]; V]; COUNT];

/// Poseidon1, whose matrix has entries of any size.
pub(in crate::poseidon) type SpreadPoseidon1 = Spread<CUT>;
/// Poseidon2, whose full rounds have a matrix of small entries.
pub(in crate::poseidon) type SpreadPoseidon2 = Spread<WHOLE>;

/// The permutation's constants; the full rounds' matrix has entries of this many parts.
pub(in crate::poseidon) struct Spread<const PARTS: usize> {
    mixes_first: bool,
    full: Columns<VECTORS, PARTS, WIDTH>,
    /// Added before the first round.
    first: [Vector; VECTORS],
    /// Added after the full rounds before the partial ones, but for the last: the next round's constants.
    initial: [[Vector; VECTORS]; HALF_FULL - 1],
    /// What inputs of the partial rounds and, behind them, the state after these owe to the state before.
    into_partial: Columns<{ 2 * VECTORS }, CUT, WIDTH>,
    into_partial_constants: [Vector; 2 * VECTORS],
    partial: PartialRounds,
    /// What the state after the partial rounds owes to their outputs.
    out_of_partial: Columns<VECTORS, CUT, PARTIAL>,
    /// Added after the full rounds that follow the partial ones: the next round's constants, and nothing at last.
    terminal: [[Vector; VECTORS]; HALF_FULL],
}

impl SpreadPoseidon1 {
    pub(in crate::poseidon) fn poseidon1() -> Self {
        Self::new(&Rounds::poseidon1())
    }
}

impl SpreadPoseidon2 {
    pub(in crate::poseidon) fn poseidon2_classic() -> Self {
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
            None => [Vector::ZERO; VECTORS],
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
    fn mixed(&self, state: &[Vector; VECTORS], constants: &[Vector; VECTORS]) -> [Vector; VECTORS] {
        // Two sums that take turns: one alone would wait for itself.
        let mut even = Sums::new(constants);
        let mut odd = Sums::new(&[Vector::ZERO; VECTORS]);
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
    fn partial_rounds(&self, state: &[Vector; VECTORS]) -> [Vector; VECTORS] {
        let mut sums = Sums::new(&self.into_partial_constants);
        for (column, element) in self.into_partial.iter().zip(to_array(state)) {
            sums.add(column, element);
        }
        let inputs: [Vector; VECTORS] = Sums(std::array::from_fn(|vector| sums.0[vector])).reduced();
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
            elements = self.mixed(&elements.map(cubed), constants);
        }
        elements = self.partial_rounds(&elements.map(cubed));
        for constants in &self.terminal {
            elements = self.mixed(&elements.map(cubed), constants);
        }
        for (place, element) in state.iter_mut().zip(to_array(&elements)) {
            *place = canonical(element);
        }
    }
}

/// Sums of products with each part of matrix entries.
struct Sums<const V: usize, const PARTS: usize>([[Vector; PARTS]; V]);

impl<const V: usize, const PARTS: usize> Sums<V, PARTS> {
    #[inline(always)]
    fn new(constants: &[Vector; V]) -> Self {
        let mut sums = [[Vector::ZERO; PARTS]; V];
        for (sum, &constant) in sums.iter_mut().zip(constants) {
            sum[PARTS - 1] = constant;
        }
        Self(sums)
    }

    #[inline(always)]
    fn add(&mut self, column: &[[Vector; PARTS]; V], element: f64) {
        let element = Vector::splat(element);
        for (sums, entries) in self.0.iter_mut().zip(column) {
            for (sum, &entry) in sums.iter_mut().zip(entries) {
                *sum = element.mul_add(entry, *sum);
            }
        }
    }

    /// The sums mod p, about p/2 at most in size.
    #[inline(always)]
    fn reduced(&self) -> [Vector; V] {
        self.0.map(|parts| match PARTS {
            WHOLE => reduced(parts[0]),
            _ => reduced_sum(parts[0], parts[1]),
        })
    }
}

#[inline(always)]
fn to_array(vectors: &[Vector; VECTORS]) -> [f64; WIDTH] {
    let mut array = [0.0; WIDTH];
    for (place, vector) in array.chunks_exact_mut(8).zip(vectors) {
        place.copy_from_slice(&vector.to_array());
    }
    array
}

#[inline(always)]
fn vectors<const V: usize>(element: impl Fn(usize) -> f64) -> [Vector; V] {
    std::array::from_fn(|vector| Vector::new(std::array::from_fn(|lane| element(8 * vector + lane))))
}

/// A column in parts.
fn cut<const V: usize, const PARTS: usize>(entry: impl Fn(usize) -> F) -> [[Vector; PARTS]; V] {
    let part = |index: usize, part: usize| match PARTS {
        WHOLE => centered(entry(index)).into(),
        _ => split(entry(index))[part],
    };
    let parts: [[Vector; V]; PARTS] = std::array::from_fn(|i| vectors(|index| part(index, i)));
    std::array::from_fn(|vector| std::array::from_fn(|i| parts[i][vector]))
}
