//! Arithmetic mod p on integers held in doubles, one element of every lane at a time.
//!
//! A double holds every integer of up to 53 bits exactly, and a fused multiply-add rounds once, so products of field
//! elements with short constants can be summed without reduction in between, which no integer instruction of the same
//! width does in one step. Values are any representatives, also negative; each function says how large they may be.

use std::ops::{Add, AddAssign, Sub};

use p3_field::PrimeField32;

use crate::hash::field::{F, WIDTH};
use crate::hash::lanes::{CANONICAL_WEIGHTS, Lanes};
use crate::scheme::PRIME;

/// As many doubles as a vector register holds.
type Vector = wide::f64x8;

/// Doubles in a vector: doubles are twice as wide as the elements that fill a vector with all lanes.
const HALF: usize = WIDTH / 2;

const P: Vector = Vector::splat(PRIME as f64);
const P_INVERSE: Vector = Vector::splat(1.0 / PRIME as f64);
/// `1.5 * 2^52`: doubles of this size are integers, so adding it rounds to the nearest, and subtracting it again leaves
/// the rounded number, as long as that is below 2^51.
const ROUNDER: Vector = Vector::splat(6_755_399_441_055_744.0);

/// One element a lane. A constant is applied to both vectors once it is in a register.
#[derive(Clone, Copy, Debug)]
pub(in crate::hash) struct Doubles([Vector; 2]);

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

    /// Takes away the nearest multiple of p. For numbers of up to 2^53; the result is at most `p / 2`.
    #[inline(always)]
    pub(super) fn reduced(self) -> Self {
        self.each(|x| {
            let quotient = x.mul_add(P_INVERSE, ROUNDER) - ROUNDER;
            quotient.mul_neg_add(P, x)
        })
    }

    /// The sum with `high`, reduced to at most about p. This is an integer of up to 52 bits; `high` is one times a power
    /// of two, and may have up to 80 bits.
    #[inline(always)]
    pub(super) fn plus_reduced(self, high: Self) -> Self {
        self.with(high, |low, high| {
            let quotient = low.mul_add(P_INVERSE, high.mul_add(P_INVERSE, ROUNDER)) - ROUNDER;
            quotient.mul_neg_add(P, high) + low
        })
    }

    /// `x^3`, reduced to little more than `p / 2`. For numbers of up to 2^40: quotients then stay below 2^51.
    #[inline(always)]
    pub(super) fn cubed(self) -> Self {
        self.each(|x| {
            let [square, square_rest] = multiply(x, x);
            let [cube, cube_rest] = multiply(square + square_rest, x);
            cube + cube_rest
        })
    }

    /// `x^3 - x`, of at most `p / 2` more than `x`. For numbers of up to 2^40.
    #[inline(always)]
    pub(super) fn cube_difference(self) -> Self {
        self.each(|x| {
            let [square, square_rest] = multiply(x, x);
            let [cube, cube_rest] = multiply(square + square_rest, x);
            // In this order the subtraction need not wait for the reduction.
            cube + (cube_rest - x)
        })
    }

    /// Adds the exact product of `x` and a constant.
    #[inline(always)]
    pub(super) fn add_product(&mut self, constant: f64, x: Self) {
        let constant = Vector::splat(constant);
        *self = self.with(x, |sum, x| constant.mul_add(x, sum));
    }

    /// The product of a field element and a constant of up to `p / 2`, reduced to little more than `p / 2`. The constant
    /// comes with its quotient by p.
    #[inline(always)]
    pub(super) fn times(self, [constant, quotient]: [f64; 2]) -> Self {
        let (constant, quotient) = (Vector::splat(constant), Vector::splat(quotient));
        self.each(|x| {
            let rounded = constant * x;
            let lost = constant.mul_sub(x, rounded);
            let quotient = quotient.mul_add(x, ROUNDER) - ROUNDER;
            quotient.mul_neg_add(P, rounded) + lost
        })
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
        self.reduced().numbers().map(|number| {
            let signed = number as i32 as u32;
            // The smaller one is right: a negative number is a huge one here, and so is one past p with p taken away.
            signed.min(signed.wrapping_add(PRIME))
        })
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

/// The representative of an element that is nearest to zero.
pub(super) fn centred(element: F) -> f64 {
    let value = element.as_canonical_u32();
    if value > PRIME / 2 {
        f64::from(value) - f64::from(PRIME)
    } else {
        f64::from(value)
    }
}

/// The product `a b` of up to 2^80 in two parts: the rounded one, reduced, and what rounding lost.
#[inline(always)]
fn multiply(a: Vector, b: Vector) -> [Vector; 2] {
    let rounded = a * b;
    let lost = a.mul_sub(b, rounded);
    let quotient = rounded.mul_add(P_INVERSE, ROUNDER) - ROUNDER;
    [quotient.mul_neg_add(P, rounded), lost]
}
