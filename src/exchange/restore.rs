//! A key directory from a backup: the same manifest, secret and layer files, byte for byte.

#[cfg(test)]
pub(super) mod tests;

use std::path::Path;

use super::backup::Backup;
use crate::error::{Error, Reason, Result};
use crate::keydir::KeyDir;
use crate::keygen::KeyRequest;
use crate::remedy::Remedy;
use crate::units::KeyId;

impl Backup {
    /// The key of the backup, to be made in a directory in which there is no key yet, or the same one. It may have signed
    /// elsewhere, so its ledger begins without a known history. A tree with another root than the backup has is not sealed.
    ///
    /// # Errors
    /// [`Error`] if the directory has another key, or its manifest cannot be read.
    pub fn request(&self, directory: &Path) -> Result<KeyRequest> {
        let found = found_key(directory)?;
        if let Some(found) = found.filter(|&found| found != self.key_id()) {
            let what = format!(
                "'{}' holds the key {found}, and the backup is of the key {}",
                directory.display(),
                self.key_id()
            );
            let error = Error::directory(what).because(Reason::Contradiction).at(directory);
            return Err(error.mend([Remedy::OtherDirectory]));
        }
        let plan = self.plan();
        let root = |public_key: &[u8]| public_key[..plan.scheme().digest_bytes()].to_vec();
        Ok(KeyRequest {
            scheme: Some(plan.scheme()),
            activation_epoch: Some(plan.activation_epoch()),
            epochs: Some(plan.active_epochs()),
            secret: Some(self.secret().clone()),
            parameter: self.parameter(),
            fillers: self.fillers().map(<[u8]>::to_vec),
            root: self.public_key().map(root),
            // The same key may have been trimmed since.
            trim: found.is_none().then(|| plan.trim()),
            restored: Some(self.origin()),
        })
    }
}

/// The key that is in a directory already.
fn found_key(directory: &Path) -> Result<Option<KeyId>> {
    match KeyDir::open_any_version(directory) {
        Ok(key) => Ok(Some(key.manifest().key_id())),
        // Of one that has lost its manifest too; making the key there is refused.
        Err(error) if error.reason() == Reason::NoManifest => Ok(None),
        Err(error) => Err(error),
    }
}
