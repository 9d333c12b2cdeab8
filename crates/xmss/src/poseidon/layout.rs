//! The two families of input orders: which permutation, and where parameter, tweak and value stand in its state.

use std::sync::LazyLock;

use p3_koala_bear::Poseidon2KoalaBear;
use p3_symmetric::Permutation;

use super::field::Packed;
use super::lanes::Lanes;
use super::poseidon1;
use super::poseidon2_classic::{poseidon2_16, poseidon2_24};
use super::serial::{SerialPermutation, SerialPoseidon1, SerialPoseidon2};
use crate::poseidon::PARAMETER_ELEMENTS;

/// Rate of the leaf sponge; the other nine elements of the state are its capacity.
pub(super) const SPONGE_RATE: usize = 15;
/// Elements of the leaf sponge's capacity.
pub(super) const SPONGE_CAPACITY: usize = 24 - SPONGE_RATE;
/// Elements of a message, its low-first base-p digits.
pub(super) const MESSAGE_ELEMENTS: usize = 9;
/// Elements of a tweak.
pub(super) const TWEAK_ELEMENTS: usize = 2;

/// Positions within the state of a width-16 chain step.
pub(super) struct ChainPositions {
    pub(super) parameter: usize,
    pub(super) tweak: usize,
    pub(super) value: usize,
}

/// Positions within the state of the width-24 message hash.
pub(super) struct MessagePositions {
    pub(super) rho: usize,
    pub(super) parameter: usize,
    pub(super) tweak: usize,
    pub(super) message: usize,
}

/// A permutation with its input orders (docs/SCHEMES.md, "Permutation modes").
pub(super) trait Layout: Send + Sync + 'static {
    /// What the permutations compute with in lanes.
    type Lanes: Lanes;
    /// Permutation of width 16, in lanes.
    type Width16: Permutation<[Self::Lanes; 16]> + Send + Sync;
    /// Permutation of width 24, in lanes.
    type Width24: Permutation<[Self::Lanes; 24]> + Send + Sync;
    /// Permutation of width 24 of one state, where lanes cannot be filled.
    type Serial: SerialPermutation;

    /// First element of the sponge's rate within its state.
    const RATE_START: usize;
    /// First element of the sponge's capacity within its state.
    const CAPACITY_START: usize;
    /// Whether absorbing replaces the rate (and clears what a short last block leaves) instead of adding to it.
    const OVERWRITES_RATE: bool;

    // There is one of each for all keys, since constants take milliseconds to derive.
    fn width_16() -> &'static Self::Width16;
    fn width_24() -> &'static Self::Width24;
    fn serial() -> &'static Self::Serial;
    fn chain_positions(digest_elements: usize) -> ChainPositions;
    fn message_positions(rho_elements: usize) -> MessagePositions;
}

/// Poseidon2, input order of hash-sig and of leanSig up to devnet 3.
pub(super) struct Poseidon2Classic;

impl Layout for Poseidon2Classic {
    type Lanes = Packed;
    type Width16 = Poseidon2KoalaBear<16>;
    type Width24 = Poseidon2KoalaBear<24>;
    type Serial = SerialPoseidon2;

    const RATE_START: usize = 0;
    const CAPACITY_START: usize = SPONGE_RATE;
    const OVERWRITES_RATE: bool = false;

    fn width_16() -> &'static Self::Width16 {
        static PERMUTATION: LazyLock<Poseidon2KoalaBear<16>> = LazyLock::new(poseidon2_16);
        &PERMUTATION
    }

    fn width_24() -> &'static Self::Width24 {
        static PERMUTATION: LazyLock<Poseidon2KoalaBear<24>> = LazyLock::new(poseidon2_24);
        &PERMUTATION
    }

    fn serial() -> &'static Self::Serial {
        static PERMUTATION: LazyLock<SerialPoseidon2> = LazyLock::new(SerialPoseidon2::poseidon2_classic);
        &PERMUTATION
    }

    fn chain_positions(_digest_elements: usize) -> ChainPositions {
        ChainPositions {
            parameter: 0,
            tweak: PARAMETER_ELEMENTS,
            value: PARAMETER_ELEMENTS + TWEAK_ELEMENTS,
        }
    }

    fn message_positions(rho_elements: usize) -> MessagePositions {
        let tweak = rho_elements + PARAMETER_ELEMENTS;
        MessagePositions {
            rho: 0,
            parameter: rho_elements,
            tweak,
            message: tweak + TWEAK_ELEMENTS,
        }
    }
}

/// Poseidon1, input order of leanSig devnet 4 and leanSpec.
pub(super) struct Poseidon1Devnet4;

impl Layout for Poseidon1Devnet4 {
    type Lanes = poseidon1::Lanes;
    type Width16 = poseidon1::Width16;
    type Width24 = poseidon1::Width24;
    type Serial = SerialPoseidon1;

    const RATE_START: usize = SPONGE_CAPACITY;
    const CAPACITY_START: usize = 0;
    const OVERWRITES_RATE: bool = true;

    fn width_16() -> &'static Self::Width16 {
        static PERMUTATION: LazyLock<poseidon1::Width16> = LazyLock::new(poseidon1::width_16);
        &PERMUTATION
    }

    fn width_24() -> &'static Self::Width24 {
        static PERMUTATION: LazyLock<poseidon1::Width24> = LazyLock::new(poseidon1::width_24);
        &PERMUTATION
    }

    fn serial() -> &'static Self::Serial {
        static PERMUTATION: LazyLock<SerialPoseidon1> = LazyLock::new(SerialPoseidon1::poseidon1);
        &PERMUTATION
    }

    fn chain_positions(digest_elements: usize) -> ChainPositions {
        ChainPositions {
            parameter: digest_elements,
            tweak: digest_elements + PARAMETER_ELEMENTS,
            value: 0,
        }
    }

    fn message_positions(_rho_elements: usize) -> MessagePositions {
        let tweak = MESSAGE_ELEMENTS + PARAMETER_ELEMENTS;
        MessagePositions {
            rho: tweak + TWEAK_ELEMENTS,
            parameter: MESSAGE_ELEMENTS,
            tweak,
            message: 0,
        }
    }
}
