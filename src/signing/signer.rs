//! Signing from disk.

use std::path::Path;

use super::PathReader;
use super::error::{bad_public_key, no_codeword, spent, withheld};
use crate::error::Result;
use crate::ledger::{EpochState, Ledger};
use crate::units::Epoch;
use keymill_xmss::Verifier;
use keymill_xmss::hash::PrfKey;
use keymill_xmss::scheme::MESSAGE_BYTES;
use keymill_xmss::{PublicKey, Signature};

/// Signs with one sealed key. Holds the directory's lock as long as it lives, so there is one at a time.
///
/// An epoch signs one message. The same message again gives the same signature; another one is refused, whatever crash
/// or kill came between, as long as the directory is not taken back to an earlier state as a whole.
pub struct Signer {
    paths: PathReader,
    prf_key: PrfKey,
    verifier: Verifier,
    ledger: Ledger,
}

impl Signer {
    /// Opens the sealed key in a directory, with its secret and its ledger of spent epochs.
    ///
    /// # Errors
    /// [`Error`](crate::Error) if it is not a sealed key, if secret or layer files are missing, damaged, or another key's, if
    /// another process holds the lock, or if the ledger went backwards.
    pub fn open(directory: &Path) -> Result<Self> {
        let paths = PathReader::open(directory)?;
        let prf_key = paths.key().prf_key()?;
        let manifest = paths.manifest();
        let public_key = manifest.public_key().unwrap_or_default();
        let public_key =
            PublicKey::from_ssz(manifest.scheme(), &public_key).map_err(|why| bad_public_key(directory, &why))?;
        let verifier = Verifier::new(&public_key);
        let ledger = Ledger::open(paths.key())?;
        Ok(Self {
            paths,
            prf_key,
            verifier,
            ledger,
        })
    }

    /// The public side of the key.
    pub fn paths(&self) -> &PathReader {
        &self.paths
    }

    /// Makes every signature wrong.
    #[cfg(test)]
    pub(super) fn replace_prf_key(&mut self, prf_key: PrfKey) {
        self.prf_key = prf_key;
    }

    /// Signs a message at an epoch, after the epoch is spent in the ledger, and verifies the signature before it is given
    /// out.
    ///
    /// # Errors
    /// [`Reason::Spent`](crate::Reason::Spent) if the epoch has signed another message. Any other [`Error`](crate::Error) if the epoch is outside
    /// the key or not known to be unused, no codeword is accepted, the key's files are damaged, or the ledger cannot be
    /// written; after the last of these nothing more is signed until the key is opened again.
    pub fn sign(&mut self, epoch: Epoch, message: &[u8; MESSAGE_BYTES]) -> Result<Signature> {
        self.paths.epoch(epoch.0.into())?;
        let standing = self.ledger.standing(epoch, message)?;
        if let EpochState::OtherMessage { signed_unix_ms } = standing {
            return Err(spent(epoch, signed_unix_ms, self.paths.key().path()));
        }
        // Whatever can fail and reveals nothing comes before the epoch is spent.
        let path = self.paths.path(epoch)?;
        let kernel = self.paths.kernel();
        let scheme = self.paths.manifest().scheme();
        let codeword = kernel
            .find_codeword(&self.prf_key, epoch, message)
            .ok_or_else(|| no_codeword(epoch, scheme.attempts_max()))?;
        // Before any chain value exists, the epoch is spent on disk (RFC 8391, section 4.1.9).
        if standing == EpochState::Unused {
            self.ledger.spend(epoch, message)?;
        }
        let mut hashes = vec![0; scheme.chains() * scheme.digest_bytes()];
        kernel.reveal(&self.prf_key, epoch, &codeword.positions, &mut hashes);
        let signature =
            Signature::new(scheme, codeword.rho, path.siblings, hashes).map_err(keymill_xmss::Rejection::from);
        let verified = signature.and_then(|signature| {
            self.verifier.verify(epoch, message, &signature)?;
            Ok(signature)
        });
        verified.map_err(|why| withheld(epoch, &why))
    }
}
