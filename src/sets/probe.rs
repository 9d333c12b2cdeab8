//! Whether a secret key file is sound, and can sign for its public key: with a signature that never leaves memory.

use zeroize::{Zeroize, Zeroizing};

use crate::interop::secret_key::SecretKeyFile;
use crate::units::{Epoch, EpochRange, Level, NodeIndex};
use keymill_xmss::Verifier;
use keymill_xmss::arena::Arena;
use keymill_xmss::hash::Kernel;
use keymill_xmss::scheme::{MESSAGE_BYTES, Scheme};
use keymill_xmss::{PublicKey, Signature};

/// Always the same one, so that however often a key is looked at, its epoch has signed one message in memory
/// (docs/SECURITY.md).
const MESSAGE: &[u8; MESSAGE_BYTES] = b"keymill verify-set probe message";

/// So many leaves are computed at a time.
const BLOCK_LEVEL: Level = Level(10);

/// Compares a secret key with the scheme, the epochs and the public key that it has to have, and with itself. Says what is
/// wrong.
pub(super) fn check_secret(
    key: &SecretKeyFile,
    scheme: &'static Scheme,
    expected: EpochRange,
    public_key: &[u8],
) -> Result<(), String> {
    key.scheme(Some(scheme)).map_err(|error| error.to_string())?;
    let stored = key.head().shape.stored();
    if stored != expected {
        return Err(format!(
            "its epochs are {} to {}, those of the set {} to {}",
            stored.start,
            stored.end - 1,
            expected.start,
            expected.end - 1
        ));
    }
    let kernel = scheme.kernel(&key.head().parameter);
    if let Some((level, NodeIndex(node))) = key.first_wrong_node(kernel.as_ref()) {
        return Err(format!("node {node} of level {level} is not the hash of its children"));
    }
    if key.public_key() != public_key {
        let (found, expected) = (hex::encode(key.public_key()), hex::encode(public_key));
        return Err(format!("its public key is 0x{found}, it has to be 0x{expected}"));
    }
    probe(key, scheme, kernel.as_ref())
}

/// Signs in memory with the first epoch of the window, verifies, and wipes the signature. Says what is wrong.
fn probe(key: &SecretKeyFile, scheme: &'static Scheme, kernel: &dyn Kernel) -> Result<(), String> {
    let shape = &key.head().shape;
    let first = shape.window().unwrap_or(shape.stored()).start;
    let epoch = Epoch(first as u32);
    let wrong = |what: &str| format!("a probe signature at epoch {epoch} {what}");
    let siblings = match key.path(epoch) {
        Some((_, siblings)) => siblings,
        None => Lowest { key, scheme, kernel }.path(epoch)?,
    };
    let codeword = kernel.find_codeword(&key.head().prf_key, epoch, MESSAGE);
    let codeword = codeword.ok_or_else(|| wrong("found no codeword"))?;
    let mut hashes = Zeroizing::new(vec![0; scheme.chains() * scheme.digest_bytes()]);
    kernel.reveal(&key.head().prf_key, epoch, &codeword.positions, &mut hashes);
    let public_key = PublicKey::from_ssz(scheme, &key.public_key()).map_err(|error| wrong(&error.to_string()))?;
    let hashes = std::mem::take(&mut *hashes);
    let mut signature =
        Signature::new(scheme, codeword.rho, siblings, hashes).map_err(|error| wrong(&error.to_string()))?;
    let verified = Verifier::new(&public_key).verify(epoch, MESSAGE, &signature);
    signature.zeroize();
    verified.map_err(|error| wrong(&format!("does not verify: {error}")))
}

/// The levels below those that a key of leanVM holds, computed from its seed.
struct Lowest<'a> {
    key: &'a SecretKeyFile,
    scheme: &'static Scheme,
    kernel: &'a dyn Kernel,
}

impl Lowest<'_> {
    /// The siblings that lead from an epoch to the root, if the lowest node that is held on the way is that which the seed makes.
    fn path(&self, epoch: Epoch) -> Result<Vec<u8>, String> {
        let held_from = self.key.head().shape.bottom_level();
        let mut node = self.node(Level(0), epoch.0.into())?;
        let mut siblings = Vec::new();
        for level in (0..held_from.0).map(Level) {
            let index = u64::from(epoch.0) >> level.0;
            let sibling = self.node(level, index ^ 1)?;
            let pair = if index % 2 == 0 {
                [&node[..], &sibling]
            } else {
                [&sibling[..], &node]
            };
            node = self.parents(Level(level.0 + 1), index / 2, &pair.concat());
            siblings.extend(sibling);
        }
        let index = NodeIndex(u64::from(epoch.0) >> held_from.0);
        if self.key.node(held_from, index) != Some(&node[..]) {
            return Err(format!(
                "node {index} of level {held_from} is not the one that its seed makes"
            ));
        }
        for (level, sibling) in self.key.head().shape.geometry().path(epoch) {
            if level >= held_from {
                siblings.extend(self.key.node(level, sibling).unwrap_or_default());
            }
        }
        Ok(siblings)
    }

    /// A node, a block of leaves at a time. All leaves below it have to be among the key's epochs.
    fn node(&self, level: Level, index: u64) -> Result<Vec<u8>, String> {
        if level > BLOCK_LEVEL {
            let below = Level(level.0 - 1);
            let children = [self.node(below, 2 * index)?, self.node(below, 2 * index + 1)?].concat();
            return Ok(self.parents(level, index, &children));
        }
        let first = Epoch((index << level.0) as u32);
        let mut nodes = vec![0; self.scheme.digest_bytes() << level.0];
        let arena = Arena::new(self.scheme.scratch_bytes());
        self.kernel
            .leaves(&self.key.head().prf_key, first, &mut nodes, &arena)
            .map_err(|error| error.to_string())?;
        for above in 1..=level.0 {
            nodes = self.parents(Level(above), index << (level.0 - above), &nodes);
        }
        Ok(nodes)
    }

    fn parents(&self, level: Level, first: u64, children: &[u8]) -> Vec<u8> {
        let mut parents = vec![0; children.len() / 2];
        self.kernel.parents(level, NodeIndex(first), children, &mut parents);
        parents
    }
}
