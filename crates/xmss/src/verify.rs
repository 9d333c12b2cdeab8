//! Verifying a signature (docs/SCHEMES.md, "Verifying").

use crate::hash::{Kernel, Revealed};
use crate::scheme::{MESSAGE_BYTES, PastLifetime};
use crate::signature::{PublicKey, Signature, SszError};
use crate::units::Epoch;

/// Why a signature is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The scheme has no such epoch.
    #[error(transparent)]
    PastLifetime(#[from] PastLifetime),
    /// Public key and signature are of two schemes.
    #[error("the signature is one of {signature}, and the public key one of {public_key}")]
    OtherScheme {
        /// Scheme identifier of the signature.
        signature: &'static str,
        /// Scheme identifier of the public key.
        public_key: &'static str,
    },
    /// The signature is not one of this scheme.
    #[error("the signature is malformed: {0}")]
    Malformed(#[from] SszError),
    /// The message does not hash to an accepted codeword with the signature's randomness.
    #[error("the signature does not fit this message, epoch and public key: its codeword is not accepted")]
    CodewordRejected,
    /// Chains and path lead to another root.
    #[error("the signature leads to another root than the public key's")]
    OtherRoot,
}

/// Verifies signatures of one public key; keep it when there are several.
pub struct Verifier {
    kernel: Box<dyn Kernel>,
    public_key: PublicKey,
}

impl Verifier {
    /// A verifier for this public key.
    pub fn new(public_key: &PublicKey) -> Self {
        Self {
            kernel: public_key.scheme().kernel(public_key.parameter()),
            public_key: public_key.clone(),
        }
    }

    /// Checks a signature.
    ///
    /// # Errors
    /// [`Rejection`] says why the signature is not valid.
    pub fn verify(&self, epoch: Epoch, message: &[u8; MESSAGE_BYTES], signature: &Signature) -> Result<(), Rejection> {
        fits(&self.public_key, epoch, signature)?;
        let positions = self
            .kernel
            .codeword_of(epoch, message, signature.rho())
            .ok_or(Rejection::CodewordRejected)?;
        let mut node = vec![0; self.public_key.scheme().digest_bytes()];
        self.kernel
            .leaf_of_revealed(epoch, &positions, signature.hashes(), &mut node);
        self.kernel.fold_path(epoch, signature.siblings(), &mut node);
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
    pub fn verify_batch(&self, signatures: &[(Epoch, &[u8; MESSAGE_BYTES], &Signature)]) -> Vec<Result<(), Rejection>> {
        let claims = signatures.iter().map(|&(epoch, message, signature)| Claim {
            public_key: &self.public_key,
            epoch,
            message,
            signature,
        });
        verdicts(self.kernel.as_ref(), &claims.collect::<Vec<_>>())
    }

    /// Checks a signature in SSZ.
    ///
    /// # Errors
    /// [`Rejection`] says why the signature is not valid; a malformed one is not.
    pub fn verify_ssz(&self, epoch: Epoch, message: &[u8; MESSAGE_BYTES], signature: &[u8]) -> Result<(), Rejection> {
        let signature = Signature::from_ssz(self.public_key.scheme(), signature)?;
        self.verify(epoch, message, &signature)
    }
}

/// Refuses an epoch that the scheme has not, and a signature of another scheme.
fn fits(public_key: &PublicKey, epoch: Epoch, signature: &Signature) -> Result<(), Rejection> {
    let scheme = public_key.scheme();
    scheme.epoch(epoch.0.into())?;
    if signature.scheme() != scheme {
        return Err(Rejection::OtherScheme {
            signature: signature.scheme().id(),
            public_key: scheme.id(),
        });
    }
    Ok(())
}

/// A signature, and what it is said to be one of.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// Whose signature.
    pub public_key: &'a PublicKey,
    /// Of which epoch.
    pub epoch: Epoch,
    /// Of which message.
    pub message: &'a [u8; MESSAGE_BYTES],
    /// The signature.
    pub signature: &'a Signature,
}

/// Checks many signatures under as many public keys, in less time than one by one: several are hashed side by side. The
/// verdicts are those of [`Verifier::verify`], in the order of the claims. Those of one scheme should stand together.
///
/// It uses one core; for more of them, give each a part of the claims.
///
/// # Examples
/// ```
/// use keymill_xmss::units::Epoch;
/// use keymill_xmss::{Claim, PublicKey, Rejection, Scheme, Signature, verify_batch};
/// let scheme = Scheme::by_id("leansig-p1-l8-abort-v4-w8")?;
/// let public_keys = [PublicKey::from_ssz(scheme, &[0; 52])?, PublicKey::from_ssz(scheme, &[1; 52])?];
/// let signature = Signature::new(scheme, vec![0; 28], vec![0; 8 * 32], vec![0; 4 * 32])?;
/// let claim = |public_key| Claim {
///     public_key,
///     epoch: Epoch(256),
///     message: &[7; 32],
///     signature: &signature,
/// };
/// let verdicts = verify_batch(&[claim(&public_keys[0]), claim(&public_keys[1])]);
/// assert_eq!(verdicts.len(), 2);
/// assert!(matches!(verdicts[0], Err(Rejection::PastLifetime(_))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn verify_batch(claims: &[Claim<'_>]) -> Vec<Result<(), Rejection>> {
    let of_one_scheme = claims.chunk_by(|a, b| a.public_key.scheme() == b.public_key.scheme());
    let kernel = |claim: &Claim<'_>| claim.public_key.scheme().kernel(claim.public_key.parameter());
    of_one_scheme
        .flat_map(|claims| verdicts(kernel(&claims[0]).as_ref(), claims))
        .collect()
}

