//! A secret that is elsewhere too: it leaves, or comes from where it may have signed. From then on it is not known here which
//! of its epochs are unused, before `ledger init` says so (docs/DURABILITY.md, "An epoch signs once").

use super::error::mark_missing;
use super::{KeyDir, KeyPaths, KeyState, LedgerMark, LockedDir, Manifest, Stage};
use crate::error::Result;

impl KeyDir {
    /// Takes back, durably, that the ledger of this key says which epochs are unused: its secret leaves, or may have signed
    /// elsewhere. The key signs nothing from here on before `keymill ledger init`; what its ledger lists stays spent. Gives
    /// whether there was anything to take back. If there was not, nothing is written, and the directory may be read-only.
    ///
    /// # Errors
    /// [`Error`](crate::Error) if it cannot be taken back: the mark of the ledger is lost, a signer holds the lock, the disk is
    /// read-only. The secret must not leave then.
    pub(crate) fn note_elsewhere(&self) -> Result<bool> {
        if vouching_mark(&self.paths, &self.manifest)?.is_none() {
            return Ok(false);
        }
        self.lock()?.take_back(&self.manifest)
    }

    /// Whether the ledger of this key says which epochs are unused, as far as its mark tells: then the key may sign from here.
    pub(crate) fn may_sign(&self) -> Result<bool> {
        Ok(vouching_mark(&self.paths, &self.manifest)?.is_some())
    }
}

impl LockedDir {
    /// As [`KeyDir::note_elsewhere`], under the lock that is held.
    pub(crate) fn take_back(&self, manifest: &Manifest) -> Result<bool> {
        let Some(mark) = vouching_mark(self, manifest)? else {
            return Ok(false);
        };
        let stage = Stage::NotBegun;
        LedgerMark { stage, ..mark }.write(self)?;
        Ok(true)
    }
}

/// The mark, if it vouches. Where it is lost and the ledger is not, a finished key signs nothing; but the mark could be put
/// back, and vouch again for a secret that has left meanwhile.
fn vouching_mark(paths: &KeyPaths, manifest: &Manifest) -> Result<Option<LedgerMark>> {
    match LedgerMark::read(&paths.ledger_mark(), manifest.key_id())? {
        None if manifest.state() == KeyState::Sealed && paths.state().exists()? => {
            Err(mark_missing(paths.ledger_mark().path()))
        }
        mark => {
            // A set whose ledger lets the key sign has to let go of it before its secret leaves.
            mark.iter().try_for_each(|mark| mark.check_is_here(paths.root()))?;
            Ok(mark.filter(LedgerMark::vouches))
        }
    }
}
