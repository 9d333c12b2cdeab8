//! Signing from disk.

use std::path::Path;

use super::{PathReader, SigningError, Verifier};
use crate::hash::PrfKey;
use crate::interop::ssz::{PublicKey, Signature};
use crate::scheme::MESSAGE_BYTES;
use crate::units::Epoch;

/// Signs with one sealed key.
///
/// The same message for the same epoch gives the same signature. Two different messages for one epoch give the key away;
/// this version does not keep a ledger of spent epochs, so its caller has to.
pub struct Signer {
    paths: PathReader,
    prf_key: PrfKey,
    verifier: Verifier,
}

impl Signer {
    /// Opens the sealed key in a directory, with its secret.
    ///
    /// # Errors
    /// [`SigningError`] if it is not a sealed key, or if secret or layer files are missing, damaged, or another key's.
    pub fn open(directory: &Path) -> Result<Self, SigningError> {
        let paths = PathReader::open(directory)?;
        let prf_key = paths.key().prf_key()?;
        let manifest = paths.manifest();
        let public_key = manifest.public_key().unwrap_or_default();
        let public_key = PublicKey::from_ssz(manifest.scheme(), &public_key).map_err(|source| {
            let directory = directory.to_owned();
            SigningError::PublicKey { directory, source }
        })?;
        let verifier = Verifier::new(manifest.scheme(), &public_key);
        Ok(Self {
            paths,
            prf_key,
            verifier,
        })
    }

    /// The public side of the key.
    pub fn paths(&self) -> &PathReader {
        &self.paths
    }

    /// Signs a message at an epoch, and verifies the signature before it is given out.
    ///
    /// # Errors
    /// [`SigningError`] if the epoch is outside the key, no codeword is accepted, or the key's files are damaged.
    pub fn sign(&self, epoch: Epoch, message: &[u8; MESSAGE_BYTES]) -> Result<Signature, SigningError> {
        let path = self.paths.path(epoch)?;
        let kernel = self.paths.kernel();
        let scheme = self.paths.manifest().scheme();
        let codeword = kernel
            .find_codeword(&self.prf_key, epoch, message)
            .ok_or_else(|| SigningError::NoCodeword {
                epoch,
                attempts: scheme.attempts_max(),
            })?;
        let mut hashes = vec![0; scheme.chains() * scheme.digest_bytes()];
        kernel.reveal(&self.prf_key, epoch, &codeword.positions, &mut hashes);
        let signature = Signature {
            rho: codeword.rho,
            siblings: path.siblings,
            hashes,
        };
        self.verifier
            .verify(epoch.0.into(), message, &signature)
            .map_err(|source| SigningError::Withheld { epoch, source })?;
        Ok(signature)
    }
}
