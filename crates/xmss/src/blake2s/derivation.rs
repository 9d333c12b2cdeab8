//! How parameter, chain starts, fillers and rho follow from a seed.

use super::compress::{Chaining, Place, compress, initial};
use super::lanes::{Lanes, read_words, splat};
use super::tweak::{Aligned, Dense, Indexed, Tweak, first_half};
use crate::scheme::MESSAGE_BYTES;

/// Words of a seed or a message.
pub(super) type Words = [u32; 8];
/// Words of a digest or a parameter.
pub(super) type Digest<V> = [V; 4];
/// Words of rho.
pub(super) type Rho<V> = [V; 6];

/// A way to derive everything secret from a seed, with the tweaks that go with it.
pub(super) trait Derivation: Copy + Send + Sync + 'static {
    /// Where in a tweak its parts stand.
    type Tweak: Tweak;

    /// What chain starts are derived with, an epoch a lane.
    type Starts<V: Lanes>;

    /// What the randomness of attempts is derived with.
    type Attempts<V: Lanes>;

    /// The public parameter.
    fn parameter(self, seed: &Words) -> Digest<u32>;

    /// The filler in the place of a node.
    fn filler(self, seed: &Words, parameter: &Digest<u32>, level: u32, index: u32) -> Digest<u32>;

    /// For the chains of these epochs.
    fn starts<V: Lanes>(self, seed: &Words, epoch: V) -> Self::Starts<V>;

    /// The start of a chain. `hashes` are those of the same epochs.
    fn start<V: Lanes>(self, starts: &Self::Starts<V>, hashes: &Indexed<V>, chain: V) -> Digest<V>;

    /// For the attempts to sign a message.
    fn attempts<V: Lanes>(
        self,
        seed: &Words,
        parameter: &Digest<u32>,
        epoch: u32,
        message: &[u8; MESSAGE_BYTES],
    ) -> Self::Attempts<V>;

    /// The randomness of an attempt.
    fn rho<V: Lanes>(self, attempts: &Self::Attempts<V>, attempt: V) -> Rho<V>;
}

/// By hashes like all others, each use with a type of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Typed {
    pub(super) start: u8,
    pub(super) parameter: u8,
    pub(super) filler: u8,
    pub(super) rho: u8,
}

/// What the rho of an attempt is hashed from, but for the attempt.
pub(super) struct TypedAttempts<V> {
    hashes: Indexed<V>,
    seed: [V; 8],
    message: [V; 8],
}

impl Derivation for Typed {
    type Tweak = Aligned;
    type Starts<V: Lanes> = [V; 8];
    type Attempts<V: Lanes> = TypedAttempts<V>;

    fn parameter(self, seed: &Words) -> Digest<u32> {
        Indexed::new::<Aligned>(&[0; 4], 0).of_block::<Aligned>(self.parameter, 0, seed)
    }

    fn filler(self, seed: &Words, parameter: &Digest<u32>, level: u32, index: u32) -> Digest<u32> {
        Indexed::new::<Aligned>(parameter, index).of_block::<Aligned>(self.filler, level, seed)
    }

    #[inline(always)]
    fn starts<V: Lanes>(self, seed: &Words, _: V) -> [V; 8] {
        splat(*seed)
    }

    #[inline(always)]
    fn start<V: Lanes>(self, seed: &[V; 8], hashes: &Indexed<V>, chain: V) -> Digest<V> {
        hashes.of_block::<Aligned>(self.start, chain, seed)
    }

    fn attempts<V: Lanes>(
        self,
        seed: &Words,
        parameter: &Digest<u32>,
        epoch: u32,
        message: &[u8; MESSAGE_BYTES],
    ) -> TypedAttempts<V> {
        TypedAttempts {
            hashes: Indexed::longer::<Aligned>(&splat(*parameter), V::splat(epoch)),
            seed: splat(*seed),
            message: splat(read_words(message)),
        }
    }

