//! The kernel of a row, for one derivation and one width of lanes.

use std::marker::PhantomData;

use super::Types;
use super::derivation::{Derivation, Digest};
use super::lanes::{Lanes, read_words, splat};
use super::tweak::Indexed;
use crate::arena::{Arena, ArenaOverflow};
use crate::hash::{Codeword, Kernel, PrfKey, Revealed};
use crate::scheme::{MESSAGE_BYTES, Parameter, Scheme};
use crate::units::{Epoch, Level, NodeIndex};

/// Bytes of a digest and of a parameter.
pub(super) const DIGEST_BYTES: usize = 16;

pub(super) struct Xmss<V, D> {
    pub(super) scheme: &'static Scheme,
    pub(super) types: Types,
    pub(super) derivation: D,
    pub(super) target_sum: u32,
    pub(super) parameter: Digest<u32>,
    lanes: PhantomData<V>,
}

impl<V: Lanes, D: Derivation> Xmss<V, D> {
    /// The leaves of a block; all else is in registers and on the stack.
    pub(super) const SCRATCH_BYTES: usize = V::WIDTH * DIGEST_BYTES;

    pub(super) fn new(
        scheme: &'static Scheme,
        types: Types,
        derivation: D,
        target_sum: u32,
        parameter: &Parameter,
    ) -> Self {
        Self {
            scheme,
            types,
            derivation,
            target_sum,
            parameter: read_words(parameter),
            lanes: PhantomData,
        }
    }

    /// The last position of a chain.
    pub(super) fn last_position(&self) -> u32 {
        self.scheme.chain_length() - 1
    }

    /// The place of the step out of position 0 of a chain; those that follow are at the next places.
    pub(super) fn first_place(&self, chain: usize) -> u32 {
        chain as u32 * self.scheme.chain_length()
    }

    /// The hashes of these epochs, or of the nodes of these indices, under the kernel's parameter.
    #[inline(always)]
    pub(super) fn hashes(&self, index: V) -> Indexed<V> {
        Indexed::new::<D::Tweak>(&splat(self.parameter), index)
    }
}

impl<V: Lanes, D: Derivation> Kernel for Xmss<V, D> {
    fn lanes(&self) -> usize {
        V::WIDTH
    }

    fn leaves(&self, prf_key: &PrfKey, first: Epoch, leaves: &mut [u8], _: &Arena) -> Result<(), ArenaOverflow> {
        // Lanes past the end of the lifetime wrap around.
        self.leaves_of(prf_key, leaves, |leaf| Epoch(first.0.wrapping_add(leaf as u32)));
        Ok(())
    }

    fn leaves_at(&self, prf_key: &PrfKey, epochs: &[Epoch], leaves: &mut [u8], _: &Arena) -> Result<(), ArenaOverflow> {
        let spare = epochs.last().copied().unwrap_or(Epoch(0));
        self.leaves_of(prf_key, leaves, |leaf| epochs.get(leaf).copied().unwrap_or(spare));
        Ok(())
    }

    fn parents(&self, level: Level, first: NodeIndex, children: &[u8], parents: &mut [u8]) {
        self.parents_of(level, first, children, parents);
    }

    fn find_codeword(&self, prf_key: &PrfKey, epoch: Epoch, message: &[u8; MESSAGE_BYTES]) -> Option<Codeword> {
        self.first_accepted(prf_key, epoch, message)
    }

    fn codeword_of(&self, epoch: Epoch, message: &[u8; MESSAGE_BYTES], rho: &[u8]) -> Option<Vec<u16>> {
        self.accepted(epoch, message, rho)
    }

    fn reveal(&self, prf_key: &PrfKey, epoch: Epoch, positions: &[u16], values: &mut [u8]) {
        self.revealed(prf_key, epoch, positions, values);
    }

    fn leaf_of_revealed(&self, epoch: Epoch, positions: &[u16], values: &[u8], leaf: &mut [u8]) {
        self.leaf_above(epoch, positions, values, leaf);
    }

    fn fold_path(&self, epoch: Epoch, siblings: &[u8], node: &mut [u8]) {
        self.root_above(epoch, siblings, node);
    }

    fn roots_of_revealed(&self, revealed: &[Revealed<'_>]) -> Vec<Option<Vec<u8>>> {
        self.roots_of(revealed)
    }
}
