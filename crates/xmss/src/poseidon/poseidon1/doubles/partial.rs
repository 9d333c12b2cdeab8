//! The partial rounds of Poseidon1, all at once.
//!
//! A partial round adds constants `k` to the state, replaces the first element `z` by `z^3`, and multiplies by the
//! circulant matrix M. Written as `u -> M (u + k + d e)` with the first unit vector `e` and the number `d = z^3 - z`, it
//! is linear but for that number, so R of them together are
//!
//! ```text
//! z(r) = row 0 of M^r times u + constant + sum over j < r of M^(r-j)[0][0] d(j)
//! end  = M^R u + constant + sum over j < R of M^(R-j) e d(j)
//! ```
//!
//! with one reduction a sum. Powers of a circulant matrix are circulant: the first column of one says all of it.

use p3_field::PrimeCharacteristicRing;

use super::arithmetic::Doubles;
use super::circulant::{Circulant, Large, Scratch};
use crate::poseidon::doubles::{centered, split};
use crate::poseidon::field::F;
use crate::poseidon::lanes::Lanes;

/// Rounds of which the linear part is computed side by side, so that no addition waits for the one before it.
const BLOCK: usize = 5;

/// A block of rounds: what their inputs have of everything before the block, and of each other.
#[derive(Clone, Debug)]
struct Block {
    /// For each element of the state, then for each difference of the earlier blocks: the high parts of what it adds to
    /// the inputs of the block's rounds, and the low parts.
    before: Vec<[[f64; BLOCK]; 2]>,
    /// What each input is added to.
    constants: [f64; BLOCK],
}

#[derive(Clone, Debug)]
pub(super) struct PartialRounds<const W: usize, const R: usize> {
    blocks: Vec<Block>,
    /// `M^(k+1)[0][0]`.
    feedback: [[f64; BLOCK]; 2],
    /// `M^R`.
    power: Large<W>,
    /// The constant of the end, and those that the next full round adds.
    end_constants: [f64; W],
    /// For each tile of the elements, and for each difference: what it adds to them at the end, in high and low parts.
    end_tiles: Vec<Vec<[[f64; TILE]; 2]>>,
}

impl<const W: usize, const R: usize> PartialRounds<W, R> {
    /// For the matrix with this first column, the constants of the partial rounds, and those of the round after.
    pub(super) fn new(column: [F; W], constants: &[[F; W]], next: [F; W]) -> Self {
        let mut unit = [F::ZERO; W];
        unit[0] = F::ONE;
        // The first columns of M^0 to M^(R + BLOCK).
        let powers: Vec<[F; W]> = std::iter::successors(Some(unit), |power| Some(product(&column, power)))
            .take(R + BLOCK)
            .collect();
        let mut inputs = [0.0; BLOCKED];
        let mut state = [F::ZERO; W];
        for (round, input) in constants.iter().zip(&mut inputs) {
            state = std::array::from_fn(|i| state[i] + round[i]);
            *input = centered(state[0]).into();
            state = product(&column, &state);
        }
        let block = |first: usize| {
            let of_element = |i: usize| std::array::from_fn(|r| powers[first + r][(W - i) % W]);
            let of_difference = |j: usize| std::array::from_fn(|r| powers[first + r - j][0]);
            Block {
                before: (0..W)
                    .map(of_element)
                    .chain((0..first).map(of_difference))
                    .map(split_all)
                    .collect(),
                constants: std::array::from_fn(|r| inputs[first + r]),
            }
        };
        Self {
            blocks: (0..R).step_by(BLOCK).map(block).collect(),
            feedback: split_all(std::array::from_fn(|k| powers[k + 1][0])),
            power: Large::new(powers[R]),
            end_constants: Large::addend(std::array::from_fn(|i| state[i] + next[i])),
            end_tiles: (0..W)
                .step_by(TILE)
                .map(|first| {
                    (0..R)
                        .map(|j| split_all(std::array::from_fn(|i| powers[R - j][first + i])))
                        .collect()
                })
                .collect(),
        }
    }

