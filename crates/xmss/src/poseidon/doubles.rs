//! Arithmetic mod p on integers held in doubles, a vector of them at a time.
//!
//! A double holds every integer of up to 53 bits exactly, and a fused multiply-add rounds once, so products of field
//! elements with short constants can be summed without reduction in between, which no integer instruction of the same
//! width does in one step. Values are any representatives, also negative; each function says how large they may be.

use p3_field::PrimeField32;

use super::PRIME;
use super::field::F;

/// Eight doubles: a vector register, or two.
pub(super) type Vector = wide::f64x8;

const P: Vector = Vector::splat(PRIME as f64);
const P_INVERSE: Vector = Vector::splat(1.0 / PRIME as f64);
/// `1.5 * 2^52`: doubles of this size are integers, so adding it rounds to the nearest, and subtracting it again leaves
/// the rounded number, as long as that is below 2^51. The sum has it in its low bits.
const ROUNDER: f64 = 6_755_399_441_055_744.0;
/// A sum of 24 products of either part of a constant with field elements has less than 51 bits beside this unit.
const UNIT: f64 = (1 << 15) as f64;

/// Takes away the nearest multiple of p. For numbers of up to 2^53; the result is at most `p / 2`.
#[inline(always)]
pub(super) fn reduced(value: Vector) -> Vector {
    nearest_quotient(value).mul_neg_add(P, value)
}

/// The sum of two numbers, reduced to little more than `p / 2`. `low` is an integer of up to 52 bits; `high` is one times
/// a power of two, and may have up to 80 bits.
#[inline(always)]
pub(super) fn reduced_sum(high: Vector, low: Vector) -> Vector {
    // The sum of both may be rounded, by far less than p; the difference is again exact.
    nearest_quotient(high + low).mul_neg_add(P, high) + low
}

/// `x^3`, reduced to little more than `p / 2`. For numbers of up to 2^40: quotients then stay below 2^51.
#[inline(always)]
pub(super) fn cubed(x: Vector) -> Vector {
    let [cube, rest] = cube_in_parts(x);
    cube + rest
}

/// `x^3 - x`, of at most `p / 2` more than `x`. For numbers of up to 2^40.
#[cfg(target_feature = "avx512f")]
#[inline(always)]
pub(super) fn cube_difference(x: Vector) -> Vector {
    let [cube, rest] = cube_in_parts(x);
    // In this order the subtraction need not wait for the reduction.
    cube + (rest - x)
}

#[inline(always)]
fn cube_in_parts(x: Vector) -> [Vector; 2] {
    let [square, rest] = product_in_parts(x, x);
    product_in_parts(square + rest, x)
}

/// The product `a b` of up to 2^80 in two parts: the rounded one, reduced, and what rounding lost.
#[inline(always)]
fn product_in_parts(a: Vector, b: Vector) -> [Vector; 2] {
    let rounded = a * b;
    let lost = a.mul_sub(b, rounded);
    [reduced(rounded), lost]
}

/// The integer nearest to `value / p`, for quotients of up to 2^51.
#[inline(always)]
fn nearest_quotient(value: Vector) -> Vector {
    let rounder = Vector::splat(ROUNDER);
    value.mul_add(P_INVERSE, rounder) - rounder
}

/// The integer that a double of at most 2^51 is.
#[inline(always)]
pub(super) fn to_integer(number: f64) -> i64 {
    ((number + ROUNDER).to_bits() as i64).wrapping_sub(ROUNDER.to_bits() as i64)
}

/// The canonical form of a number between -p and p.
#[inline(always)]
pub(super) fn canonical(number: f64) -> u32 {
    let signed = to_integer(number) as u32;
    // The greater one is a negative number read as unsigned, or what is not negative with p added.
    signed.min(signed.wrapping_add(PRIME))
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

/// A constant in two parts, each short enough for sums of products without reduction: a multiple of `2^15`, and a rest of
/// at most `2^14`.
pub(super) fn split(constant: F) -> [f64; 2] {
    let constant = f64::from(centered(constant));
    let high = (constant / UNIT).round() * UNIT;
    [high, constant - high]
}
