//! From message hashes to codewords: two words of 63 bits, three bits a position.

use super::compress::{Chaining, Place, compress};
use super::derivation::{Digest, Rho, Words};
use super::lanes::{Lanes, by_lane};
use super::tweak::{Indexed, Tweak};

/// Positions of one of the two words.
const DIGITS: usize = 21;
/// The lowest bit of each digit.
const LOWEST_BITS: u64 = 0o111_111_111_111_111_111_111;
const UNUSED_BIT: u64 = 1 << 63;

/// The state behind the first block of message hashes: all but rho.
#[inline(always)]
pub(super) fn begun<V: Lanes, T: Tweak>(kind: u8, parameter: &Digest<V>, epoch: V, message: &[V; 8]) -> Chaining<V> {
    Indexed::longer::<T>(parameter, epoch).block::<T>(kind, V::splat(0), message, Place::inner(64))
}

/// The message hashes of a rho each.
#[inline(always)]
pub(super) fn finished<V: Lanes>(begun: &Chaining<V>, rho: &Rho<V>) -> Digest<V> {
    let mut block = [V::splat(0); 16];
    block[..6].copy_from_slice(rho);
    super::tweak::first_half(compress(begun, &block, Place::last(96)))
}

/// One message hash.
pub(super) fn message_hash<T: Tweak>(
    kind: u8,
    parameter: &Digest<u32>,
    epoch: u32,
    message: &Words,
    rho: &Rho<u32>,
) -> Digest<u32> {
    finished(&begun::<u32, T>(kind, parameter, epoch, message), rho)
}

/// The first lane whose hash is a codeword.
#[inline(always)]
pub(super) fn first_accepted<V: Lanes>(hashes: &Digest<V>, target_sum: u32) -> Option<usize> {
    let lanes = by_lane(hashes);
    lanes[..V::WIDTH].iter().position(|hash| is_accepted(hash, target_sum))
}

fn halves([a, b, c, d]: &Digest<u32>) -> [u64; 2] {
    [(a, b), (c, d)].map(|(low, high)| u64::from(*high) << 32 | u64::from(*low))
}

/// Whether a hash is a codeword.
#[inline(always)]
pub(super) fn is_accepted(hash: &Digest<u32>, target_sum: u32) -> bool {
    let [low, high] = halves(hash);
    if (low | high) & UNUSED_BIT != 0 {
        return false;
    }
    let ones = |bit: u32| ((low >> bit) & LOWEST_BITS).count_ones() + ((high >> bit) & LOWEST_BITS).count_ones();
    ones(0) + 2 * ones(1) + 4 * ones(2) == target_sum
}

/// The positions that an accepted hash stands for.
pub(super) fn positions(hash: &Digest<u32>) -> impl Iterator<Item = u16> {
    halves(hash)
        .into_iter()
        .flat_map(|word| (0..DIGITS).map(move |digit| ((word >> (3 * digit)) & 7) as u16))
}