fn verdicts(kernel: &dyn Kernel, claims: &[Claim<'_>]) -> Vec<Result<(), Rejection>> {
    let fitting: Vec<_> = claims
        .iter()
        .map(|claim| fits(claim.public_key, claim.epoch, claim.signature))
        .collect();
    let revealed: Vec<Revealed<'_>> = claims
        .iter()
        .zip(&fitting)
        .filter(|(_, fits)| fits.is_ok())
        .map(|(claim, _)| Revealed {
            parameter: claim.public_key.parameter(),
            epoch: claim.epoch,
            message: claim.message,
            rho: claim.signature.rho(),
            values: claim.signature.hashes(),
            siblings: claim.signature.siblings(),
        })
        .collect();
    let mut roots = kernel.roots_of_revealed(&revealed).into_iter();
    let verdict = |(claim, fits): (&Claim<'_>, Result<(), Rejection>)| {
        // A claim that does not fit has no root, not even an empty one.
        fits?;
        match roots.next().flatten() {
            None => Err(Rejection::CodewordRejected),
            Some(root) if root == claim.public_key.root() => Ok(()),
            Some(_) => Err(Rejection::OtherRoot),
        }
    };
    claims.iter().zip(fitting).map(verdict).collect()
}

/// Checks one SSZ signature under a public key. For several signatures of one key, keep a [`Verifier`].
///
/// # Errors
/// [`Rejection`] says why the signature is not valid.
///
/// # Examples
/// ```
/// use keymill_xmss::units::Epoch;
/// use keymill_xmss::{PublicKey, Scheme, verify};
/// let scheme = Scheme::by_id("leansig-p1-l8-abort-v4-w8")?;
/// let public_key = PublicKey::from_ssz(scheme, &[0; 52])?;
/// let signature = vec![0; scheme.signature_bytes()];
/// assert!(verify(&public_key, Epoch(3), &[7; 32], &signature).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn verify(
    public_key: &PublicKey,
    epoch: Epoch,
    message: &[u8; MESSAGE_BYTES],
    signature: &[u8],
) -> Result<(), Rejection> {
    Verifier::new(public_key).verify_ssz(epoch, message, signature)
}
