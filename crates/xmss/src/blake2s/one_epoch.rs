//! Signing and verifying at one epoch: a chain, or an attempt, a lane; leaf and path one hash after the other.

use super::derivation::{Derivation, Digest};
use super::encoding;
use super::lanes::{Lanes, by_lane, read_words, splat, write_words};
use super::tweak::Indexed;
use super::walk::Walk;
use super::xmss::{DIGEST_BYTES, Xmss};
use crate::hash::{Codeword, PrfKey};
use crate::scheme::MESSAGE_BYTES;
use crate::units::{Epoch, Level};

impl<V: Lanes, D: Derivation> Xmss<V, D> {
    pub(super) fn first_accepted(
        &self,
        prf_key: &PrfKey,
        epoch: Epoch,
        message: &[u8; MESSAGE_BYTES],
    ) -> Option<Codeword> {
        let seed = read_words(prf_key.expose());
        let attempts = self.derivation.attempts::<V>(&seed, &self.parameter, epoch.0, message);
        let begun = splat(encoding::begun::<u32, D::Tweak>(
            self.types.encoding,
            &self.parameter,
            epoch.0,
            &read_words(message),
        ));
        let attempts_max = self.scheme.attempts_max();
        for first in (0..attempts_max).step_by(V::WIDTH) {
            let rhos = self
                .derivation
                .rho(&attempts, V::from_fn(|lane| first as u32 + lane as u32));
            let hashes = encoding::finished(&begun, &rhos);
            let Some(lane) = encoding::first_accepted(&hashes, self.target_sum) else {
                continue;
            };
            let mut rho = vec![0; self.scheme.rho_bytes()];
            write_words(&by_lane(&rhos)[lane], &mut rho);
            return Some(Codeword {
                positions: encoding::positions(&by_lane(&hashes)[lane]).collect(),
                rho,
                attempts: first + lane as u64 + 1,
            })
            .filter(|codeword| codeword.attempts <= attempts_max);
        }
        None
    }

    pub(super) fn accepted(&self, epoch: Epoch, message: &[u8; MESSAGE_BYTES], rho: &[u8]) -> Option<Vec<u16>> {
        let hash = encoding::message_hash::<D::Tweak>(
            self.types.encoding,
            &self.parameter,
            epoch.0,
            &read_words(message),
            &read_words(rho),
        );
        encoding::is_accepted(&hash, self.target_sum).then(|| encoding::positions(&hash).collect())
    }

    pub(super) fn revealed(&self, prf_key: &PrfKey, epoch: Epoch, positions: &[u16], values: &mut [u8]) {
        let hashes = self.hashes(V::splat(epoch.0));
        let starts = self.derivation.starts(&read_words(prf_key.expose()), V::splat(epoch.0));
        let mut walks = Vec::with_capacity(positions.len());
        for (block, positions) in positions.chunks(V::WIDTH).enumerate() {
            let first = block * V::WIDTH;
            let chains = V::from_fn(|lane| (first + lane) as u32);
            let starts = by_lane(&self.derivation.start(&starts, &hashes, chains));
            for ((chain, &position), start) in (first..).zip(positions).zip(starts) {
                walks.push(self.walk(epoch.0, chain, 0, position.into(), start));
            }
        }
        self.walk_all(|_| self.parameter, &mut walks);
        for (walk, value) in walks.iter().zip(values.chunks_exact_mut(DIGEST_BYTES)) {
            write_words(&walk.value, value);
        }
    }

    pub(super) fn leaf_above(&self, epoch: Epoch, positions: &[u16], values: &[u8], leaf: &mut [u8]) {
        let mut walks: Vec<Walk> = self
            .walks_to_the_ends(epoch, positions.iter().copied(), values)
            .collect();
        self.walk_all(|_| self.parameter, &mut walks);
        write_words(&self.leaf_of_ends(&self.parameter, epoch, &walks), leaf);
    }

    /// The walks of revealed values to the ends of their chains.
    pub(super) fn walks_to_the_ends(
        &self,
        epoch: Epoch,
        positions: impl Iterator<Item = u16>,
        values: &[u8],
    ) -> impl Iterator<Item = Walk> {
        let revealed = positions.zip(values.chunks_exact(DIGEST_BYTES)).enumerate();
        revealed.map(move |(chain, (position, value))| {
            self.walk(epoch.0, chain, position.into(), self.last_position(), read_words(value))
        })
    }

    /// The leaf of an epoch's chain ends.
    pub(super) fn leaf_of_ends(&self, parameter: &Digest<u32>, epoch: Epoch, ends: &[Walk]) -> Digest<u32> {
        let mut leaf = self.leaf_stream(&Indexed::new::<D::Tweak>(parameter, epoch.0));
        for end in ends {
            leaf.absorb(&end.value);
        }
        leaf.finish()
    }

    pub(super) fn root_above(&self, epoch: Epoch, siblings: &[u8], node: &mut [u8]) {
        let root = self.root_of_leaf(&self.parameter, epoch, read_words(node), siblings);
        write_words(&root, node);
    }

    /// The root that a leaf and its siblings lead to.
    pub(super) fn root_of_leaf(
        &self,
        parameter: &Digest<u32>,
        epoch: Epoch,
        leaf: Digest<u32>,
        siblings: &[u8],
    ) -> Digest<u32> {
        let mut index = epoch.0;
        let mut node = leaf;
        for (level, sibling) in (1..).zip(siblings.chunks_exact(DIGEST_BYTES)) {
            let children = children(index, &node, &read_words(sibling));
            index >>= 1;
            let hashes = Indexed::new::<D::Tweak>(parameter, index);
            node = self.node_of(Level(level), &hashes, &children);
        }
        node
    }
}

/// A node and its sibling in their order, which the lowest bit of the node's index says.
#[inline(always)]
pub(super) fn children<V: Lanes>(index: V, node: &Digest<V>, sibling: &Digest<V>) -> [V; 8] {
    let is_odd = index & V::splat(1);
    // All bits of a lane, if its node stands on the right.
    let swapped = (is_odd ^ V::splat(u32::MAX)) + V::splat(1);
    let differences: Digest<V> = std::array::from_fn(|word| (node[word] ^ sibling[word]) & swapped);
    std::array::from_fn(|word| {
        if word < 4 {
            node[word] ^ differences[word]
        } else {
            sibling[word - 4] ^ differences[word - 4]
        }
    })
}
