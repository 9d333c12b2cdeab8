//! Hash functions that cost nothing and hide nothing.

use crate::units::{Epoch, Level, NodeIndex};
use keymill_xmss::arena::{Arena, ArenaOverflow};
use keymill_xmss::hash::{Codeword, Kernel, PrfKey, Revealed};

/// In place of a hash: every digest depends on its place and on every byte below it, which is all that a test of the
/// storage needs.
pub(crate) struct Quick {
    pub(crate) digest_bytes: usize,
}

/// Canonical elements are below 2^31 - 2^24 + 1.
const ELEMENT_MASK: u32 = 0x3fff_ffff;

fn fill(digest: &mut [u8], mut state: u64) {
    for element in digest.chunks_exact_mut(4) {
        state = state
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        element.copy_from_slice(&((state >> 33) as u32 & ELEMENT_MASK).to_le_bytes());
    }
}

/// What a job asks of a kernel, and a test of the storage has to answer.
pub(crate) trait JobKernel: Send + Sync {
    fn block(&self, prf_key: &PrfKey, first: Epoch, leaves: &mut [u8], arena: &Arena) -> Result<(), ArenaOverflow>;

    fn fold(&self, level: Level, first: NodeIndex, children: &[u8], parents: &mut [u8]);
}

impl JobKernel for Quick {
    fn block(&self, prf_key: &PrfKey, first: Epoch, leaves: &mut [u8], _: &Arena) -> Result<(), ArenaOverflow> {
        let key = u64::from(crc32fast::hash(prf_key.expose())) << 32;
        for (epoch, leaf) in (first.0..).zip(leaves.chunks_exact_mut(self.digest_bytes)) {
            fill(leaf, key | u64::from(epoch));
        }
        Ok(())
    }

    fn fold(&self, level: Level, first: NodeIndex, children: &[u8], parents: &mut [u8]) {
        let pairs = children.chunks_exact(2 * self.digest_bytes);
        for ((node, parent), pair) in (first.0..).zip(parents.chunks_exact_mut(self.digest_bytes)).zip(pairs) {
            let below = u64::from(crc32fast::hash(pair)) << 32;
            fill(parent, below ^ (u64::from(level.0) << 24) ^ node);
        }
    }
}

/// A kernel that can do what a job asks, and nothing else.
pub(crate) struct JobOnly<K>(pub(crate) K);

impl<K: JobKernel> Kernel for JobOnly<K> {
    fn lanes(&self) -> usize {
        16
    }

    fn leaves(&self, prf_key: &PrfKey, first: Epoch, leaves: &mut [u8], arena: &Arena) -> Result<(), ArenaOverflow> {
        self.0.block(prf_key, first, leaves, arena)
    }

    fn parents(&self, level: Level, first: NodeIndex, children: &[u8], parents: &mut [u8]) {
        self.0.fold(level, first, children, parents);
    }

    fn find_codeword(&self, _: &PrfKey, _: Epoch, _: &[u8; 32]) -> Option<Codeword> {
        unreachable!("a job does not sign")
    }

    fn codeword_of(&self, _: Epoch, _: &[u8; 32], _: &[u8]) -> Option<Vec<u16>> {
        unreachable!("a job does not verify")
    }

    fn reveal(&self, _: &PrfKey, _: Epoch, _: &[u16], _: &mut [u8]) {
        unreachable!("a job does not sign")
    }

    fn leaf_of_revealed(&self, _: Epoch, _: &[u16], _: &[u8], _: &mut [u8]) {
        unreachable!("a job does not verify")
    }

    fn fold_path(&self, _: Epoch, _: &[u8], _: &mut [u8]) {
        unreachable!("a job does not verify")
    }

    fn roots_of_revealed(&self, _: &[Revealed<'_>]) -> Vec<Option<Vec<u8>>> {
        unreachable!("a job does not verify")
    }
}
