//! Products with circulant matrices, by folding.
//!
//! A circulant matrix multiplies polynomials mod `x^W - 1`. That factors into `x^(W/2) - 1` and `x^(W/2) + 1`, and the
//! first of them again, so that the product falls into independent smaller ones (the Chinese remainder theorem, as in a
//! fast Fourier transform that stops where it would need roots of unity): 16 columns take 86 multiplications instead of
//! 256, 24 columns 198 instead of 576.
//!
//! Folded, the `W` coefficients lie as `[mod x^m - 1 | mod x^m + 1 | mod x^2m + 1 | ...]`, with odd `m`. The side of the
//! constants is halved at each folding, so that unfolding needs no division.

use std::ops::{Add, Sub};

use p3_field::{PrimeCharacteristicRing, PrimeField32};

use super::arithmetic::Doubles;
use crate::poseidon::doubles::{centered, split};
use crate::poseidon::field::F;
use crate::poseidon::lanes::Lanes;

/// A circulant matrix in the form that its entries allow.
pub(in crate::poseidon) trait Circulant<const W: usize>: Clone + Sync {
    /// The matrix with this first column.
    fn new(column: [F; W]) -> Self;

    /// Constants in the form in which [`multiply`](Self::multiply) adds them.
    fn addend(constants: [F; W]) -> [f64; W];

    /// Multiplies a state of elements of at most about `p / 2`, and adds constants; elements are then at most 2^39.
    fn multiply(&self, addend: &[f64; W], state: &mut [Doubles; W], scratch: &mut Scratch<W>);

    /// The product of entry `[0][0]` with an element of at most `6 p`; not more than 2^39.
    fn times_corner(&self, element: Doubles) -> Doubles;
}

/// Room for a folded polynomial, and for the high parts of sums.
pub(in crate::poseidon) struct Scratch<const W: usize> {
    folded: [Doubles; W],
    pub(super) high: [Doubles; W],
}

impl<const W: usize> Scratch<W> {
    pub(super) fn new() -> Self {
        Self {
            folded: [Doubles::ZERO; W],
            high: [Doubles::ZERO; W],
        }
    }
}

/// A matrix whose rows have entries that add up to less than 2^9: no sum needs a reduction.
#[derive(Clone, Debug)]
pub(in crate::poseidon) struct Small<const W: usize> {
    factors: Factors,
    corner: f64,
}

impl<const W: usize> Circulant<W> for Small<W> {
    fn new(column: [F; W]) -> Self {
        Self {
            factors: Factors::new(Self::addend(column)),
            corner: centered(column[0]).into(),
        }
    }

    fn addend(constants: [F; W]) -> [f64; W] {
        // Halves of doubles are exact.
        folded(constants.map(|c| f64::from(c.as_canonical_u32())), |sum| sum / 2.0)
    }

    #[inline(always)]
    fn multiply(&self, addend: &[f64; W], state: &mut [Doubles; W], scratch: &mut Scratch<W>) {
        fold(state, &mut scratch.folded);
        self.factors.product(&scratch.folded, addend, state);
        unfold(state);
    }

    #[inline(always)]
    fn times_corner(&self, element: Doubles) -> Doubles {
        let mut product = Doubles::ZERO;
        product.add_product(self.corner, element);
        product
    }
}

/// A matrix with entries of any size.
#[derive(Clone, Debug)]
pub(in crate::poseidon) struct Large<const W: usize> {
    high: Factors,
    low: Factors,
    /// Entry `[0][0]` in two parts.
    corner: [f64; 2],
}

impl<const W: usize> Large<W> {
    /// Multiplies and adds constants, and gives the two parts of the sums, not reduced: the low one, and the high one in
    /// the scratch room.
    #[inline(always)]
    pub(super) fn multiply_in_parts(
        &self,
        addend: &[f64; W],
        state: &[Doubles; W],
        low: &mut [Doubles; W],
        scratch: &mut Scratch<W>,
    ) {
        fold(state, &mut scratch.folded);
        self.low.product(&scratch.folded, addend, low);
        unfold(low);
        self.high.product(&scratch.folded, &[0.0; W], &mut scratch.high);
        unfold(&mut scratch.high);
    }
}

impl<const W: usize> Circulant<W> for Large<W> {
    fn new(column: [F; W]) -> Self {
        let parts = folded(column, |sum| sum.halve()).map(split);
        Self {
            high: Factors::new(parts.map(|[high, _]| high)),
            low: Factors::new(parts.map(|[_, low]| low)),
            corner: split(column[0]),
        }
    }

    fn addend(constants: [F; W]) -> [f64; W] {
        folded(constants, |sum| sum.halve()).map(|constant| centered(constant).into())
    }

    #[inline(always)]
    fn multiply(&self, addend: &[f64; W], state: &mut [Doubles; W], scratch: &mut Scratch<W>) {
        fold(state, &mut scratch.folded);
        self.low.product(&scratch.folded, addend, state);
        unfold(state);
        self.high.product(&scratch.folded, &[0.0; W], &mut scratch.high);
        unfold(&mut scratch.high);
        for (low, &high) in state.iter_mut().zip(&scratch.high) {
            *low = low.plus_reduced(high);
        }
    }

