//! The compression of BLAKE2s (RFC 7693), one hash a lane.
//!
//! Everything is inlined into whatever hashes, so that message words that are constant zeros cost nothing there, and words of
//! the result that are not used are not computed.

use super::lanes::{Lanes, splat};

/// The initial state (RFC 7693, 2.6).
const IV: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Which message words enter which G (RFC 7693, 2.7).
#[rustfmt::skip]
const SIGMA: [[usize; 16]; 10] = [
    [ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15],
    [14, 10,  4,  8,  9, 15, 13,  6,  1, 12,  0,  2, 11,  7,  5,  3],
    [11,  8, 12,  0,  5,  2, 15, 13, 10, 14,  3,  6,  7,  1,  9,  4],
    [ 7,  9,  3,  1, 13, 12, 11, 14,  2,  6,  5, 10,  4,  0, 15,  8],
    [ 9,  0,  5,  7,  2,  4, 10, 15, 14,  1, 11, 12,  6,  8,  3, 13],
    [ 2, 12,  6, 10,  0, 11,  8,  3,  4, 13,  7,  5, 15, 14,  1,  9],
    [12,  5,  1, 15, 14, 13,  4, 10,  0,  7,  6,  3,  9,  2,  8, 11],
    [13, 11,  7, 14, 12,  1,  3,  9,  5,  0, 15,  4,  8,  6,  2, 10],
    [ 6, 15, 14,  9, 11,  3,  0,  8, 12,  2, 13,  7,  1,  4, 10,  5],
    [10,  2,  8,  4,  7,  6,  1,  5, 15, 11,  9, 14,  3, 12, 13,  0],
];

/// The chaining value.
pub(super) type Chaining<V> = [V; 8];

/// What a hash begins with: digests of 32 bytes, keys of this many bytes or none (RFC 7693, 2.5).
pub(super) const fn initial(key_bytes: u32) -> [u32; 8] {
    let mut state = IV;
    state[0] ^= 0x0101_0020 ^ (key_bytes << 8);
    state
}

/// Where in its input a block stands.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Bytes that are hashed up to the end of the block.
    pub(super) bytes: u32,
    /// Whether it is the last one.
    pub(super) is_last: bool,
}

impl Place {
    /// Of the last block.
    pub(super) const fn last(bytes: u32) -> Self {
        Self { bytes, is_last: true }
    }

    /// Of a block that others follow.
    pub(super) const fn inner(bytes: u32) -> Self {
        Self { bytes, is_last: false }
    }

    /// The words 12 to 15 of the working state.
    #[inline(always)]
    fn words(self) -> [u32; 4] {
        let flag = if self.is_last { u32::MAX } else { 0 };
        [IV[4] ^ self.bytes, IV[5], IV[6] ^ flag, IV[7]]
    }
}

#[inline(always)]
fn mix<V: Lanes>([mut a, mut b, mut c, mut d]: [V; 4], x: V, y: V) -> [V; 4] {
    a = a + x + b;
    d = (d ^ a).rotated_right::<16>();
    c = c + d;
    b = (b ^ c).rotated_right::<12>();
    a = a + y + b;
    d = (d ^ a).rotated_right::<8>();
    c = c + d;
    b = (b ^ c).rotated_right::<7>();
    [a, b, c, d]
}

/// A column of the working state after the first half of the first round, in which column i depends on the message words 2i
/// and 2i + 1 alone. Those of words that do not change from hash to hash are computed once.
pub(super) type Column<V> = [V; 4];

/// Column `i`.
#[inline(always)]
pub(super) fn column<V: Lanes>(i: usize, state: &Chaining<V>, place: Place, words: [V; 2]) -> Column<V> {
    let begun = [state[i], state[4 + i], V::splat(IV[i]), V::splat(place.words()[i])];
    mix(begun, words[0], words[1])
}

