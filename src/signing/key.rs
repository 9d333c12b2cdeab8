//! The parts of signing that need no ledger: what comes before an epoch is spent, and what comes after.

use std::path::Path;

use super::error::{bad_public_key, no_codeword, withheld};
use super::{AuthenticationPath, PathReader};
use crate::error::Result;
use crate::units::Epoch;
#[cfg(feature = "serve")]
use crate::units::Fingerprint;
use keymill_xmss::Verifier;
#[cfg(feature = "serve")]
use keymill_xmss::hash::fingerprint;
use keymill_xmss::hash::{Codeword, PrfKey};
use keymill_xmss::scheme::MESSAGE_BYTES;
use keymill_xmss::{PublicKey, Signature};

/// A sealed key with its secret. Any number of threads can use it side by side.
pub(crate) struct SigningKey {
    paths: PathReader,
    prf_key: PrfKey,
    verifier: Verifier,
}

/// All of a signature that reveals nothing: its epoch can be spent now.
pub(crate) struct Prepared {
    pub(crate) epoch: Epoch,
    pub(crate) message: [u8; MESSAGE_BYTES],
    path: AuthenticationPath,
    codeword: Codeword,
}

impl SigningKey {
    /// The key that these paths are of.
    pub(crate) fn of(paths: PathReader) -> Result<Self> {
        let prf_key = paths.key().prf_key()?;
        let manifest = paths.manifest();
        let public_key = manifest.public_key().unwrap_or_default();
        let public_key = PublicKey::from_ssz(manifest.scheme(), &public_key)
            .map_err(|why| bad_public_key(paths.key().path(), &why))?;
        Ok(Self {
            verifier: Verifier::new(&public_key),
            prf_key,
            paths,
        })
    }

    /// The public side of the key.
    pub(crate) fn paths(&self) -> &PathReader {
        &self.paths
    }

    /// The directory of the key.
    pub(crate) fn directory(&self) -> &Path {
        self.paths.key().path()
    }

    /// What keys with the same one-time keys have in common.
    #[cfg(feature = "serve")]
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.prf_key, self.paths.manifest().parameter())
    }

    /// Makes every signature wrong.
    #[cfg(test)]
    pub(super) fn replace_prf_key(&mut self, prf_key: PrfKey) {
        self.prf_key = prf_key;
    }

    /// Everything that can fail and reveals nothing.
    pub(crate) fn prepare(&self, epoch: Epoch, message: &[u8; MESSAGE_BYTES]) -> Result<Prepared> {
        let path = self.paths.path(epoch)?;
        let codeword = self.paths.kernel().find_codeword(&self.prf_key, epoch, message);
        let attempts_max = self.paths.manifest().scheme().attempts_max();
        Ok(Prepared {
            epoch,
            message: *message,
            path,
            codeword: codeword.ok_or_else(|| no_codeword(epoch, attempts_max))?,
        })
    }

    /// Reveals the chain values of an epoch **that is spent on this message on disk** (RFC 8391, section 4.1.9), and verifies
    /// the signature before it is given out.
    pub(crate) fn reveal(&self, prepared: Prepared) -> Result<Signature> {
        let Prepared {
            epoch,
            message,
            path,
            codeword,
        } = prepared;
        let scheme = self.paths.manifest().scheme();
        let mut hashes = vec![0; scheme.chains() * scheme.digest_bytes()];
        let kernel = self.paths.kernel();
        kernel.reveal(&self.prf_key, epoch, &codeword.positions, &mut hashes);
        let signature =
            Signature::new(scheme, codeword.rho, path.siblings, hashes).map_err(keymill_xmss::Rejection::from);
        let verified = signature.and_then(|signature| {
            self.verifier.verify(epoch, &message, &signature)?;
            Ok(signature)
        });
        verified.map_err(|why| withheld(epoch, &why))
    }
}
