//! Verifying a signature (spec "Signing and verifying").

use crate::hash::{Kernel, kernel};
use crate::interop::ssz::{PublicKey, Signature, SszError};
use crate::scheme::{MESSAGE_BYTES, Scheme};
use crate::units::Epoch;

/// Why a signature is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The scheme has no such epoch.
    #[error("epoch {epoch} is past the lifetime of {scheme}, which has {lifetime} epochs")]
    PastLifetime {
        /// The epoch.
        epoch: u64,
        /// Scheme identifier.
        scheme: &'static str,
        /// Epochs of the lifetime.
        lifetime: u64,
    },
    /// The signature is not one of this scheme.
    #[error("the signature is malformed: {0}")]
    Malformed(#[from] SszError),
    /// The message does not hash to an accepted codeword with the signature's randomness.
    #[error("the codeword of this message and the signature's rho is not an accepted one")]
    CodewordRejected,
    /// Chains and path lead to another root.
    #[error("the signature leads to another root than the public key's")]
    OtherRoot,
}

/// Verifies signatures of one public key; keep it when there are several.
pub struct Verifier {
    scheme: &'static Scheme,
    kernel: Box<dyn Kernel>,
    root: Vec<u8>,
}

impl Verifier {
    /// A verifier for a public key of this scheme.
    pub fn new(scheme: &'static Scheme, public_key: &PublicKey) -> Self {
        Self {
            scheme,
            kernel: kernel(scheme, public_key.parameter()),
            root: public_key.root().to_vec(),
        }
    }

    /// Checks a signature.
    ///
    /// # Errors
    /// [`Rejection`] says why the signature is not valid.
    pub fn verify(&self, epoch: u64, message: &[u8; MESSAGE_BYTES], signature: &Signature) -> Result<(), Rejection> {
        let scheme = self.scheme;
        let epoch = u32::try_from(epoch)
            .map(Epoch)
            .ok()
            .filter(|epoch| u64::from(epoch.0) < scheme.lifetime())
            .ok_or(Rejection::PastLifetime {
                epoch,
                scheme: scheme.id(),
                lifetime: scheme.lifetime(),
            })?;
        signature.check(scheme)?;
        let positions = self
            .kernel
            .codeword_of(epoch, message, &signature.rho)
            .ok_or(Rejection::CodewordRejected)?;
        let mut node = vec![0; scheme.digest_bytes()];
        self.kernel
            .leaf_of_revealed(epoch, &positions, &signature.hashes, &mut node);
        self.kernel.fold_path(epoch, &signature.siblings, &mut node);
        if node == self.root {
            Ok(())
        } else {
            Err(Rejection::OtherRoot)
        }
    }

    /// Checks a signature in SSZ.
    ///
    /// # Errors
    /// [`Rejection`] says why the signature is not valid; a malformed one is not.
    pub fn verify_ssz(&self, epoch: u64, message: &[u8; MESSAGE_BYTES], signature: &[u8]) -> Result<(), Rejection> {
        let signature = Signature::from_ssz(self.scheme, signature)?;
        self.verify(epoch, message, &signature)
    }
}

/// Checks one SSZ signature under a public key. For several signatures of one key, keep a [`Verifier`].
///
/// # Errors
/// [`Rejection`] says why the signature is not valid.
///
/// # Examples
/// ```
/// use keymill::{Scheme, interop::ssz::PublicKey, verify};
/// let scheme = Scheme::by_id("leansig-p1-l8-abort-v4-w8")?;
/// let public_key = PublicKey::from_ssz(scheme, &[0; 52])?;
/// let signature = vec![0; scheme.signature_bytes()];
/// assert!(verify(scheme, &public_key, 3, &[7; 32], &signature).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn verify(
    scheme: &'static Scheme,
    public_key: &PublicKey,
    epoch: u64,
    message: &[u8; MESSAGE_BYTES],
    signature: &[u8],
) -> Result<(), Rejection> {
    Verifier::new(scheme, public_key).verify_ssz(epoch, message, signature)
}
