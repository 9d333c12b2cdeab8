//! What many signatures lead to: a signature a lane in message hash, leaf and path; the chains of all side by side.

use super::derivation::{Derivation, Digest};
use super::encoding;
use super::lanes::{Lanes, by_lane, read_words, transposed, write_words};
use super::one_epoch::children;
use super::tweak::Indexed;
use super::walk::Walk;
use super::xmss::{DIGEST_BYTES, Xmss};
use crate::hash::Revealed;
use crate::units::Level;

/// Signatures whose chains are sorted together. With several to a lane the lanes of a pack have nearly the same way to go;
/// with many more the values would no longer fit into the cache.
const GROUP: usize = 64;

/// A signature whose codeword is accepted, with its chains at their ends.
struct Ended<'a> {
    revealed: &'a Revealed<'a>,
    parameter: Digest<u32>,
    ends: &'a [Walk],
}

impl<V: Lanes, D: Derivation> Xmss<V, D> {
    /// Of this many signatures on, lanes are faster than one after the other.
    const LANES_FROM: usize = V::WIDTH.div_ceil(3);

    pub(super) fn roots_of(&self, revealed: &[Revealed<'_>]) -> Vec<Option<Vec<u8>>> {
        revealed
            .chunks(GROUP)
            .flat_map(|group| self.roots_of_group(group))
            .collect()
    }

    fn roots_of_group(&self, group: &[Revealed<'_>]) -> Vec<Option<Vec<u8>>> {
        let chains = self.scheme.chains();
        let mut accepted = Vec::with_capacity(group.len());
        let mut walks = Vec::with_capacity(group.len() * chains);
        for (index, (one, hash)) in group.iter().zip(self.message_hashes(group)).enumerate() {
            if encoding::is_accepted(&hash, self.target_sum) {
                accepted.push(index);
                walks.extend(self.walks_to_the_ends(one.epoch, encoding::positions(&hash), one.values));
            }
        }
        let parameters: Vec<Digest<u32>> = accepted
            .iter()
            .map(|&index| read_words(group[index].parameter))
            .collect();
        self.walk_all(|walk| parameters[walk / chains], &mut walks);
        let ended: Vec<Ended<'_>> = accepted
            .iter()
            .zip(&parameters)
            .zip(walks.chunks_exact(chains))
            .map(|((&index, &parameter), ends)| Ended {
                revealed: &group[index],
                parameter,
                ends,
            })
            .collect();
        let mut roots = vec![None; group.len()];
        for (pack, accepted) in ended.chunks(V::WIDTH).zip(accepted.chunks(V::WIDTH)) {
            for (words, &index) in self.roots_of_pack(pack).into_iter().zip(accepted) {
                let mut root = vec![0; DIGEST_BYTES];
                write_words(&words, &mut root);
                roots[index] = Some(root);
            }
        }
        roots
    }

    fn message_hashes(&self, group: &[Revealed<'_>]) -> Vec<Digest<u32>> {
        let mut hashes = Vec::with_capacity(group.len());
        let kind = self.types.encoding;
        for pack in group.chunks(V::WIDTH) {
            if pack.len() < Self::LANES_FROM {
                hashes.extend(pack.iter().map(|one| {
                    let (parameter, message) = (read_words(one.parameter), read_words(one.message));
                    let rho = read_words(one.rho);
                    encoding::message_hash::<D::Tweak>(kind, &parameter, one.epoch.0, &message, &rho)
                }));
                continue;
            }
            let one = |lane: usize| &pack[lane.min(pack.len() - 1)];
            let parameter = transposed(|lane| read_words(one(lane).parameter));
            let message = transposed(|lane| read_words(one(lane).message));
            let epoch = V::from_fn(|lane| one(lane).epoch.0);
            let begun = encoding::begun::<V, D::Tweak>(kind, &parameter, epoch, &message);
            let rho = transposed(|lane| read_words(one(lane).rho));
            hashes.extend(&by_lane(&encoding::finished(&begun, &rho))[..pack.len()]);
        }
        hashes
    }

    fn roots_of_pack(&self, pack: &[Ended<'_>]) -> Vec<Digest<u32>> {
        if pack.len() < Self::LANES_FROM {
            let root = |one: &Ended<'_>| {
                let epoch = one.revealed.epoch;
                let leaf = self.leaf_of_ends(&one.parameter, epoch, one.ends);
                self.root_of_leaf(&one.parameter, epoch, leaf, one.revealed.siblings)
            };
            return pack.iter().map(root).collect();
        }
        by_lane(&self.roots_in_lanes(pack))[..pack.len()].to_vec()
    }

    /// Leaf and path of a pack; spare lanes repeat its last signature.
    fn roots_in_lanes(&self, pack: &[Ended<'_>]) -> Digest<V> {
        let one = |lane: usize| &pack[lane.min(pack.len() - 1)];
        let parameter = transposed(|lane| one(lane).parameter);
        let epoch = |lane: usize| one(lane).revealed.epoch.0;
        let mut leaf = self.leaf_stream(&Indexed::new::<D::Tweak>(&parameter, V::from_fn(epoch)));
        for chain in 0..self.scheme.chains() {
            leaf.absorb(&transposed(|lane| one(lane).ends[chain].value));
        }
        let mut node = leaf.finish();
        for level in 0..self.scheme.log_lifetime() {
            let at = usize::from(level) * DIGEST_BYTES;
            let sibling = transposed(|lane| read_words(&one(lane).revealed.siblings[at..]));
            let index = |lane: usize| u64::from(epoch(lane)) >> level;
            let children = children(V::from_fn(|lane| index(lane) as u32), &node, &sibling);
            let parent = V::from_fn(|lane| (index(lane) / 2) as u32);
            let hashes = Indexed::new::<D::Tweak>(&parameter, parent);
            node = self.node_of(Level(level + 1), &hashes, &children);
        }
        node
    }
}
