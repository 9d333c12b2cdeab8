//! Beginning a ledger, and carrying it from one copy of a key to another.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Ledger, LedgerError, count};
use crate::interop::ledger_json::{HistoryOwner, KeyHistory, SignedEpoch, TAIL_TEXT, entry_text, head_text, parse};
use crate::keydir::{KeyDir, KeyDirError, LedgerMark, Manifest};
use crate::state::{LedgerExtent, LedgerHead, LedgerRecord};
use crate::units::Epoch;

/// Entries that are imported in one synced write.
const CHUNK_ENTRIES: usize = 1024;

/// Says from which epoch on the sealed key in a directory is unused, but for the epochs that its ledger lists.
///
/// It never lowers anything: the epoch has to be above every spent one, and not below one that was said before, as far as
/// the ledger and the mark beside it know. A ledger and a mark that do not fit each other fit afterwards.
///
/// # Errors
/// [`LedgerError::TooLow`] names the least epoch that is possible.
pub fn init(directory: &Path, first_epoch: u64) -> Result<(), LedgerError> {
    let key = KeyDir::open_sealed(directory)?;
    let stored = key.manifest().plan().stored();
    if first_epoch >= stored.end {
        let asked = first_epoch;
        return Err(LedgerError::PastKey { asked, stored });
    }
    let mut ledger = Ledger::open_unchecked(&key)?;
    let mark = match LedgerMark::read(&ledger.mark_file, ledger.key_id) {
        // It says nothing about this ledger any more, and is replaced.
        Err(KeyDirError::LedgerMark { .. }) => None,
        mark => mark?,
    };
    let counted = count(&ledger.store)?;
    let after = |highest: Option<u32>| highest.map_or(0, |epoch| u64::from(epoch) + 1);
    let known = [
        after(counted.extent.highest),
        after(ledger.head.extent.highest),
        ledger.head.extent.first_epoch,
    ];
    let marked = mark.map(|mark| [after(mark.extent.highest), mark.extent.first_epoch]);
    let least = known.into_iter().chain(marked.into_iter().flatten()).max();
    let least = least.unwrap_or_default();
    if first_epoch < least {
        return Err(LedgerError::TooLow {
            asked: first_epoch,
            least,
            directory: directory.to_owned(),
        });
    }
    let mut head = LedgerHead {
        initialised: true,
        ..counted
    };
    head.extent.first_epoch = first_epoch;
    ledger.commit([], head)?;
    Ok(ledger.mark()?)
}

/// A ledger that is written out. Holds the lock of the directory, so that nothing is signed meanwhile.
pub struct Export {
    ledger: Ledger,
    owner: HistoryOwner,
}

impl Export {
    /// Opens the ledger of the sealed key in a directory.
    ///
    /// # Errors
    /// [`LedgerError`] if it is not a sealed key, is locked, or if the ledger does not fit the mark beside it: what has
    /// lost entries must not be handed on as if it were whole.
    pub fn open(directory: &Path) -> Result<Self, LedgerError> {
        let key = KeyDir::open_sealed(directory)?;
        let ledger = Ledger::open(&key)?;
        // One that came with an import is handed on, also if this ledger was not begun.
        let first_epoch = Some(ledger.head.extent.first_epoch);
        let first_epoch = first_epoch.filter(|&epoch| ledger.head.initialised || epoch > 0);
        let owner = HistoryOwner {
            first_epoch,
            ..owner(key.manifest())
        };
        Ok(Self { ledger, owner })
    }

    /// The lines of the JSON object, one after the other as they are asked for.
    ///
    /// # Errors
    /// [`LedgerError`] if an entry cannot be read.
    pub fn lines(&self) -> Result<impl Iterator<Item = Result<String, LedgerError>>, LedgerError> {
        let entries = self.ledger.store.ledger_entries()?.enumerate().map(|(index, entry)| {
            let (epoch, record) = entry?;
            let text = entry_text(&SignedEpoch {
                epoch,
                message_digest: record.message_digest,
                signed_unix_ms: record.signed_unix_ms,
            });
            Ok(if index == 0 { text } else { format!(",{text}") })
        });
        let head = std::iter::once(Ok(head_text(&self.owner)));
        Ok(head.chain(entries).chain([Ok(TAIL_TEXT.to_owned())]))
    }
}

fn owner(manifest: &Manifest) -> HistoryOwner {
    HistoryOwner {
        public_key: manifest.public_key().unwrap_or_default(),
        scheme: manifest.scheme().id().to_owned(),
        key_id: manifest.key_id(),
        first_epoch: None,
    }
}

/// An epoch that was spent on two messages: whoever has both signatures can forge others of that epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The epoch.
    pub epoch: Epoch,
    /// SHA3-256 of the message that the ledger names, and goes on naming.
    pub ours: [u8; 32],
    /// SHA3-256 of the message that the imported file names.
    pub theirs: [u8; 32],
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Epochs that the ledger did not know to be spent.
    pub added: u64,
    /// Epochs that it knew.
    pub known: u64,
    /// Epochs that are spent on another message here than there.
    pub conflicts: Vec<Conflict>,
    /// The first epoch that may sign, if the file says that epochs below it are not known to be unused.
    pub raised_to: Option<u64>,
    /// Whether it is known from where the key is unused; if not, it does not sign.
    pub initialised: bool,
}

