//! One element of every lane, as integers in doubles.

use std::ops::{Add, AddAssign, Sub};

use p3_field::PrimeField32;

use crate::poseidon::doubles::{self, Vector};
use crate::poseidon::field::{F, WIDTH};
use crate::poseidon::lanes::{CANONICAL_WEIGHTS, Lanes};

/// Doubles in a vector: doubles are twice as wide as the elements that fill a vector with all lanes.
const HALF: usize = WIDTH / 2;

/// One element a lane. A constant is applied to both vectors once it is in a register.
#[derive(Clone, Copy, Debug)]
pub(in crate::poseidon) struct Doubles([Vector; 2]);

impl Doubles {
    /// The same number in every lane.
    #[inline(always)]
    pub(super) fn splat(number: f64) -> Self {
        Self([Vector::splat(number); 2])
    }

    #[inline(always)]
    fn from_numbers(numbers: [f64; WIDTH]) -> Self {
        let half = |half: usize| Vector::new(std::array::from_fn(|lane| numbers[half * HALF + lane]));
        Self([half(0), half(1)])
    }

    #[inline(always)]
    fn numbers(&self) -> [f64; WIDTH] {
        let halves = self.0.map(Vector::to_array);
        std::array::from_fn(|lane| halves[lane / HALF][lane % HALF])
    }

    /// See [`doubles::reduced`].
    #[inline(always)]
    pub(super) fn reduced(self) -> Self {
        self.each(doubles::reduced)
    }

    /// The sum with this high part. See [`doubles::reduced_sum`].
    #[inline(always)]
    pub(super) fn plus_reduced(self, high: Self) -> Self {
        self.with(high, |low, high| doubles::reduced_sum(high, low))
    }

    /// See [`doubles::cubed`].
    #[inline(always)]
    pub(super) fn cubed(self) -> Self {
        self.each(doubles::cubed)
    }

    /// See [`doubles::cube_difference`].
    #[inline(always)]
    pub(super) fn cube_difference(self) -> Self {
        self.each(doubles::cube_difference)
    }

    /// Adds the exact product of `x` and a constant.
    #[inline(always)]
    pub(super) fn add_product(&mut self, constant: f64, x: Self) {
        let constant = Vector::splat(constant);
        *self = self.with(x, |sum, x| constant.mul_add(x, sum));
    }

    /// The product of an element of at most 2^36 and a constant in two parts, reduced to little more than `p / 2`.
    #[inline(always)]
    pub(super) fn times(self, [high, low]: [f64; 2]) -> Self {
        self.each(|x| doubles::reduced_sum(Vector::splat(high) * x, Vector::splat(low) * x))
    }

    #[inline(always)]
    fn each(self, function: impl Fn(Vector) -> Vector) -> Self {
        Self([function(self.0[0]), function(self.0[1])])
    }

    #[inline(always)]
    fn with(self, other: Self, function: impl Fn(Vector, Vector) -> Vector) -> Self {
        Self([function(self.0[0], other.0[0]), function(self.0[1], other.0[1])])
    }
}

impl Lanes for Doubles {
    const ZERO: Self = Self([Vector::splat(0.0); 2]);

    #[inline(always)]
    fn from_fn(element: impl Fn(usize) -> F) -> Self {
        Self::from_numbers(std::array::from_fn(|lane| element(lane).as_canonical_u32().into()))
    }

    fn lane(&self, lane: usize) -> F {
        F::new(self.canonical()[lane])
    }

    #[inline(always)]
    fn canonical(&self) -> [u32; WIDTH] {
        self.reduced().numbers().map(doubles::canonical)
    }

    #[inline(always)]
    fn from_canonical(words: &[u32; WIDTH]) -> Self {
        Self::from_numbers(words.map(f64::from))
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        (self + other).reduced()
    }

    const WORD_WEIGHTS: [u64; 4] = CANONICAL_WEIGHTS;

    #[inline(always)]
    fn from_reduced(words: &[u32; WIDTH]) -> Self {
        Self::from_numbers(words.map(f64::from))
    }
}

impl Add for Doubles {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.with(other, |a, b| a + b)
    }
}

impl Sub for Doubles {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.with(other, |a, b| a - b)
    }
}

impl AddAssign for Doubles {
    #[inline(always)]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}
