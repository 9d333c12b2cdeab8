//! Signing from disk, one signature after the other.

use super::PathReader;
use super::error::spent;
use super::key::SigningKey;
use crate::error::Result;
use crate::keydir::KeyPlace;
use crate::ledger::{EpochState, SigningLedger, Syncs};
use crate::units::Epoch;
use keymill_xmss::Signature;
use keymill_xmss::scheme::MESSAGE_BYTES;

/// Signs with one sealed key. Holds the directory's lock as long as it lives, so there is one at a time.
///
/// An epoch signs one message. The same message again gives the same signature; another one is refused, whatever crash
/// or kill came between, as long as the directory is not taken back to an earlier state as a whole.
pub struct Signer {
    key: SigningKey,
    ledger: SigningLedger,
}

impl Signer {
    /// Opens the sealed key in a directory, with its secret and its ledger of spent epochs.
    ///
    /// # Errors
    /// [`Error`](crate::Error) if it is not a sealed key, if secret or layer files are missing, damaged, or another key's, if
    /// another process holds the lock, or if the ledger went backwards.
    pub fn open<'a>(place: impl Into<KeyPlace<'a>>) -> Result<Self> {
        let key = SigningKey::of(PathReader::open(place)?)?;
        let ledger = SigningLedger::open(key.paths().key())?;
        Ok(Self { key, ledger })
    }

    /// The public side of the key.
    pub fn paths(&self) -> &PathReader {
        self.key.paths()
    }

    /// Makes every signature wrong.
    #[cfg(test)]
    pub(super) fn replace_prf_key(&mut self, prf_key: keymill_xmss::hash::PrfKey) {
        self.key.replace_prf_key(prf_key);
    }

    /// Signs a message at an epoch, after the epoch is spent in the ledger, and verifies the signature before it is given
    /// out.
    ///
    /// # Errors
    /// [`Reason::Spent`](crate::Reason::Spent) if the epoch has signed another message. Any other [`Error`](crate::Error) if the epoch is outside
    /// the key or not known to be unused, no codeword is accepted, the key's files are damaged, or the ledger cannot be
    /// written; after the last of these nothing more is signed until the key is opened again.
    pub fn sign(&mut self, epoch: Epoch, message: &[u8; MESSAGE_BYTES]) -> Result<Signature> {
        self.key.paths().epoch(epoch.0.into())?;
        let key_id = self.key.paths().manifest().key_id();
        let standing = self.ledger.standing(key_id, epoch, message)?;
        if let EpochState::OtherMessage { signed_unix_ms } = standing {
            return Err(spent(epoch, signed_unix_ms, self.key.directory()));
        }
        // Whatever can fail and reveals nothing comes before the epoch is spent.
        let prepared = self.key.prepare(epoch, message)?;
        if standing == EpochState::Unused {
            self.ledger.spend(&[(key_id, epoch, message)], Syncs::InTurn)?;
        }
        self.key.reveal(prepared)
    }
}
