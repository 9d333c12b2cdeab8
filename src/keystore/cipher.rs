//! AES-256-GCM (NIST SP 800-38D), over a secret and what belongs to it.

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use zeroize::Zeroizing;

use super::error::no_randomness;
use super::kdf::Key;
use crate::error::{Error, Result};

pub(super) const SECRET_BYTES: usize = 32;
pub(super) const NONCE_BYTES: usize = 12;
pub(super) const TAG_BYTES: usize = 16;

/// A secret that is encrypted, and what tells whether a key opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Encrypted {
    pub(super) nonce: [u8; NONCE_BYTES],
    pub(super) message: [u8; SECRET_BYTES],
    pub(super) tag: [u8; TAG_BYTES],
}

impl Encrypted {
    /// Encrypts a secret with a nonce that is drawn for it; `associated` is bound to it.
    pub(super) fn new(secret: &[u8; SECRET_BYTES], key: &Key, associated: &[u8]) -> Result<Self> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(no_randomness)?;
        let mut message = [0; SECRET_BYTES];
        let too_long = |_| Error::machine("AES-256-GCM refused what it was to encrypt");
        let buffer = InOutBuf::new(secret, &mut message).map_err(too_long)?;
        let cipher = Aes256Gcm::new((&**key).into());
        let tag = cipher.encrypt_inout_detached(&nonce.into(), associated, buffer);
        let tag = tag.map_err(|_| Error::machine("AES-256-GCM refused what it was to encrypt"))?;
        Ok(Self {
            nonce,
            message,
            tag: tag.into(),
        })
    }

    /// The secret, if this is its key, and nothing of both was changed.
    pub(super) fn open(&self, key: &Key, associated: &[u8]) -> Option<Zeroizing<[u8; SECRET_BYTES]>> {
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        let buffer = InOutBuf::new(&self.message, &mut *secret).ok()?;
        let cipher = Aes256Gcm::new((&**key).into());
        let opened = cipher.decrypt_inout_detached(&self.nonce.into(), associated, buffer, &self.tag.into());
        opened.ok().map(|()| secret)
    }
}
