//! The leaves of many epochs and the nodes above them: an epoch, or a node, a lane.

use super::chain::EpochTweaks;
use super::field::{LANES, PACKS, WIDTH};
use super::lanes::{broadcast, read_lanes, tweak_lanes, write_lanes};
use super::layout::Layout;
use super::node::parent;
use super::prf::{BLANK_STATES, Input, Instances, States};
use super::serial;
use super::sponge::Sponge;
use super::xmss::{Xmss, leaf_tweak};
use crate::arena::{Arena, ArenaOverflow};
use crate::hash::PrfKey;
use crate::poseidon::tweak;
use crate::units::{Epoch, Level, NodeIndex};

impl<L: Layout, const N: usize> Xmss<L, N> {
    /// What [`leaves_of`](Self::leaves_of) takes of an arena, and the leaves of a block.
    pub(super) const SCRATCH_BYTES: usize = size_of::<States>()
        + size_of::<[Sponge<'static, L>; PACKS]>()
        + (LANES * 4 * N).next_multiple_of(align_of::<States>());

    /// Keccak and sponge states lie in the arena; what is smaller, above all a chain's value, is left to registers and
    /// stack.
    pub(super) fn leaves_of(
        &self,
        prf_key: &PrfKey,
        leaves: &mut [u8],
        arena: &Arena,
        // Of a leaf by its number, also of one past the last: lanes that are too many are thrown away.
        epoch: impl Fn(usize) -> Epoch,
    ) -> Result<(), ArenaOverflow> {
        let input = Input::chain_starts(prf_key);
        let mut instances = input.instances(arena.put(BLANK_STATES)?);
        let blank = || Sponge::new(self.width_24, broadcast(self.capacity));
        let sponges: &mut [Sponge<'_, L>; PACKS] = arena.put(std::array::from_fn(|_| blank()))?;
        for (block, out) in leaves.chunks_mut(LANES * 4 * N).enumerate() {
            let epochs = std::array::from_fn(|lane| epoch(block * LANES + lane));
            self.leaf_block(&mut instances, sponges, &epochs);
            for (sponge, out) in sponges.iter_mut().zip(out.chunks_mut(WIDTH * 4 * N)) {
                write_lanes::<_, N>(&sponge.finish(), out);
            }
        }
        Ok(())
    }

    /// Takes one block of epochs to where their leaves only have to be squeezed. Chain ends go straight into the sponge, so
    /// nothing but a chain's value and the sponge's state is held.
    fn leaf_block(
        &self,
        chain_starts: &mut Instances<'_>,
        sponges: &mut [Sponge<'_, L>; PACKS],
        epochs: &[Epoch; LANES],
    ) {
        let epoch = |lane: usize| epochs[lane];
        let step = self.chain_step();
        let tweaks: [EpochTweaks<L::Lanes>; PACKS] =
            std::array::from_fn(|pack| EpochTweaks::new(|lane| epoch(pack * WIDTH + lane)));
        for (pack, sponge) in sponges.iter_mut().enumerate() {
            *sponge = Sponge::new(self.width_24, broadcast(self.capacity));
            sponge.absorb(&self.parameter_lanes);
            sponge.absorb(&tweak_lanes(|lane| leaf_tweak(epoch(pack * WIDTH + lane))));
        }
        for chain in 0..self.scheme.chains() {
            let mut values: [[L::Lanes; N]; PACKS] = chain_starts.elements(|lane| epoch(lane).0, |_| chain as u64);
            for pack in 0..PACKS {
                let value = &mut values[pack];
                tweaks[pack].walk_whole_chain(&step, chain, self.scheme.chain_length(), value);
                sponges[pack].absorb(value);
            }
        }
    }

    pub(super) fn parents_of(&self, level: Level, first: NodeIndex, children: &[u8], parents: &mut [u8]) {
        if parents.len() == 4 * N {
            return self.parent_of(level, first, children, parents);
        }
        let pairs = children.chunks(WIDTH * 2 * 4 * N);
        for (block, (pairs, out)) in pairs.zip(parents.chunks_mut(WIDTH * 4 * N)).enumerate() {
            let block_first = first.0 + (block * WIDTH) as u64;
            let count = out.len() / (4 * N);
            let children = |side: usize| {
                read_lanes::<L::Lanes, N>(|lane| {
                    // Spare lanes repeat the last pair.
                    let child = 2 * lane.min(count - 1) + side;
                    &pairs[child * 4 * N..(child + 1) * 4 * N]
                })
            };
            let (left, right) = (children(0), children(1));
            let tweak = tweak_lanes(|lane| tweak::tree_node(level, NodeIndex(block_first + lane as u64)));
            let nodes: [L::Lanes; N] = parent(self.width_24, &self.parameter_lanes, tweak, &left, &right);
            write_lanes(&nodes, out);
        }
    }

    /// One parent alone: lanes that are all for one node would take longer.
    fn parent_of(&self, level: Level, node: NodeIndex, pair: &[u8], out: &mut [u8]) {
        let [left, right] = [&pair[..4 * N], &pair[4 * N..8 * N]].map(serial::read_elements::<N>);
        let parameter = serial::canonical(&self.parameter);
        let digest = serial::parent(L::serial(), &parameter, tweak::tree_node(level, node), [&left, &right]);
        serial::write_elements(&digest, out);
    }
}
