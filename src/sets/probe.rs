//! Whether a secret key file is sound, and can sign for its public key: with a signature that never leaves memory.

use zeroize::{Zeroize, Zeroizing};

use crate::interop::secret_key::SecretKeyFile;
use crate::units::{Epoch, EpochRange, NodeIndex};
use keymill_xmss::Verifier;
use keymill_xmss::hash::Kernel;
use keymill_xmss::scheme::{MESSAGE_BYTES, Scheme};
use keymill_xmss::{PublicKey, Signature};

/// Always the same one, so that however often a key is looked at, its epoch has signed one message in memory
/// (docs/SECURITY.md).
const MESSAGE: &[u8; MESSAGE_BYTES] = b"keymill verify-set probe message";

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
    let (_, siblings) = key.path(epoch).ok_or_else(|| wrong("has no path in the file"))?;
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
