//! The leaves of many epochs and the nodes above them: an epoch, or a node, a lane.

use super::compress::Stream;
use super::derivation::{Derivation, Digest};
use super::lanes::{Lanes, read_words, transposed, write_lanes, write_words};
use super::tweak::Indexed;
use super::xmss::{DIGEST_BYTES, Xmss};
use crate::hash::PrfKey;
use crate::units::{Epoch, Level, NodeIndex};

impl<V: Lanes, D: Derivation> Xmss<V, D> {
    /// `epoch` is that of a leaf by its number, also of one past the last: lanes that are too many are thrown away.
    pub(super) fn leaves_of(&self, prf_key: &PrfKey, leaves: &mut [u8], epoch: impl Fn(usize) -> Epoch) {
        let seed = read_words(prf_key.expose());
        for (block, out) in leaves.chunks_mut(V::WIDTH * DIGEST_BYTES).enumerate() {
            let epoch = V::from_fn(|lane| epoch(block * V::WIDTH + lane).0);
            write_lanes(&self.leaf_block(&seed, epoch), out);
        }
    }

    /// Chain ends go straight into the hash of the leaf, so nothing but a chain's value is held beside it.
    fn leaf_block(&self, seed: &[u32; 8], epoch: V) -> Digest<V> {
        let hashes = self.hashes(epoch);
        let starts = self.derivation.starts(seed, epoch);
        let mut leaf = self.leaf_stream(&hashes);
        for chain in 0..self.scheme.chains() {
            let start = self.derivation.start(&starts, &hashes, V::splat(chain as u32));
            leaf.absorb(&self.chain_end(&hashes, chain, start));
        }
        leaf.finish()
    }

    // A function of its own, so that its code is as small as the fastest cache.
    #[inline(never)]
    fn chain_end(&self, hashes: &Indexed<V>, chain: usize, mut value: Digest<V>) -> Digest<V> {
        let first = self.first_place(chain);
        for place in first..first + self.last_position() {
            value = hashes.of_value::<D::Tweak>(self.types.chain, V::splat(place), &value);
        }
        value
    }

    /// The hash of a leaf, into which the chain ends are still to go.
    pub(super) fn leaf_stream<W: Lanes>(&self, hashes: &Indexed<W>) -> Stream<W> {
        let [[a, b], [c, d]] = hashes.tweak::<D::Tweak>(self.types.leaf, W::splat(0));
        let mut leaf = Stream::new();
        leaf.absorb(&[a, b, c, d]);
        leaf.absorb(hashes.parameter());
        leaf
    }

    pub(super) fn parents_of(&self, level: Level, first: NodeIndex, children: &[u8], parents: &mut [u8]) {
        let mut index = first.0 as u32;
        let mut pairs = children.chunks(V::WIDTH * 2 * DIGEST_BYTES);
        for out in parents.chunks_mut(V::WIDTH * DIGEST_BYTES) {
            let pairs = pairs.next().unwrap_or_default();
            let count = out.len() / DIGEST_BYTES;
            if count == V::WIDTH {
                let nodes = V::from_fn(|lane| index.wrapping_add(lane as u32));
                let words = transposed(|lane| read_words(&pairs[lane * 2 * DIGEST_BYTES..]));
                write_lanes(&self.node_of(level, &self.hashes(nodes), &words), out);
            } else {
                let pairs = pairs.chunks_exact(2 * DIGEST_BYTES);
                for ((node, pair), out) in (index..).zip(pairs).zip(out.chunks_exact_mut(DIGEST_BYTES)) {
                    self.parent_of(level, node, pair, out);
                }
            }
            index = index.wrapping_add(count as u32);
        }
    }

    /// One parent alone.
    fn parent_of(&self, level: Level, node: u32, pair: &[u8], out: &mut [u8]) {
        let hashes = Indexed::new::<D::Tweak>(&self.parameter, node);
        write_words(&self.node_of(level, &hashes, &read_words(pair)), out);
    }

    /// The nodes of these children.
    pub(super) fn node_of<W: Lanes>(&self, level: Level, hashes: &Indexed<W>, children: &[W; 8]) -> Digest<W> {
        hashes.of_block::<D::Tweak>(self.types.node, W::splat(level.0.into()), children)
    }
}
