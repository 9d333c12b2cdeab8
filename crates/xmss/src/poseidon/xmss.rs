//! The kernel of generalized XMSS (eprint 2025/055) for one layout and one digest length.

use super::chain::ChainStep;
use super::encoding::CodewordEncoder;
use super::field::{F, LANES, read_elements};
use super::lanes::broadcast;
use super::layout::{Layout, SPONGE_CAPACITY};
use super::sponge::capacity;
use super::{PARAMETER_ELEMENTS, Poseidon, tweak};
use crate::arena::{Arena, ArenaOverflow};
use crate::hash::{Codeword, Kernel, PrfKey, Revealed};
use crate::scheme::{MESSAGE_BYTES, Parameter, Scheme};
use crate::units::{Epoch, Level, NodeIndex};

pub(super) struct Xmss<L: Layout, const N: usize> {
    pub(super) scheme: &'static Scheme,
    pub(super) encoder: CodewordEncoder,
    pub(super) width_16: &'static L::Width16,
    pub(super) width_24: &'static L::Width24,
    pub(super) parameter: [F; PARAMETER_ELEMENTS],
    pub(super) parameter_lanes: [L::Lanes; PARAMETER_ELEMENTS],
    pub(super) capacity: [F; SPONGE_CAPACITY],
}

impl<L: Layout, const N: usize> Xmss<L, N> {
    pub(super) fn new(family: &Poseidon, scheme: &'static Scheme, parameter: &Parameter) -> Self {
        let parameter = read_elements(parameter);
        Self {
            scheme,
            encoder: CodewordEncoder::new(family, scheme),
            width_16: L::width_16(),
            width_24: L::width_24(),
            capacity: capacity::<L>(family, scheme),
            parameter,
            parameter_lanes: broadcast(parameter),
        }
    }

    pub(super) fn chain_step(&self) -> ChainStep<'_, L, N> {
        ChainStep::new(self.width_16, &self.parameter_lanes)
    }
}

pub(super) fn leaf_tweak(epoch: Epoch) -> u64 {
    tweak::tree_node(Level(0), NodeIndex(epoch.0.into()))
}

impl<L: Layout, const N: usize> Kernel for Xmss<L, N> {
    fn lanes(&self) -> usize {
        LANES
    }

    fn leaves(&self, prf_key: &PrfKey, first: Epoch, leaves: &mut [u8], arena: &Arena) -> Result<(), ArenaOverflow> {
        // Lanes past the end of the lifetime wrap around.
        self.leaves_of(prf_key, leaves, arena, |leaf| Epoch(first.0.wrapping_add(leaf as u32)))
    }

    fn leaves_at(
        &self,
        prf_key: &PrfKey,
        epochs: &[Epoch],
        leaves: &mut [u8],
        arena: &Arena,
    ) -> Result<(), ArenaOverflow> {
        let spare = epochs.last().copied().unwrap_or(Epoch(0));
        self.leaves_of(prf_key, leaves, arena, |leaf| {
            epochs.get(leaf).copied().unwrap_or(spare)
        })
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
