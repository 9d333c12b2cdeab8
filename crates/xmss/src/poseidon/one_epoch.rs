//! Signing and verifying at one epoch: a chain, or an attempt, a lane; sponge and path one hash after the other.

use super::field::{F, LANES, PACKS, WIDTH, write_elements};
use super::lanes::{canonical_lanes, lane_of};
use super::layout::Layout;
use super::message::{MessageInput, hash_of, hash_one};
use super::prf::{BLANK_STATES, Input};
use super::serial::{self, SerialSponge, canonical};
use super::walk::{Walk, walk_all};
use super::xmss::{Xmss, leaf_tweak};
use crate::hash::Codeword;
use crate::hash::PrfKey;
use crate::poseidon::{PARAMETER_ELEMENTS, tweak};
use crate::scheme::MESSAGE_BYTES;
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
        let mut states = BLANK_STATES;
        let mut instances = input.instances(&mut states);
        let rho_elements = self.scheme.rho_bytes() / 4;
        let hash_input = MessageInput::new::<L>(&self.parameter, rho_elements, epoch, message);
        let mut positions = vec![0; self.scheme.chains()];
        let attempts_max = self.scheme.attempts_max();
        for first in (0..attempts_max).step_by(LANES) {
            let rhos: [[L::Lanes; RHO_ELEMENTS_MAX]; PACKS] = instances.elements(|_| 0, |lane| first + lane as u64);
            for (pack, rhos) in rhos.iter().enumerate() {
                let hashes = hash_input.hash_attempts::<L>(self.width_24, &rhos[..rho_elements]);
                for lane in self.encoder.candidates(&hashes) {
                    let attempt = first + (pack * WIDTH + lane) as u64;
                    if attempt < attempts_max && self.encoder.encode(&hash_of(&hashes, lane), &mut positions) {
                        let mut rho = vec![0; 4 * rho_elements];
                        write_elements(&lane_of(rhos, lane), &mut rho);
                        let attempts = attempt + 1;
                        return Some(Codeword {
                            positions,
                            rho,
                            attempts,
                        });
                    }
                }
            }
        }
        None
    }

    pub(super) fn accepted(&self, epoch: Epoch, message: &[u8; MESSAGE_BYTES], rho: &[u8]) -> Option<Vec<u16>> {
        let input = MessageInput::new::<L>(&self.parameter, self.scheme.rho_bytes() / 4, epoch, message);
        let hash = hash_one::<L>(&input.with_rho(rho));
        let mut positions = vec![0; self.scheme.chains()];
        self.encoder.encode(&hash, &mut positions).then_some(positions)
    }

    pub(super) fn revealed(&self, prf_key: &PrfKey, epoch: Epoch, positions: &[u16], values: &mut [u8]) {
        let input = Input::chain_starts(prf_key);
        let mut states = BLANK_STATES;
        let mut instances = input.instances(&mut states);
        let mut walks = Vec::with_capacity(positions.len());
        for (block, positions) in positions.chunks(LANES).enumerate() {
            let first = block * LANES;
            let starts: [[L::Lanes; N]; PACKS] = instances.elements(|_| epoch.0, |lane| (first + lane) as u64);
            let starts = starts.iter().flat_map(canonical_lanes);
            for ((chain, &position), start) in (first..).zip(positions).zip(starts) {
                walks.push(Walk::new(epoch, chain, 0, position, start));
            }
        }
        walk_all::<L, N>(self.width_16, |_| self.parameter, &mut walks);
        for (walk, value) in walks.iter().zip(values.chunks_exact_mut(4 * N)) {
            serial::write_elements(walk.value(), value);
        }
    }

    pub(super) fn leaf_above(&self, epoch: Epoch, positions: &[u16], values: &[u8], leaf: &mut [u8]) {
        let mut walks: Vec<Walk<N>> = self.walks_to_the_ends(epoch, positions, values).collect();
        walk_all::<L, N>(self.width_16, |_| self.parameter, &mut walks);
        let ends = walks.iter().map(Walk::value);
        serial::write_elements(&self.leaf_of_ends(&self.parameter, epoch, ends), leaf);
    }

    /// The walks of revealed values to the ends of their chains.
    pub(super) fn walks_to_the_ends(
        &self,
        epoch: Epoch,
        positions: &[u16],
        values: &[u8],
    ) -> impl Iterator<Item = Walk<N>> {
        let last = (self.scheme.chain_length() - 1) as u16;
        let revealed = positions.iter().zip(values.chunks_exact(4 * N)).enumerate();
        revealed.map(move |(chain, (&position, value))| {
            Walk::new(epoch, chain, position, last, serial::read_elements(value))
        })
    }

    /// The leaf of an epoch's chain ends.
    pub(super) fn leaf_of_ends<'a>(
        &self,
        parameter: &[F; PARAMETER_ELEMENTS],
        epoch: Epoch,
        ends: impl Iterator<Item = &'a [u32; N]>,
    ) -> [u32; N] {
        let mut sponge = SerialSponge::<L>::new(L::serial(), &self.capacity);
        sponge.absorb(&canonical(parameter));
        sponge.absorb(&serial::tweak_digits(leaf_tweak(epoch)));
        for end in ends {
            sponge.absorb(end);
        }
        sponge.finish()
    }

    pub(super) fn root_above(&self, epoch: Epoch, siblings: &[u8], node: &mut [u8]) {
        let leaf = serial::read_elements(node);
        serial::write_elements(&self.root_of_leaf(&self.parameter, epoch, leaf, siblings), node);
    }

    /// The root that a leaf and its siblings lead to.
    pub(super) fn root_of_leaf(
        &self,
        parameter: &[F; PARAMETER_ELEMENTS],
        epoch: Epoch,
        leaf: [u32; N],
        siblings: &[u8],
    ) -> [u32; N] {
        let parameter = canonical(parameter);
        let mut index = u64::from(epoch.0);
        let mut node = leaf;
        for (level, sibling) in (1..).zip(siblings.chunks_exact(4 * N)) {
            let sibling = serial::read_elements(sibling);
            let children = if index.is_multiple_of(2) {
                [&node, &sibling]
            } else {
                [&sibling, &node]
            };
            index /= 2;
            let tweak = tweak::tree_node(Level(level), NodeIndex(index));
            node = serial::parent(L::serial(), &parameter, tweak, children);
        }
        node
    }
}
