//! The kernel of generalized XMSS (eprint 2025/055) for one layout and one digest length.

use p3_field::PackedValue;

use super::chain::{ChainStep, EpochTweaks, walk_partly};
use super::field::{
    F, LANES, PACKS, Packed, WIDTH, broadcast, lane_of, packed_tweak, read_elements, tweak_digits, write_elements,
    write_lanes,
};
use super::kernel::{Codeword, Kernel};
use super::layout::{Layout, SPONGE_CAPACITY};
use super::message::MessageInput;
use super::node::parent;
use super::prf::{Input, PrfKey};
use super::sponge::{Sponge, capacity};
use crate::scheme::{CodewordEncoder, MESSAGE_BYTES, PARAMETER_BYTES, PARAMETER_ELEMENTS, Scheme, tweak};
use crate::units::{Epoch, Level, NodeIndex};

/// The most elements of rho in any scheme.
const RHO_ELEMENTS_MAX: usize = 7;

pub(super) struct Xmss<L: Layout, const N: usize> {
    scheme: &'static Scheme,
    encoder: CodewordEncoder,
    width_16: L::Width16,
    width_24: L::Width24,
    parameter: [F; PARAMETER_ELEMENTS],
    parameter_lanes: [Packed; PARAMETER_ELEMENTS],
    capacity: [F; SPONGE_CAPACITY],
}

impl<L: Layout, const N: usize> Xmss<L, N> {
    pub(super) fn new(scheme: &'static Scheme, parameter: &[u8; PARAMETER_BYTES]) -> Self {
        let width_24 = L::width_24();
        let parameter = read_elements(parameter);
        Self {
            scheme,
            encoder: CodewordEncoder::new(scheme),
            width_16: L::width_16(),
            capacity: capacity::<L>(&width_24, scheme),
            width_24,
            parameter,
            parameter_lanes: broadcast(parameter),
        }
    }

    fn chain_step(&self) -> ChainStep<'_, L, N> {
        ChainStep::new(&self.width_16, &self.parameter_lanes)
    }

    /// The leaves of one block of epochs. Chain ends go straight into the sponge, so nothing but a chain's value and
    /// the sponge's state is held.
    fn leaf_block(&self, input: &Input, first: Epoch) -> [[Packed; N]; PACKS] {
        // Lanes past the end of the lifetime wrap around and are thrown away.
        let epoch = |lane: usize| Epoch(first.0.wrapping_add(lane as u32));
        let step = self.chain_step();
        let tweaks: [EpochTweaks; PACKS] =
            std::array::from_fn(|pack| EpochTweaks::new(|lane| epoch(pack * WIDTH + lane)));
        let mut sponges: [Sponge<'_, L, Packed>; PACKS] = std::array::from_fn(|pack| {
            let mut sponge = Sponge::new(&self.width_24, broadcast(self.capacity));
            sponge.absorb(&self.parameter_lanes);
            sponge.absorb(&packed_tweak(|lane| leaf_tweak(epoch(pack * WIDTH + lane))));
            sponge
        });
        for chain in 0..self.scheme.chains() {
            let mut values: [[Packed; N]; PACKS] = input.elements(|lane| epoch(lane).0, |_| chain as u64);
            for pack in 0..PACKS {
                let value = &mut values[pack];
                tweaks[pack].walk_whole_chain(&step, chain, self.scheme.chain_length(), value);
                sponges[pack].absorb(value);
            }
        }
        sponges.map(Sponge::finish)
    }

    /// Walks the chains of one epoch, a lane each, and hands their values on in order.
    ///
    /// `value_at(chain)` is the value at position `from(chain)`.
    fn walk_chains(
        &self,
        epoch: Epoch,
        from: impl Fn(usize) -> u16,
        to: impl Fn(usize) -> u16,
        values_at: impl Fn(usize) -> [Packed; N],
        mut arrived: impl FnMut(usize, [F; N]),
    ) {
        let step = self.chain_step();
        let chains = self.scheme.chains();
        for first in (0..chains).step_by(WIDTH) {
            let ranged = |position: &dyn Fn(usize) -> u16| {
                std::array::from_fn(|lane| match first + lane {
                    chain if chain < chains => position(chain),
                    _ => 0,
                })
            };
            let mut values = values_at(first);
            walk_partly(&step, epoch, first, ranged(&from), ranged(&to), &mut values);
            for lane in 0..WIDTH.min(chains - first) {
                arrived(first + lane, lane_of(&values, lane));
            }
        }
    }
}

fn leaf_tweak(epoch: Epoch) -> u64 {
    tweak::tree_node(Level(0), NodeIndex(epoch.0.into()))
}

impl<L: Layout, const N: usize> Kernel for Xmss<L, N> {
    fn lanes(&self) -> usize {
        LANES
    }

    fn leaves(&self, prf_key: &PrfKey, first: Epoch, leaves: &mut [u8]) {
        let input = Input::chain_starts(prf_key);
        for (block, out) in leaves.chunks_mut(LANES * 4 * N).enumerate() {
            let block_first = Epoch(first.0.wrapping_add((block * LANES) as u32));
            let digests = self.leaf_block(&input, block_first);
            for (pack, out) in digests.iter().zip(out.chunks_mut(WIDTH * 4 * N)) {
                write_lanes(pack, out);
            }
        }
    }