/// Adds what the text of a ledger file, named `path` in errors, says about the sealed key in a directory. What the ledger
/// has is kept. It does not begin a ledger: a key without a known history has none afterwards, until [`init`]. A ledger that
/// does not fit its mark takes entries as well, and signs nothing from then on until [`init`].
///
/// # Errors
/// [`LedgerError`] if the text is not a ledger, has nothing of this key, or names epochs that the key does not have;
/// nothing is then imported.
pub fn import(directory: &Path, path: &Path, text: &[u8]) -> Result<ImportReport, LedgerError> {
    let key = KeyDir::open_sealed(directory)?;
    let histories = parse(text).map_err(|source| LedgerError::Json {
        path: path.to_owned(),
        source,
    })?;
    let own = owner(key.manifest());
    let is_own =
        |history: &KeyHistory| (&history.owner.public_key, &history.owner.scheme) == (&own.public_key, &own.scheme);
    let histories: Vec<_> = histories
        .iter()
        .enumerate()
        .filter(|(_, history)| is_own(history))
        .collect();
    if histories.is_empty() {
        return Err(LedgerError::OtherKey {
            path: path.to_owned(),
            directory: directory.to_owned(),
        });
    }
    for (index, history) in &histories {
        check_epochs(key.manifest(), path, *index, history)?;
    }
    let mut ledger = Ledger::open_unchecked(&key)?;
    let fits = match ledger.settle() {
        Ok(()) => true,
        Err(
            LedgerError::Backwards { .. }
            | LedgerError::MarkMissing(_)
            | LedgerError::KeyDir(KeyDirError::LedgerMark { .. }),
        ) => {
            ledger.doubt()?;
            false
        }
        Err(error) => return Err(error),
    };
    let mut import = Import {
        ledger,
        pending: BTreeMap::new(),
        report: ImportReport::default(),
    };
    for (_, history) in histories {
        import.history(history)?;
    }
    import.commit()?;
    // A mark that the ledger does not fit stays, until a beginning has taken account of it.
    if fits {
        import.ledger.mark()?;
    }
    import.report.initialised = import.ledger.head.initialised;
    Ok(import.report)
}

impl Ledger {
    /// Takes a ledger that does not fit its mark as what is found of it. Which of its entries are lost nobody knows, and
    /// what is imported need not be those: it signs nothing before a new beginning, and keeps in mind how high it was.
    fn doubt(&mut self) -> Result<(), LedgerError> {
        let (said, found) = (self.head.extent, count(&self.store)?.extent);
        self.head.initialised = false;
        self.head.extent = LedgerExtent {
            first_epoch: said.first_epoch,
            highest: said.highest.max(found.highest),
            ..found
        };
        Ok(())
    }
}

fn check_epochs(manifest: &Manifest, path: &Path, index: usize, history: &KeyHistory) -> Result<(), LedgerError> {
    let stored = manifest.plan().stored();
    let outside = |place, epoch| LedgerError::OutsideKey {
        path: path.to_owned(),
        place,
        epoch,
        stored,
    };
    if let Some(first_epoch) = history.owner.first_epoch.filter(|&epoch| epoch > stored.end) {
        return Err(outside(format!("data[{index}].first_epoch"), first_epoch));
    }
    for (number, entry) in history.signed_epochs.iter().enumerate() {
        if !stored.contains(entry.epoch) {
            let place = format!("data[{index}].signed_epochs[{number}].epoch");
            return Err(outside(place, entry.epoch.0.into()));
        }
    }
    Ok(())
}

/// An import under way. Each chunk is committed together with the head that counts it.
struct Import {
    ledger: Ledger,
    pending: BTreeMap<u32, LedgerRecord>,
    report: ImportReport,
}

impl Import {
    fn history(&mut self, history: &KeyHistory) -> Result<(), LedgerError> {
        let first_epoch = history.owner.first_epoch.unwrap_or_default();
        if first_epoch > self.ledger.head.extent.first_epoch {
            self.report.raised_to = Some(first_epoch);
            let mut head = self.ledger.head.clone();
            head.extent.first_epoch = first_epoch;
            self.ledger.commit([], head)?;
        }
        for entry in &history.signed_epochs {
            self.entry(entry)?;
            if self.pending.len() >= CHUNK_ENTRIES {
                self.commit()?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: &SignedEpoch) -> Result<(), LedgerError> {
        let ours = match self.pending.get(&entry.epoch.0) {
            Some(record) => Some(record.clone()),
            None => self.ledger.store.ledger_entry(entry.epoch)?,
        };
        let Some(ours) = ours else {
            let record = LedgerRecord {
                message_digest: entry.message_digest,
                scheme: self.ledger.scheme.to_owned(),
                signed_unix_ms: entry.signed_unix_ms,
            };
            self.pending.insert(entry.epoch.0, record);
            self.report.added += 1;
            return Ok(());
        };
        match (ours.message_digest, entry.message_digest) {
            (Some(ours), Some(theirs)) if ours != theirs => {
                let epoch = entry.epoch;
                self.report.conflicts.push(Conflict { epoch, ours, theirs });
            }
            _ => self.report.known += 1,
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), LedgerError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut head = self.ledger.head.clone();
        for (&epoch, record) in &self.pending {
            head.add(Epoch(epoch), record);
        }
        let entries = std::mem::take(&mut self.pending);
        self.ledger
            .commit(entries.iter().map(|(&epoch, record)| (Epoch(epoch), record)), head)
    }
}