    #[inline(always)]
    fn times_corner(&self, element: Doubles) -> Doubles {
        element.times(self.corner)
    }
}

/// The constant side of a product, factor by factor.
///
/// For a factor of degree m there are `2m - 1` constants: in the product with the coefficient of `x^j`, those of
/// `x^0` to `x^(m-1)` are `m` neighbouring ones from `m - 1 - j` on.
#[derive(Clone, Debug)]
struct Factors([f64; CONSTANTS]);

/// Constants of all factors, for at most 24 columns.
const CONSTANTS: usize = 44;

impl Factors {
    fn new<const W: usize>(folded: [f64; W]) -> Self {
        let mut constants = [0.0; CONSTANTS];
        let mut place = constants.iter_mut();
        let mut factor = |coefficients: &[f64], wrapped: f64| {
            let around = coefficients[1..].iter().map(|c| wrapped * c);
            // The constants first: a zip takes one item too many from its left side.
            for (value, place) in around.chain(coefficients.iter().copied()).zip(&mut place) {
                *place = value;
            }
        };
        let odd = odd_part(W);
        factor(&folded[..odd], 1.0);
        let mut length = odd;
        while length < W {
            factor(&folded[length..2 * length], -1.0);
            length *= 2;
        }
        Self(constants)
    }

    /// The product with a folded polynomial, and constants that are added to it.
    #[inline(always)]
    fn product<const W: usize>(&self, values: &[Doubles; W], addend: &[f64; W], product: &mut [Doubles; W]) {
        let mut rest = &self.0[..];
        if W == 16 {
            rest = multiply_factor::<1>(rest, &addend[..], &values[..], &mut product[..]);
            rest = multiply_factor::<1>(rest, &addend[1..], &values[1..], &mut product[1..]);
            rest = multiply_factor::<2>(rest, &addend[2..], &values[2..], &mut product[2..]);
            rest = multiply_factor::<4>(rest, &addend[4..], &values[4..], &mut product[4..]);
            multiply_factor::<8>(rest, &addend[8..], &values[8..], &mut product[8..]);
        } else {
            rest = multiply_factor::<3>(rest, &addend[..], &values[..], &mut product[..]);
            rest = multiply_factor::<3>(rest, &addend[3..], &values[3..], &mut product[3..]);
            rest = multiply_factor::<6>(rest, &addend[6..], &values[6..], &mut product[6..]);
            multiply_factor::<12>(rest, &addend[12..], &values[12..], &mut product[12..]);
        }
    }
}

/// The product mod one factor of degree `M`. Gives the constants of the next factor.
#[inline(always)]
fn multiply_factor<'a, const M: usize>(
    constants: &'a [f64],
    addend: &[f64],
    values: &[Doubles],
    product: &mut [Doubles],
) -> &'a [f64] {
    let (constants, rest) = constants.split_at(2 * M - 1);
    let mut sums = [Doubles::ZERO; M];
    for i in 0..M {
        sums[i] = Doubles::splat(addend[i]);
    }
    // In this order no addition waits for the one before it.
    for (j, &value) in values[..M].iter().enumerate() {
        let window = &constants[M - 1 - j..];
        for i in 0..M {
            sums[i].add_product(window[i], value);
        }
    }
    product[..M].copy_from_slice(&sums);
    rest
}

/// Reduces a polynomial by all factors, and applies `scale` at each folding.
fn folded<T, const W: usize>(mut values: [T; W], scale: impl Fn(T) -> T) -> [T; W]
where
    T: Copy + Add<Output = T> + Sub<Output = T>,
{
    let mut length = W;
    while length.is_multiple_of(2) {
        length /= 2;
        for i in 0..length {
            let (lower, upper) = (values[i], values[i + length]);
            values[i] = scale(lower + upper);
            values[i + length] = scale(lower - upper);
        }
    }
    values
}

/// [`folded`], for vectors.
#[inline(always)]
fn fold<const W: usize>(values: &[Doubles; W], folded: &mut [Doubles; W]) {
    for i in 0..W / 2 {
        folded[i] = values[i] + values[i + W / 2];
        folded[i + W / 2] = values[i] - values[i + W / 2];
    }
    if W == 16 {
        butterflies::<4>(folded);
        butterflies::<2>(folded);
        butterflies::<1>(folded);
    } else {
        butterflies::<6>(folded);
        butterflies::<3>(folded);
    }
}

/// The polynomial with these residues, in place.
#[inline(always)]
fn unfold<const W: usize>(values: &mut [Doubles; W]) {
    if W == 16 {
        butterflies::<1>(values);
        butterflies::<2>(values);
        butterflies::<4>(values);
        butterflies::<8>(values);
    } else {
        butterflies::<3>(values);
        butterflies::<6>(values);
        butterflies::<12>(values);
    }
}

/// Sums and differences of the first `M` values and the `M` after them.
#[inline(always)]
fn butterflies<const M: usize>(values: &mut [Doubles]) {
    for i in 0..M {
        let (a, b) = (values[i], values[i + M]);
        values[i] = a + b;
        values[i + M] = a - b;
    }
}

const fn odd_part(number: usize) -> usize {
    number >> number.trailing_zeros()
}
