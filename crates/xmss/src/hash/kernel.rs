//! What the rest of the program sees of the hashing: bytes in, bytes out, one virtual call for many epochs.

use super::layout::{Poseidon1Devnet4, Poseidon2Classic};
use super::prf::PrfKey;
use super::xmss::Xmss;
use crate::arena::{Arena, ArenaOverflow};
use crate::scheme::{MESSAGE_BYTES, PARAMETER_BYTES, PermutationLayout, Scheme};
use crate::units::{Epoch, Level, NodeIndex};

/// The position of every chain that a signature reveals, and the randomness with which it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codeword {
    /// One position a chain, each below the chain length.
    pub positions: Vec<u16>,
    /// Randomness of the message hash, canonical elements, [`Scheme::rho_bytes`] long.
    pub rho: Vec<u8>,
    /// How many attempts it took.
    pub attempts: u64,
}

/// What a signature reveals, and under which public parameter; canonical bytes.
#[derive(Clone, Copy, Debug)]
pub struct Revealed<'a> {
    /// The key's public parameter.
    pub parameter: &'a [u8; PARAMETER_BYTES],
    /// The epoch that signed.
    pub epoch: Epoch,
    /// What was signed.
    pub message: &'a [u8; MESSAGE_BYTES],
    /// Randomness of the message hash, [`Scheme::rho_bytes`] long.
    pub rho: &'a [u8],
    /// One value a chain.
    pub values: &'a [u8],
    /// The siblings from level 0 upward.
    pub siblings: &'a [u8],
}

/// The hash functions of one scheme under one public parameter.
///
/// All digests are canonical bytes, [`Scheme::digest_bytes`] each; slices of several hold them in index order. Digests
/// that are handed in are reduced if they are not canonical, so check what comes from outside with
/// [`check_canonical`](super::check_canonical). A slice that is not a whole number of digests, or not as many as the
/// method says, is a mistake of the caller and may panic.
pub trait Kernel: Send + Sync {
    /// Epochs that are computed side by side; a call for a multiple of it wastes nothing.
    fn lanes(&self) -> usize;

    /// The leaves of consecutive epochs from `first`, as many as `leaves` has room for. What this takes of `arena` is at
    /// most [`scratch_bytes`](super::scratch_bytes), however many they are; from the heap it takes nothing.
    ///
    /// # Errors
    /// [`ArenaOverflow`] if there is less room than that.
    fn leaves(&self, prf_key: &PrfKey, first: Epoch, leaves: &mut [u8], arena: &Arena) -> Result<(), ArenaOverflow>;

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

/// The kernel of a scheme under a public parameter (canonical bytes).
pub fn kernel(scheme: &'static Scheme, parameter: &[u8; PARAMETER_BYTES]) -> Box<dyn Kernel> {
    match (scheme.layout(), scheme.digest_elements()) {
        (PermutationLayout::Poseidon2Classic, 7) => Box::new(Xmss::<Poseidon2Classic, 7>::new(scheme, parameter)),
        (PermutationLayout::Poseidon2Classic, _) => Box::new(Xmss::<Poseidon2Classic, 8>::new(scheme, parameter)),
        (PermutationLayout::Poseidon1Devnet4, _) => Box::new(Xmss::<Poseidon1Devnet4, 8>::new(scheme, parameter)),
    }
}

/// What a worker's arena has to hold for a scheme: the scratch of [`Kernel::leaves`], and the leaves of one block of as
/// many epochs as the kernel has lanes.
pub fn scratch_bytes(scheme: &Scheme) -> usize {
    match (scheme.layout(), scheme.digest_elements()) {
        (PermutationLayout::Poseidon2Classic, 7) => Xmss::<Poseidon2Classic, 7>::SCRATCH_BYTES,
        (PermutationLayout::Poseidon2Classic, _) => Xmss::<Poseidon2Classic, 8>::SCRATCH_BYTES,
        (PermutationLayout::Poseidon1Devnet4, _) => Xmss::<Poseidon1Devnet4, 8>::SCRATCH_BYTES,
    }
}