    fn parents(&self, level: Level, first: NodeIndex, children: &[u8], parents: &mut [u8]) {
        let pairs = children.chunks(WIDTH * 2 * 4 * N);
        for (block, (pairs, out)) in pairs.zip(parents.chunks_mut(WIDTH * 4 * N)).enumerate() {
            let block_first = first.0 + (block * WIDTH) as u64;
            let count = out.len() / (4 * N);
            let digests: [[[F; N]; WIDTH]; 2] = std::array::from_fn(|side| {
                std::array::from_fn(|lane| {
                    // Spare lanes repeat the last pair.
                    let child = 2 * lane.min(count - 1) + side;
                    read_elements(&pairs[child * 4 * N..(child + 1) * 4 * N])
                })
            });
            let [left, right] =
                digests.map(|side| std::array::from_fn(|element| Packed::from_fn(|lane| side[lane][element])));
            let tweak = packed_tweak(|lane| tweak::tree_node(level, NodeIndex(block_first + lane as u64)));
            let nodes: [Packed; N] = parent(&self.width_24, &self.parameter_lanes, tweak, &left, &right);
            write_lanes(&nodes, out);
        }
    }

    fn find_codeword(&self, prf_key: &PrfKey, epoch: Epoch, message: &[u8; MESSAGE_BYTES]) -> Option<Codeword> {
        let input = Input::rho(prf_key, epoch, message);
        let rho_elements = self.scheme.rho_elements();
        let hash_input = MessageInput::new::<L>(&self.parameter_lanes, rho_elements, epoch, message);
        let mut positions = vec![0; self.scheme.chains()];
        let attempts_max = self.scheme.attempts_max();
        for first in (0..attempts_max).step_by(LANES) {
            let rhos: [[Packed; RHO_ELEMENTS_MAX]; PACKS] = input.elements(|_| 0, |lane| first + lane as u64);
            for (pack, rhos) in rhos.iter().enumerate() {
                let hashes = hash_input.hash::<L>(&self.width_24, &rhos[..rho_elements]);
                for (lane, hash) in hashes.iter().enumerate() {
                    let attempt = first + (pack * WIDTH + lane) as u64;
                    if attempt < attempts_max && self.encoder.encode(hash, &mut positions) {
                        let mut rho = vec![0; 4 * rho_elements];
                        write_elements(&lane_of(rhos, lane), &mut rho);
                        return Some(Codeword { positions, rho });
                    }
                }
            }
        }
        None
    }

    fn codeword_of(&self, epoch: Epoch, message: &[u8; MESSAGE_BYTES], rho: &[u8]) -> Option<Vec<u16>> {
        let rho_elements = self.scheme.rho_elements();
        let input = MessageInput::new::<L>(&self.parameter_lanes, rho_elements, epoch, message);
        let rho: Vec<Packed> = rho
            .chunks_exact(4)
            .map(|element| Packed::from(read_elements::<1>(element)[0]))
            .collect();
        let hashes = input.hash::<L>(&self.width_24, &rho);
        let mut positions = vec![0; self.scheme.chains()];
        self.encoder.encode(&hashes[0], &mut positions).then_some(positions)
    }

    fn reveal(&self, prf_key: &PrfKey, epoch: Epoch, positions: &[u16], values: &mut [u8]) {
        let input = Input::chain_starts(prf_key);
        // A block of the pseudorandom function can be wider than a field vector; its other packs are not needed here.
        let starts = |first: usize| {
            let block = input.elements(|_| epoch.0, |lane| (first + lane) as u64);
            block[0]
        };
        self.walk_chains(
            epoch,
            |_| 0,
            |chain| positions[chain],
            starts,
            |chain, value| write_elements(&value, &mut values[chain * 4 * N..(chain + 1) * 4 * N]),
        );
    }

    fn leaf_of_revealed(&self, epoch: Epoch, positions: &[u16], values: &[u8], leaf: &mut [u8]) {
        let mut sponge = Sponge::<L, F>::new(&self.width_24, self.capacity);
        sponge.absorb(&self.parameter);
        sponge.absorb(&tweak_digits(leaf_tweak(epoch)));
        let last = (self.scheme.chain_length() - 1) as u16;
        let chains = self.scheme.chains();
        let revealed = |first: usize| {
            let lanes: [[F; N]; WIDTH] = std::array::from_fn(|lane| {
                let chain = (first + lane).min(chains - 1);
                read_elements(&values[chain * 4 * N..(chain + 1) * 4 * N])
            });
            std::array::from_fn(|element| Packed::from_fn(|lane| lanes[lane][element]))
        };
        self.walk_chains(
            epoch,
            |chain| positions[chain],
            |_| last,
            revealed,
            |_, end| sponge.absorb(&end),
        );
        write_elements(&sponge.finish::<N>(), leaf);
    }

    fn fold_path(&self, epoch: Epoch, siblings: &[u8], node: &mut [u8]) {
        let mut index = u64::from(epoch.0);
        let mut current: [F; N] = read_elements(node);
        for (level, sibling) in siblings.chunks_exact(4 * N).enumerate() {
            let sibling = read_elements(sibling);
            let (left, right) = if index.is_multiple_of(2) {
                (current, sibling)
            } else {
                (sibling, current)
            };
            index /= 2;
            let tweak = tweak::tree_node(Level(level as u8 + 1), NodeIndex(index));
            current = parent(&self.width_24, &self.parameter, tweak_digits(tweak), &left, &right);
        }
        write_elements(&current, node);
    }
}
