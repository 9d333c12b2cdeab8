//! Compression with a permutation of width 24, and tree nodes.

use p3_symmetric::Permutation;

use super::field::Aligned;
use super::lanes::Lanes;
use super::layout::TWEAK_ELEMENTS;
use crate::poseidon::PARAMETER_ELEMENTS;

/// Permutes, adds the input again, and keeps the first `M` elements. Leaves the state as the permutation does.
#[inline(always)]
pub(super) fn compress_in_place<A, P, const W: usize, const M: usize>(
    permutation: &P,
    state: &mut Aligned<[A; W]>,
) -> [A; M]
where
    A: Lanes,
    P: Permutation<[A; W]>,
{
    let input: [A; M] = std::array::from_fn(|i| state.0[i]);
    permutation.permute_mut(&mut state.0);
    std::array::from_fn(|i| state.0[i].plus(input[i]))
}

/// [`compress_in_place`] of an input of width 24.
#[inline(always)]
pub(super) fn compress<A, P, const M: usize>(permutation: &P, input: [A; 24]) -> [A; M]
where
    A: Lanes,
    P: Permutation<[A; 24]>,
{
    compress_in_place(permutation, &mut Aligned(input))
}

/// The parent of two digests: the input order is the same in both layouts.
#[inline(always)]
pub(super) fn parent<A, P, const N: usize>(
    permutation: &P,
    parameter: &[A; PARAMETER_ELEMENTS],
    tweak: [A; TWEAK_ELEMENTS],
    left: &[A; N],
    right: &[A; N],
) -> [A; N]
where
    A: Lanes,
    P: Permutation<[A; 24]>,
{
    let mut input = [A::ZERO; 24];
    let mut rest = &mut input[..];
    for part in [&parameter[..], &tweak, left, right] {
        let (place, after) = rest.split_at_mut(part.len());
        place.copy_from_slice(part);
        rest = after;
    }
    compress(permutation, input)
}
