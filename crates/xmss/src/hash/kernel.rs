//! What the rest of the program sees of the hashing: bytes in, bytes out, one virtual call for many epochs.

use super::PrfKey;
use crate::arena::{Arena, ArenaOverflow};
use crate::scheme::{MESSAGE_BYTES, Parameter};
use crate::units::{Epoch, Level, NodeIndex};

/// The position of every chain that a signature reveals, and the randomness with which it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codeword {
    /// One position a chain, each below the chain length.
    pub positions: Vec<u16>,
    /// Randomness of the message hash, canonical elements, [`rho_bytes`](crate::Scheme::rho_bytes) long.
    pub rho: Vec<u8>,
    /// How many attempts it took.
    pub attempts: u64,
}

/// What a signature reveals, and under which public parameter; canonical bytes.
#[derive(Clone, Copy, Debug)]
pub struct Revealed<'a> {
    /// The key's public parameter.
    pub parameter: &'a Parameter,
    /// The epoch that signed.
    pub epoch: Epoch,
    /// What was signed.
    pub message: &'a [u8; MESSAGE_BYTES],
    /// Randomness of the message hash, [`rho_bytes`](crate::Scheme::rho_bytes) long.
    pub rho: &'a [u8],
    /// One value a chain.
    pub values: &'a [u8],
    /// The siblings from level 0 upward.
    pub siblings: &'a [u8],
}

/// The hash functions of one scheme under one public parameter.
///
/// All digests are canonical bytes, [`digest_bytes`](crate::Scheme::digest_bytes) each; slices of several hold them in index order. Digests
/// that are handed in may be reduced if they are not canonical, so check what comes from outside with
/// [`check_canonical`](crate::Scheme::check_canonical). A slice that is not a whole number of digests, or not as many as the
/// method says, and a position that a chain does not have, are mistakes of the caller and may panic.
pub trait Kernel: Send + Sync {
    /// Epochs that are computed side by side; a call for a multiple of it wastes nothing.
    fn lanes(&self) -> usize;

    /// The leaves of consecutive epochs from `first`, as many as `leaves` has room for. What this takes of `arena` is at
    /// most [`scratch_bytes`](crate::Scheme::scratch_bytes), however many they are; from the heap it takes nothing.
    ///
    /// # Errors
    /// [`ArenaOverflow`] if there is less room than that.
    fn leaves(&self, prf_key: &PrfKey, first: Epoch, leaves: &mut [u8], arena: &Arena) -> Result<(), ArenaOverflow>;

    /// The leaves of any epochs, in their order, for samples: as [`leaves`](Self::leaves), which is for runs. A kernel of several
    /// lanes should fill them with what is asked for. A kernel that takes anything of `arena` has to have a method of its own: this one
    /// takes of it what `leaves` takes, once for each epoch.
    ///
    /// # Errors
    /// As [`leaves`](Self::leaves).
    fn leaves_at(
        &self,
        prf_key: &PrfKey,
        epochs: &[Epoch],
        leaves: &mut [u8],
        arena: &Arena,
    ) -> Result<(), ArenaOverflow> {
        let digest_bytes = leaves.len() / epochs.len().max(1);
        let mut each = epochs.iter().zip(leaves.chunks_exact_mut(digest_bytes.max(1)));
        each.try_for_each(|(&epoch, leaf)| self.leaves(prf_key, epoch, leaf, arena))
    }

    /// Consecutive nodes of `level` from `first`, as many as `parents` has room for, from twice as many children of the
    /// level below. Allocates nothing.
    fn parents(&self, level: Level, first: NodeIndex, children: &[u8], parents: &mut [u8]);

    /// The first accepted codeword for this message; `None` if no attempt is accepted.
    fn find_codeword(&self, prf_key: &PrfKey, epoch: Epoch, message: &[u8; MESSAGE_BYTES]) -> Option<Codeword>;

    /// The positions that this message and randomness stand for; `None` if they are not accepted.
    fn codeword_of(&self, epoch: Epoch, message: &[u8; MESSAGE_BYTES], rho: &[u8]) -> Option<Vec<u16>>;

    /// The value of each chain at the given position, computed from the secret: what a signature reveals.
    fn reveal(&self, prf_key: &PrfKey, epoch: Epoch, positions: &[u16], values: &mut [u8]);

    /// The leaf to which revealed chain values lead.
    fn leaf_of_revealed(&self, epoch: Epoch, positions: &[u16], values: &[u8], leaf: &mut [u8]);

    /// Folds an authentication path: replaces `node`, at level 0 the leaf of `epoch`, by the root that it and its
    /// `siblings` (from level 0 upward) lead to.
    fn fold_path(&self, epoch: Epoch, siblings: &[u8], node: &mut [u8]);

    /// The root that each of these signatures leads to, each under its own parameter and not the kernel's; `None` if its
    /// codeword is not accepted.
    fn roots_of_revealed(&self, revealed: &[Revealed<'_>]) -> Vec<Option<Vec<u8>>>;
}
