//! What many signatures lead to: a signature a lane in message hash, sponge and path; the chains of all side by side.

use super::field::{F, WIDTH, read_elements};
use super::lanes::{broadcast, canonical_lanes, from_canonical_lanes, transposed, tweak_lanes};
use super::layout::Layout;
use super::message::{MessageInput, hash_lanes, hash_of, hash_one};
use super::node::parent;
use super::serial;
use super::sponge::Sponge;
use super::walk::{Walk, walk_all};
use super::xmss::{Xmss, leaf_tweak};
use crate::hash::Revealed;
use crate::poseidon::encoding::HASH_ELEMENTS_MAX;
use crate::poseidon::{PARAMETER_ELEMENTS, tweak};
use crate::units::{Level, NodeIndex};

/// Signatures whose chains are sorted together. With several to a lane the lanes of a pack have nearly the same way to go;
/// with many more the values would no longer fit into the cache.
const GROUP: usize = 64;

/// Of this many signatures on, lanes are faster than one after the other.
const LANES_FROM: usize = WIDTH.div_ceil(3);

/// A signature whose codeword is accepted, with its chains at their ends.
struct Ended<'a, const N: usize> {
    revealed: &'a Revealed<'a>,
    parameter: &'a [F; PARAMETER_ELEMENTS],
    ends: &'a [Walk<N>],
}

impl<L: Layout, const N: usize> Xmss<L, N> {
    pub(super) fn roots_of(&self, revealed: &[Revealed<'_>]) -> Vec<Option<Vec<u8>>> {
        revealed
            .chunks(GROUP)
            .flat_map(|group| self.roots_of_group(group))
            .collect()
    }

    fn roots_of_group(&self, group: &[Revealed<'_>]) -> Vec<Option<Vec<u8>>> {
        let parameters: Vec<[F; PARAMETER_ELEMENTS]> = group.iter().map(|one| read_elements(one.parameter)).collect();
        let hashes = self.message_hashes(group, &parameters);
        let chains = self.scheme.chains();
        let mut positions = vec![0; chains];
        let mut accepted = Vec::with_capacity(group.len());
        let mut walks = Vec::with_capacity(group.len() * chains);
        for (index, (one, hash)) in group.iter().zip(&hashes).enumerate() {
            if self.encoder.encode(hash, &mut positions) {
                accepted.push(index);
                walks.extend(self.walks_to_the_ends(one.epoch, &positions, one.values));
            }
        }
        walk_all::<L, N>(self.width_16, |walk| parameters[accepted[walk / chains]], &mut walks);
        let ended: Vec<Ended<'_, N>> = accepted
            .iter()
            .zip(walks.chunks_exact(chains))
            .map(|(&index, ends)| Ended {
                revealed: &group[index],
                parameter: &parameters[index],
                ends,
            })
            .collect();
        let mut roots = vec![None; group.len()];
        for (pack, accepted) in ended.chunks(WIDTH).zip(accepted.chunks(WIDTH)) {
            for (root, &index) in self.roots_of_pack(pack).into_iter().zip(accepted) {
                roots[index] = Some(root);
            }
        }
        roots
    }

    fn message_hashes(
        &self,
        group: &[Revealed<'_>],
        parameters: &[[F; PARAMETER_ELEMENTS]],
    ) -> Vec<[u32; HASH_ELEMENTS_MAX]> {
        let rho_elements = self.scheme.rho_bytes() / 4;
        let input = |(one, parameter): (&Revealed<'_>, &[F; PARAMETER_ELEMENTS])| {
            MessageInput::new::<L>(parameter, rho_elements, one.epoch, one.message).with_rho(one.rho)
        };
        let inputs: Vec<[F; 24]> = group.iter().zip(parameters).map(input).collect();
        let mut hashes = Vec::with_capacity(group.len());
        for pack in inputs.chunks(WIDTH) {
            if pack.len() < LANES_FROM {
                hashes.extend(pack.iter().map(hash_one::<L>));
            } else {
                let lanes = hash_lanes::<L>(self.width_24, transposed(|lane| pack[lane.min(pack.len() - 1)]));
                hashes.extend((0..pack.len()).map(|lane| hash_of(&lanes, lane)));
            }
        }
        hashes
    }

    fn roots_of_pack(&self, pack: &[Ended<'_, N>]) -> Vec<Vec<u8>> {
        let mut roots = vec![vec![0; 4 * N]; pack.len()];
        if pack.len() < LANES_FROM {
            for (one, root) in pack.iter().zip(&mut roots) {
                let (epoch, ends) = (one.revealed.epoch, one.ends.iter().map(Walk::value));
                let leaf = self.leaf_of_ends(one.parameter, epoch, ends);
                let elements = self.root_of_leaf(one.parameter, epoch, leaf, one.revealed.siblings);
                serial::write_elements(&elements, root);
            }
        } else {
            let lanes = canonical_lanes(&self.roots_in_lanes(pack));
            for (elements, root) in lanes.iter().zip(&mut roots) {
                serial::write_elements(elements, root);
            }
        }
        roots
    }

    /// Sponge and path of a pack; spare lanes repeat its last signature.
    fn roots_in_lanes(&self, pack: &[Ended<'_, N>]) -> [L::Lanes; N] {
        let one = |lane: usize| &pack[lane.min(pack.len() - 1)];
        let epoch = |lane: usize| one(lane).revealed.epoch;
        let parameter = transposed(|lane| *one(lane).parameter);
        let mut sponge = Sponge::<L>::new(self.width_24, broadcast(self.capacity));
        sponge.absorb(&parameter);
        sponge.absorb(&tweak_lanes(|lane| leaf_tweak(epoch(lane))));
        for chain in 0..self.scheme.chains() {
            sponge.absorb(&from_canonical_lanes::<_, N>(|lane| *one(lane).ends[chain].value()));
        }
        let mut node: [L::Lanes; N] = sponge.finish();
        for level in 0..self.scheme.log_lifetime() {
            let at = usize::from(level) * 4 * N;
            let index = |lane: usize| u64::from(epoch(lane).0) >> level;
            let nodes = canonical_lanes(&node);
            let siblings: [[u32; N]; WIDTH] =
                std::array::from_fn(|lane| serial::read_elements(&one(lane).revealed.siblings[at..at + 4 * N]));
            let child = |side: u64| {
                from_canonical_lanes(|lane| {
                    if index(lane) % 2 == side {
                        nodes[lane]
                    } else {
                        siblings[lane]
                    }
                })
            };
            let tweak = tweak_lanes(|lane| tweak::tree_node(Level(level + 1), NodeIndex(index(lane) / 2)));
            node = parent(self.width_24, &parameter, tweak, &child(0), &child(1));
        }
        node
    }
}
