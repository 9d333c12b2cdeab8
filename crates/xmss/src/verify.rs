//! Verifying a signature (docs/SCHEMES.md, "Verifying").

use crate::hash::{Kernel, Revealed};
use crate::scheme::{MESSAGE_BYTES, Scheme};
use crate::signature::{PublicKey, Signature, SszError};
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
    public_key: PublicKey,
}

impl Verifier {
    /// A verifier for a public key of this scheme.
    pub fn new(scheme: &'static Scheme, public_key: &PublicKey) -> Self {
        Self {
            scheme,
            kernel: scheme.kernel(public_key.parameter()),
            public_key: public_key.clone(),
        }
    }

    /// Checks a signature.
    ///
    /// # Errors
    /// [`Rejection`] says why the signature is not valid.
    pub fn verify(&self, epoch: u64, message: &[u8; MESSAGE_BYTES], signature: &Signature) -> Result<(), Rejection> {
        let scheme = self.scheme;
        let epoch = well_formed(scheme, epoch, signature)?;
        let positions = self
            .kernel
            .codeword_of(epoch, message, &signature.rho)
            .ok_or(Rejection::CodewordRejected)?;
        let mut node = vec![0; scheme.digest_bytes()];
        self.kernel
            .leaf_of_revealed(epoch, &positions, &signature.hashes, &mut node);
        self.kernel.fold_path(epoch, &signature.siblings, &mut node);
        if node == self.public_key.root() {
            Ok(())
        } else {
            Err(Rejection::OtherRoot)
        }
    }

    /// Checks many signatures, each with its epoch and message, in less time than one by one: several are hashed side by
    /// side. The verdicts are those of [`verify`](Self::verify), in the same order.
    ///
    /// It uses one core; for more of them, give each a part of the signatures.
    pub fn verify_batch(&self, signatures: &[(u64, &[u8; MESSAGE_BYTES], &Signature)]) -> Vec<Result<(), Rejection>> {
        let claims = signatures.iter().map(|&(epoch, message, signature)| Claim {
            public_key: &self.public_key,
            epoch,
            message,
            signature,
        });
        verdicts(self.scheme, self.kernel.as_ref(), &claims.collect::<Vec<_>>())
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

/// The epoch, if scheme and signature have it and its parts.
fn well_formed(scheme: &'static Scheme, epoch: u64, signature: &Signature) -> Result<Epoch, Rejection> {
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
    Ok(epoch)
}

/// A signature, and what it is said to be one of.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// Whose signature.
    pub public_key: &'a PublicKey,
    /// Of which epoch.
    pub epoch: u64,
    /// Of which message.
    pub message: &'a [u8; MESSAGE_BYTES],
    /// The signature.
    pub signature: &'a Signature,
}

/// Checks many signatures of one scheme, under as many public keys, in less time than one by one: several are hashed side
/// by side. The verdicts are those of [`Verifier::verify`], in the order of the claims.
///
/// It uses one core; for more of them, give each a part of the claims.
///
/// # Examples
/// ```
/// use keymill_xmss::{PublicKey, Signature};
/// use keymill_xmss::{Claim, Rejection, Scheme, verify_batch};
/// let scheme = Scheme::by_id("leansig-p1-l8-abort-v4-w8")?;
/// let public_keys = [PublicKey::from_ssz(scheme, &[0; 52])?, PublicKey::from_ssz(scheme, &[1; 52])?];
/// let signature = Signature {
///     rho: vec![0; 28],
///     siblings: vec![0; 8 * 32],
///     hashes: vec![0; 4 * 32],
/// };
/// let claim = |public_key| Claim {
///     public_key,
///     epoch: 256,
///     message: &[7; 32],
///     signature: &signature,
/// };
/// let verdicts = verify_batch(scheme, &[claim(&public_keys[0]), claim(&public_keys[1])]);
/// assert_eq!(verdicts.len(), 2);
/// assert!(matches!(verdicts[0], Err(Rejection::PastLifetime { epoch: 256, .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn verify_batch(scheme: &'static Scheme, claims: &[Claim<'_>]) -> Vec<Result<(), Rejection>> {
    match claims.first() {
        Some(claim) => verdicts(scheme, scheme.kernel(claim.public_key.parameter()).as_ref(), claims),
        None => Vec::new(),
    }
}

fn verdicts(scheme: &'static Scheme, kernel: &dyn Kernel, claims: &[Claim<'_>]) -> Vec<Result<(), Rejection>> {
    let epochs: Vec<_> = claims
        .iter()
        .map(|claim| well_formed(scheme, claim.epoch, claim.signature))
        .collect();
    let revealed: Vec<Revealed<'_>> = claims
        .iter()
        .zip(&epochs)
        .filter_map(|(claim, epoch)| {
            epoch.as_ref().ok().map(|&epoch| Revealed {
                parameter: claim.public_key.parameter(),
                epoch,
                message: claim.message,
                rho: &claim.signature.rho,
                values: &claim.signature.hashes,
                siblings: &claim.signature.siblings,
            })
        })
        .collect();
    let mut roots = kernel.roots_of_revealed(&revealed).into_iter();
    let verdict = |(claim, epoch): (&Claim<'_>, Result<Epoch, Rejection>)| {
        // A claim that is not well formed has no root, not even an empty one.
        epoch?;
        match roots.next().flatten() {
            None => Err(Rejection::CodewordRejected),
            Some(root) if root == claim.public_key.root() => Ok(()),
            Some(_) => Err(Rejection::OtherRoot),
        }
    };
    claims.iter().zip(epochs).map(verdict).collect()
}

/// Checks one SSZ signature under a public key. For several signatures of one key, keep a [`Verifier`].
///
/// # Errors
/// [`Rejection`] says why the signature is not valid.
///
/// # Examples
/// ```
/// use keymill_xmss::{PublicKey, Scheme, verify};
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