/// Compresses a block.
#[inline(always)]
pub(super) fn compress<V: Lanes>(state: &Chaining<V>, message: &[V; 16], place: Place) -> Chaining<V> {
    let columns = std::array::from_fn(|i| column(i, state, place, [message[2 * i], message[2 * i + 1]]));
    compress_columns(state, columns, message)
}

/// Compresses a block of which the columns are computed.
#[inline(always)]
pub(super) fn compress_columns<V: Lanes>(
    state: &Chaining<V>,
    columns: [Column<V>; 4],
    message: &[V; 16],
) -> Chaining<V> {
    // Word 4r + i is entry r of column i.
    let mut v: [V; 16] = std::array::from_fn(|word| columns[word % 4][word / 4]);
    diagonals::<V, 0>(&mut v, message);
    round::<V, 1>(&mut v, message);
    round::<V, 2>(&mut v, message);
    round::<V, 3>(&mut v, message);
    round::<V, 4>(&mut v, message);
    round::<V, 5>(&mut v, message);
    round::<V, 6>(&mut v, message);
    round::<V, 7>(&mut v, message);
    round::<V, 8>(&mut v, message);
    round::<V, 9>(&mut v, message);
    std::array::from_fn(|word| state[word] ^ v[word] ^ v[8 + word])
}

#[inline(always)]
fn round<V: Lanes, const R: usize>(v: &mut [V; 16], message: &[V; 16]) {
    quarter::<V, R>(v, message, 0, [0, 4, 8, 12]);
    quarter::<V, R>(v, message, 1, [1, 5, 9, 13]);
    quarter::<V, R>(v, message, 2, [2, 6, 10, 14]);
    quarter::<V, R>(v, message, 3, [3, 7, 11, 15]);
    diagonals::<V, R>(v, message);
}

#[inline(always)]
fn diagonals<V: Lanes, const R: usize>(v: &mut [V; 16], message: &[V; 16]) {
    quarter::<V, R>(v, message, 4, [0, 5, 10, 15]);
    quarter::<V, R>(v, message, 5, [1, 6, 11, 12]);
    quarter::<V, R>(v, message, 6, [2, 7, 8, 13]);
    quarter::<V, R>(v, message, 7, [3, 4, 9, 14]);
}

#[inline(always)]
fn quarter<V: Lanes, const R: usize>(v: &mut [V; 16], message: &[V; 16], g: usize, at: [usize; 4]) {
    let (x, y) = (message[SIGMA[R][2 * g]], message[SIGMA[R][2 * g + 1]]);
    [v[at[0]], v[at[1]], v[at[2]], v[at[3]]] = mix(at.map(|word| v[word]), x, y);
}

/// What an unkeyed hash begins with, in all lanes.
#[inline(always)]
pub(super) fn unkeyed<V: Lanes>() -> Chaining<V> {
    splat(const { initial(0) })
}

/// A hash of many blocks that takes its input four words at a time.
pub(super) struct Stream<V> {
    state: Chaining<V>,
    block: [V; 16],
    filled: usize,
    bytes: u32,
}

impl<V: Lanes> Stream<V> {
    pub(super) fn new() -> Self {
        Self {
            state: unkeyed(),
            block: [V::splat(0); 16],
            filled: 0,
            bytes: 0,
        }
    }

    #[inline(always)]
    pub(super) fn absorb(&mut self, words: &[V; 4]) {
        if self.filled == 16 {
            self.compress(false);
        }
        self.block[self.filled..self.filled + 4].copy_from_slice(words);
        self.filled += 4;
        self.bytes += 16;
    }

    /// The first half of the digest.
    pub(super) fn finish(mut self) -> [V; 4] {
        self.block[self.filled..].fill(V::splat(0));
        self.compress(true);
        let [a, b, c, d, ..] = self.state;
        [a, b, c, d]
    }

    #[inline(never)]
    fn compress(&mut self, is_last: bool) {
        let place = Place {
            bytes: self.bytes,
            is_last,
        };
        self.state = compress(&self.state, &self.block, place);
        self.filled = 0;
    }
}
