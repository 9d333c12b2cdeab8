//! Field elements as constants of a product of doubles: in two parts, each short enough for sums without reduction.

use super::arithmetic::centred;
use crate::hash::field::F;

/// A sum of 24 products of either part with field elements has less than 51 bits beside the unit.
const UNIT: f64 = (1 << 15) as f64;

/// The high parts of the constants, which are multiples of `2^15`, and the low ones, of at most `2^14`.
pub(super) fn split<const N: usize>(constants: [F; N]) -> [[f64; N]; 2] {
    let high = constants.map(|constant| (centred(constant) / UNIT).round() * UNIT);
    let low = std::array::from_fn(|i| centred(constants[i]) - high[i]);
    [high, low]
}
