//! Tweaks: what separates every hash of a key from every other, and the hashes that begin with tweak and parameter.

use super::compress::{Chaining, Column, Place, column, compress_columns, unkeyed};
use super::lanes::Lanes;

/// In which bytes of a tweak type, place and index stand.
pub(super) trait Tweak: Copy + Send + Sync + 'static {
    /// The words 0 and 1.
    fn low<V: Lanes>(kind: u8, place: V, index: V) -> [V; 2];

    /// The words 2 and 3.
    fn high<V: Lanes>(index: V) -> [V; 2];
}

/// Type in byte 1, place in the bytes 4 to 7, index in the bytes 12 to 15.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aligned;

impl Tweak for Aligned {
    #[inline(always)]
    fn low<V: Lanes>(kind: u8, place: V, _: V) -> [V; 2] {
        [V::splat(u32::from(kind) << 8), place]
    }

    #[inline(always)]
    fn high<V: Lanes>(index: V) -> [V; 2] {
        [V::splat(0), index]
    }
}

/// Type in byte 0, place in the bytes 1 to 4, index in the bytes 5 to 8.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dense;

impl Tweak for Dense {
    #[inline(always)]
    fn low<V: Lanes>(kind: u8, place: V, index: V) -> [V; 2] {
        let first = shifted_by_a_byte(place, V::splat(kind.into()));
        [first, shifted_by_a_byte(index, spilled_byte(place))]
    }

    #[inline(always)]
    fn high<V: Lanes>(index: V) -> [V; 2] {
        [spilled_byte(index), V::splat(0)]
    }
}

/// The words one byte further on, behind a first byte.
#[inline(always)]
fn shifted_by_a_byte<V: Lanes>(word: V, first: V) -> V {
    (word.rotated_right::<24>() & V::splat(0xffff_ff00)) | first
}

/// The byte that [`shifted_by_a_byte`] leaves to the next word.
#[inline(always)]
fn spilled_byte<V: Lanes>(word: V) -> V {
    word.rotated_right::<24>() & V::splat(0xff)
}

/// Hashes under one parameter and one index a lane, of which only type, place and message change: what is the same for all
/// of them is computed once.
#[derive(Clone, Copy)]
pub(super) struct Indexed<V> {
    index: V,
    parameter: [V; 4],
    /// The columns 1 to 3 of the first half round, for which type, place and message do not matter.
    columns: [Column<V>; 3],
}

impl<V: Lanes> Indexed<V> {
    /// Hashes of which the first block is the last one.
    #[inline(always)]
    pub(super) fn new<T: Tweak>(parameter: &[V; 4], index: V) -> Self {
        Self::at::<T>(parameter, index, Place::last(0))
    }

    /// Hashes of which the first block is followed by others.
    #[inline(always)]
    pub(super) fn longer<T: Tweak>(parameter: &[V; 4], index: V) -> Self {
        Self::at::<T>(parameter, index, Place::inner(0))
    }

    #[inline(always)]
    fn at<T: Tweak>(parameter: &[V; 4], index: V, place: Place) -> Self {
        let [a, b, c, d] = *parameter;
        let words = [T::high(index), [a, b], [c, d]];
        // The number of bytes enters column 0 alone.
        let columns = std::array::from_fn(|i| column(i + 1, &unkeyed(), place, words[i]));
        Self {
            index,
            parameter: *parameter,
            columns,
        }
    }

    /// The parameter of the hashes.
    pub(super) fn parameter(&self) -> &[V; 4] {
        &self.parameter
    }

    /// The tweak of a hash, in halves.
    #[inline(always)]
    pub(super) fn tweak<T: Tweak>(&self, kind: u8, place: V) -> [[V; 2]; 2] {
        [T::low(kind, place, self.index), T::high(self.index)]
    }

    /// The first block of a hash: tweak, parameter, and eight words of the message.
    #[inline(always)]
    pub(super) fn block<T: Tweak>(&self, kind: u8, place: V, message: &[V; 8], at: Place) -> Chaining<V> {
        let state = unkeyed();
        let [low, high] = self.tweak::<T>(kind, place);
        let [second, third, fourth] = self.columns;
        let columns = [column(0, &state, at, low), second, third, fourth];
        let ([p0, p1, p2, p3], m) = (self.parameter, message);
        let block = [
            low[0], low[1], high[0], high[1], p0, p1, p2, p3, m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7],
        ];
        compress_columns(&state, columns, &block)
    }

    /// The digest of a message of 16 bytes: a step of a chain.
    #[inline(always)]
    pub(super) fn of_value<T: Tweak>(&self, kind: u8, place: V, value: &[V; 4]) -> [V; 4] {
        let [a, b, c, d] = *value;
        let zero = V::splat(0);
        let message = [a, b, c, d, zero, zero, zero, zero];
        first_half(self.block::<T>(kind, place, &message, Place::last(48)))
    }

    /// The digest of a message of 32 bytes.
    #[inline(always)]
    pub(super) fn of_block<T: Tweak>(&self, kind: u8, place: V, message: &[V; 8]) -> [V; 4] {
        first_half(self.block::<T>(kind, place, message, Place::last(64)))
    }
}

/// The words of a digest of 16 bytes.
#[inline(always)]
pub(super) fn first_half<V: Lanes>([a, b, c, d, ..]: Chaining<V>) -> [V; 4] {
    [a, b, c, d]
}