    #[inline(always)]
    fn rho<V: Lanes>(self, attempts: &TypedAttempts<V>, attempt: V) -> Rho<V> {
        let state = attempts
            .hashes
            .block::<Aligned>(self.rho, attempt, &attempts.seed, Place::inner(64));
        let mut block = [V::splat(0); 16];
        block[..8].copy_from_slice(&attempts.message);
        first_six(compress(&state, &block, Place::last(96)))
    }
}

/// By BLAKE2s that is keyed with the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keyed;

/// What the keyed hash is told that it is used for.
const CHAIN_START: u32 = 1000;
const PARAMETER: u32 = 1001;
const FILLER: u32 = 1002;
/// keymill's own: leanVM-b draws rho at random. The other uses hash 20 bytes and this one 52, so that no input of one is an
/// input of another.
const RHO: u32 = 2000;

/// The block of the key stands before the input.
const KEY_BLOCK_BYTES: u32 = 64;

/// The state behind the block of the key.
fn keyed(seed: &Words) -> Chaining<u32> {
    let mut block = [0; 16];
    block[..8].copy_from_slice(seed);
    compress(&const { initial(32) }, &block, Place::inner(KEY_BLOCK_BYTES))
}

/// The keyed hash of a use and two numbers.
#[inline(always)]
fn keyed_hash<V: Lanes>(state: &Chaining<V>, domain: u32, numbers: [V; 2]) -> Digest<V> {
    let mut block = [V::splat(0); 16];
    block[0] = V::splat(domain);
    [block[1], block[3]] = numbers;
    first_half(compress(state, &block, Place::last(KEY_BLOCK_BYTES + 20)))
}

/// The state behind the key, and an epoch a lane.
pub(super) struct KeyedStarts<V> {
    state: Chaining<V>,
    epoch: V,
}

/// The state behind the key, and what the rho of an attempt is hashed from, but for the attempt.
pub(super) struct KeyedAttempts<V> {
    state: Chaining<V>,
    epoch: V,
    message: [V; 8],
}

impl Derivation for Keyed {
    type Tweak = Dense;
    type Starts<V: Lanes> = KeyedStarts<V>;
    type Attempts<V: Lanes> = KeyedAttempts<V>;

    fn parameter(self, seed: &Words) -> Digest<u32> {
        keyed_hash(&keyed(seed), PARAMETER, [0, 0])
    }

    fn filler(self, seed: &Words, _: &Digest<u32>, level: u32, index: u32) -> Digest<u32> {
        keyed_hash(&keyed(seed), FILLER, [level, index])
    }

    #[inline(always)]
    fn starts<V: Lanes>(self, seed: &Words, epoch: V) -> KeyedStarts<V> {
        KeyedStarts {
            state: splat(keyed(seed)),
            epoch,
        }
    }

    #[inline(always)]
    fn start<V: Lanes>(self, starts: &KeyedStarts<V>, _: &Indexed<V>, chain: V) -> Digest<V> {
        keyed_hash(&starts.state, CHAIN_START, [starts.epoch, chain])
    }

    fn attempts<V: Lanes>(
        self,
        seed: &Words,
        _: &Digest<u32>,
        epoch: u32,
        message: &[u8; MESSAGE_BYTES],
    ) -> KeyedAttempts<V> {
        KeyedAttempts {
            state: splat(keyed(seed)),
            epoch: V::splat(epoch),
            message: splat(read_words(message)),
        }
    }

    #[inline(always)]
    fn rho<V: Lanes>(self, attempts: &KeyedAttempts<V>, attempt: V) -> Rho<V> {
        let mut block = [V::splat(0); 16];
        block[0] = V::splat(RHO);
        [block[1], block[3]] = [attempts.epoch, attempt];
        block[5..13].copy_from_slice(&attempts.message);
        first_six(compress(&attempts.state, &block, Place::last(KEY_BLOCK_BYTES + 52)))
    }
}

#[inline(always)]
fn first_six<V: Lanes>([a, b, c, d, e, f, ..]: Chaining<V>) -> Rho<V> {
    [a, b, c, d, e, f]
}
