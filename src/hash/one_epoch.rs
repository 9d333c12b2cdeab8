//! Signing and verifying at one epoch: a chain, or an attempt, a lane.

use p3_field::PackedValue;

use super::chain::walk_partly;
use super::field::{F, LANES, PACKS, Packed, WIDTH, lane_of, read_elements, tweak_digits, write_elements};
use super::kernel::Codeword;
use super::layout::Layout;
use super::message::MessageInput;
use super::node::parent;
use super::prf::{Input, PrfKey};
use super::sponge::Sponge;
use super::xmss::{Xmss, leaf_tweak};
use crate::scheme::{MESSAGE_BYTES, tweak};
use crate::units::{Epoch, Level, NodeIndex};

/// The most elements of rho in any scheme.
const RHO_ELEMENTS_MAX: usize = 7;

impl<L: Layout, const N: usize> Xmss<L, N> {
    pub(super) fn first_accepted(
        &self,
        prf_key: &PrfKey,
        epoch: Epoch,
        message: &[u8; MESSAGE_BYTES],
    ) -> Option<Codeword> {
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

    pub(super) fn accepted(&self, epoch: Epoch, message: &[u8; MESSAGE_BYTES], rho: &[u8]) -> Option<Vec<u16>> {
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

    pub(super) fn revealed(&self, prf_key: &PrfKey, epoch: Epoch, positions: &[u16], values: &mut [u8]) {
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

    pub(super) fn leaf_above(&self, epoch: Epoch, positions: &[u16], values: &[u8], leaf: &mut [u8]) {
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

    pub(super) fn root_above(&self, epoch: Epoch, siblings: &[u8], node: &mut [u8]) {
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