    /// Applies the rounds to elements of at most 2^50, and leaves elements of little more than `p / 2`.
    ///
    /// All sums are exact: of at most 49 products of elements of p/2 with halves of constants, less than 2^52 also while they are put together.
    #[inline(always)]
    pub(super) fn apply<C: Circulant<W>>(&self, matrix: &C, state: &mut [Doubles; W], scratch: &mut Scratch<W>) {
        for element in state.iter_mut() {
            *element = element.reduced();
        }
        let mut differences = [Doubles::ZERO; BLOCKED];
        let mut known = 0;
        for block in &self.blocks {
            let (before, next) = differences.split_at_mut(known);
            let mut inputs = [[Doubles::ZERO; BLOCK]; 2];
            block.add_products(state, before, &mut inputs);
            self.finish_block(matrix, inputs, next);
            known += BLOCK;
        }
        self.end(&differences, state, scratch);
    }

    /// What the S-box of each round of a block adds to its input.
    #[inline(always)]
    fn finish_block<C: Circulant<W>>(
        &self,
        matrix: &C,
        [mut high, mut low]: [[Doubles; BLOCK]; 2],
        differences: &mut [Doubles],
    ) {
        let mut last = Doubles::ZERO;
        for r in 0..BLOCK {
            // What the round before adds is apart from the sum, whose reduction need not wait for it then. It is not
            // reduced either, and grows by p a round: a block is short.
            let input = low[r].plus_reduced(high[r]) + matrix.times_corner(last);
            last = input.cube_difference();
            differences[r] = last.reduced();
            for later in r + 2..BLOCK {
                high[later].add_product(self.feedback[0][later - r - 1], differences[r]);
                low[later].add_product(self.feedback[1][later - r - 1], differences[r]);
            }
        }
    }

    #[inline(always)]
    fn end(&self, differences: &[Doubles], state: &mut [Doubles; W], scratch: &mut Scratch<W>) {
        let mut low = [Doubles::ZERO; W];
        self.power
            .multiply_in_parts(&self.end_constants, state, &mut low, scratch);
        for (tile, place) in self.end_tiles.iter().zip((0..W).step_by(TILE)) {
            add_products::<0>(tile, differences, &mut scratch.high[place..]);
            add_products::<1>(tile, differences, &mut low[place..]);
        }
        for i in 0..W {
            state[i] = low[i].plus_reduced(scratch.high[i]);
        }
    }
}

impl Block {
    /// Adds what the state and the earlier differences contribute to the inputs of the rounds.
    #[inline(always)]
    fn add_products(&self, state: &[Doubles], differences: &[Doubles], inputs: &mut [[Doubles; BLOCK]; 2]) {
        let mut high = [Doubles::ZERO; BLOCK];
        let mut low = self.constants.map(Doubles::splat);
        for (&value, constants) in state.iter().chain(differences).zip(&self.before) {
            for r in 0..BLOCK {
                high[r].add_product(constants[0][r], value);
                low[r].add_product(constants[1][r], value);
            }
        }
        inputs[0].copy_from_slice(&high);
        inputs[1].copy_from_slice(&low);
    }
}

/// Elements that are summed side by side: their sums stay in registers.
const TILE: usize = 8;

/// Adds the products of differences and one part of the constants to a tile of sums.
#[inline(always)]
fn add_products<const PART: usize>(tile: &[[[f64; TILE]; 2]], differences: &[Doubles], sums: &mut [Doubles]) {
    let mut added = [Doubles::ZERO; TILE];
    for (constants, &difference) in tile.iter().zip(differences) {
        for i in 0..TILE {
            added[i].add_product(constants[PART][i], difference);
        }
    }
    for i in 0..TILE {
        sums[i] += added[i];
    }
}

/// The high parts of constants, and the low ones.
fn split_all<const N: usize>(constants: [F; N]) -> [[f64; N]; 2] {
    let parts = constants.map(split);
    [parts.map(|[high, _]| high), parts.map(|[_, low]| low)]
}

/// Most partial rounds, in whole blocks.
const BLOCKED: usize = 25;
/// The product of two polynomials mod `x^W - 1`.
fn product<const W: usize>(a: &[F; W], b: &[F; W]) -> [F; W] {
    std::array::from_fn(|i| (0..W).map(|j| a[(i + W - j) % W] * b[j]).sum())
}
