//! What another copy of a key, or another key with the same one-time keys, has spent.

use std::collections::BTreeMap;
use std::path::Path;

use super::SigningLedger;
use super::error::{other_key, unfit};
use crate::error::Result;
use crate::interop::ledger_json::{KeyHistory, SignedEpoch, parse};
use crate::keydir::{KeyDir, Manifest};
use crate::state::LedgerRecord;
use crate::units::{Epoch, Fingerprint, KeyId};

/// Entries that are imported in one synced write.
const CHUNK_ENTRIES: usize = 1024;

/// An epoch that was spent on two messages: anyone who has both signatures can forge others of that epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conflict {
    /// The epoch.
    pub epoch: Epoch,
    /// SHA3-256 of the message that the ledger names, and goes on naming.
    pub ours: [u8; 32],
    /// SHA3-256 of the message that the imported file names.
    pub theirs: [u8; 32],
}

/// An epoch that is spent here and there, on a message that one of the two does not name: it may be another one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownMessage {
    /// The epoch.
    pub epoch: Epoch,
    /// SHA3-256 of the message, if the ledger names it.
    pub ours: Option<[u8; 32]>,
    /// SHA3-256 of the message, if the imported file names it.
    pub theirs: Option<[u8; 32]>,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportReport {
    /// Epochs that the ledger did not know to be spent.
    pub added: u64,
    /// Epochs that it knew, on the same message.
    pub known: u64,
    /// Epochs that are spent on another message here than there.
    pub conflicts: Vec<Conflict>,
    /// Epochs that are spent on a message which is not known here, or not there.
    pub unknown: Vec<UnknownMessage>,
    /// Epochs that another key with the same one-time keys has spent, and that this one does not have.
    pub outside: u64,
    /// The first epoch that may sign, if the file says that epochs below it are not known to be unused.
    pub raised_to: Option<u64>,
    /// Whether it is known from where the key is unused; if not, it does not sign.
    pub initialised: bool,
}

/// Adds what the text of a ledger file, named `path` in errors, says about the sealed key in a directory: the histories of this
/// key, and of any other that has the same one-time keys. What the ledger has is kept. It does not begin a ledger: a key
/// without a known history has none afterwards, until [`init`](super::init). A ledger that does not fit its mark takes entries
/// as well, and signs nothing from then on until [`init`](super::init).
///
/// # Errors
/// [`Error`](crate::Error) if the text is not a ledger, has nothing of these one-time keys, or names epochs of this very key that the
/// key does not have; nothing is then imported.
pub fn import(directory: &Path, path: &Path, text: &[u8]) -> Result<ImportReport> {
    let key = KeyDir::open_sealed(directory)?;
    let histories = parse(text).map_err(|why| unfit(path, why))?;
    let own = Own {
        manifest: key.manifest(),
        public_key: key.manifest().public_key().unwrap_or_default(),
        fingerprint: key.fingerprint()?,
    };
    let histories = histories.iter().enumerate();
    let histories: Vec<_> = histories.filter(|(_, history)| own.shares(history)).collect();
    if histories.is_empty() {
        return Err(other_key(path, directory));
    }
    for (index, history) in &histories {
        own.check_epochs(path, *index, history)?;
    }
    let key_id = key.manifest().key_id();
    let (mut ledger, fits) = SigningLedger::open_to_import(&key)?;
    if !fits {
        let head = ledger.head(key_id)?;
        ledger.commit(key_id, [], head)?;
    }
    let mut import = Import {
        ledger,
        key_id,
        pending: BTreeMap::new(),
        report: ImportReport::default(),
    };
    for (_, history) in histories {
        import.history(history)?;
    }
    import.commit()?;
    import.ledger.mark()?;
    import.report.initialised = import.ledger.head(key_id)?.initialised;
    Ok(import.report)
}

/// The key whose ledger it is.
struct Own<'a> {
    manifest: &'a Manifest,
    public_key: Vec<u8>,
    fingerprint: Option<Fingerprint>,
}

impl Own<'_> {
    fn is_named_in(&self, history: &KeyHistory) -> bool {
        history.owner.public_key == self.public_key && history.owner.scheme == self.manifest.scheme().id()
    }

    /// Whether a history is of the same one-time keys, so that what it has spent is spent here too.
    fn shares(&self, history: &KeyHistory) -> bool {
        let fingerprint = history.owner.fingerprint;
        self.is_named_in(history) || (fingerprint.is_some() && fingerprint == self.fingerprint)
    }

    /// Refuses epochs of this very key that it does not have. Another one may have other epochs.
    fn check_epochs(&self, path: &Path, index: usize, history: &KeyHistory) -> Result<()> {
        let stored = self.manifest.plan().stored();
        if !self.is_named_in(history) {
            return Ok(());
        }
        for (number, entry) in history.signed_epochs.iter().enumerate() {
            if !stored.contains(entry.epoch) {
                let why = format!(
                    "data[{index}].signed_epochs[{number}].epoch is {}, outside this key, which stores the epochs {stored}",
                    entry.epoch
                );
                return Err(unfit(path, why));
            }
        }
        Ok(())
    }
}

/// An import under way. Each chunk is committed together with the head that counts it.
struct Import {
    ledger: SigningLedger,
    key_id: KeyId,
    pending: BTreeMap<u32, LedgerRecord>,
    report: ImportReport,
}

impl Import {
    fn history(&mut self, history: &KeyHistory) -> Result<()> {
        let (stored, _) = self.ledger.stored(self.key_id)?;
        let first_epoch = history.owner.first_epoch.unwrap_or_default().min(stored.end);
        let mut head = self.ledger.head(self.key_id)?;
        if first_epoch > head.extent.first_epoch {
            self.report.raised_to = Some(first_epoch);
            head.extent.first_epoch = first_epoch;
            self.ledger.commit(self.key_id, [], head)?;
        }
        for entry in &history.signed_epochs {
            if !stored.contains(entry.epoch) {
                self.report.outside += 1;
                continue;
            }
            self.entry(entry)?;
            if self.pending.len() >= CHUNK_ENTRIES {
                self.commit()?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: &SignedEpoch) -> Result<()> {
        let epoch = entry.epoch;
        let ours = match self.pending.get(&epoch.0) {
            Some(record) => Some(record.clone()),
            None => self.ledger.entry(self.key_id, epoch)?,
        };
        let Some(ours) = ours else {
            let record = LedgerRecord {
                message_digest: entry.message_digest,
                scheme: self.ledger.stored(self.key_id)?.1.to_owned(),
                signed_unix_ms: entry.signed_unix_ms,
            };
            self.pending.insert(epoch.0, record);
            self.report.added += 1;
            return Ok(());
        };
        let report = &mut self.report;
        match (ours.message_digest, entry.message_digest) {
            (ours, theirs) if ours == theirs => report.known += 1,
            (Some(ours), Some(theirs)) => report.conflicts.push(Conflict { epoch, ours, theirs }),
            (ours, theirs) => report.unknown.push(UnknownMessage { epoch, ours, theirs }),
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut head = self.ledger.head(self.key_id)?;
        for (&epoch, record) in &self.pending {
            head.add(Epoch(epoch), record);
        }
        let entries = std::mem::take(&mut self.pending);
        let entries = entries.iter().map(|(&epoch, record)| (Epoch(epoch), record));
        self.ledger.commit(self.key_id, entries, head)
    }
}
