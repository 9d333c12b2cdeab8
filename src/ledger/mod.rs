//! The ledger of signed epochs: an epoch is spent, on disk, before a signature leaves (RFC 8391, section 4.1.9).
//!
//! It lives in the store (`state/`), and beside it `ledger.mark` notes how far it was. A store that went back to an
//! earlier state, be it a log that was cut or a copy that was restored, says less than the mark, and is refused.

mod error;
mod export;
mod fit;
mod import;
mod init;
mod rescue;
mod set;
mod show;
mod signing;
mod syncs;

use std::path::Path;

use sha3::{Digest, Sha3_256};

#[cfg(feature = "serve")]
pub(crate) use error::unknown;
pub use export::Export;
use fit::{Fit, doubted, fit, is_begun, is_used_up};
pub(crate) use fit::{count, mark_of};
pub use import::{Conflict, ImportReport, UnknownMessage, import};
pub use init::init;
pub(crate) use rescue::rescue;
#[cfg(any(test, fuzzing))]
pub(crate) use set::SetMark;
use set::newer_in_set;
pub(crate) use set::{LEDGER as SET_LEDGER, SetLedger};
pub use set::{MoveReport, move_in, move_out};
pub(crate) use show::look;
pub use show::{LedgerCondition, LedgerStatus, show};
pub(crate) use signing::SigningLedger;
pub(crate) use syncs::Syncs;

use crate::error::{Reason, Result};
use crate::failure::FailureKind;
use crate::files::publish::Replacement;
use crate::files::{Entry, parent_of};
use crate::keydir::{KeyDir, KeyPaths, KeyState, LedgerMark, LockedDir, Manifest, Origin, Stage};
use crate::state::{KeyStanding, LedgerHead, LedgerRecord, SetKeyRecord, Store};
use crate::time::time_of_day_ms;
use crate::units::{Epoch, EpochRange, KeyId, LedgerExtent};
use keymill_xmss::scheme::MESSAGE_BYTES;

/// Whether this key cannot have signed: its secret was drawn here by a program that keeps a ledger, which left
/// its mark before the secret, and it was never finished. A secret that was given, found, or is elsewhere too, may have signed
/// there.
pub(crate) fn is_unused(paths: &KeyPaths, manifest: &Manifest) -> Result<bool> {
    if manifest.origin() != Origin::Fresh || manifest.state() != KeyState::Generating {
        return Ok(false);
    }
    match LedgerMark::read(&paths.ledger_mark(), manifest.key_id()) {
        // What is damaged vouches for nothing.
        Err(error) if matches!(error.reason(), Reason::MarkDamaged | Reason::NotAFile) => Ok(false),
        mark => Ok(mark?.is_some_and(|mark| mark.is_of_empty() && mark.vouches())),
    }
}

/// What a directory knows of spent epochs may be long out of date, since its secret was elsewhere and comes back: nothing is
/// signed before a new beginning above all that it knows. What is listed stays spent.
pub(crate) fn forget(paths: &LockedDir, manifest: &Manifest) -> Result<()> {
    let mark = known_mark(&paths.ledger_mark(), manifest.key_id())?;
    mark.iter().try_for_each(|mark| mark.check_is_here(paths.root()))?;
    let moves = mark.as_ref().map_or(0, |mark| mark.moves);
    let found = if paths.state().exists()? {
        read_whole(paths, manifest)
    } else {
        // Of a copy that only serves paths there may be none.
        Ok(None)
    };
    let found = match found {
        // Its repair waits for the secret, and begins a ledger that knows nothing.
        Err(error) if error.kind() == FailureKind::Directory => None,
        found => found?,
    };
    let head = match found {
        None => {
            let taken_back = mark.filter(LedgerMark::vouches).map(|mark| LedgerMark {
                stage: Stage::NotBegun,
                ..mark
            });
            return taken_back.map_or(Ok(()), |mark| mark.write(paths));
        }
        Some((store, said, counted)) => {
            let head = LedgerHead {
                marked: mark.as_ref().map_or(said.marked, |mark| mark.extent),
                ..doubted(&said, &counted, mark.as_ref())
            };
            store.commit_ledger([], &head)?;
            head
        }
    };
    mark_of(&head, manifest.key_id(), moves).write(paths)
}

type FoundLedger = (Store, LedgerHead, LedgerHead);

/// The store, what its head says of the ledger, and what its entries say.
fn read_whole(paths: &KeyPaths, manifest: &Manifest) -> Result<Option<FoundLedger>> {
    let store = Store::open(&paths.state(), &manifest.binding())?;
    let said = store.ledger_head()?.unwrap_or_default();
    let counted = count(&store)?;
    Ok(Some((store, said, counted)))
}

/// The mark, unless it is missing or says nothing that can be read: it is about to be replaced.
fn known_mark(file: &Entry, key_id: KeyId) -> Result<Option<LedgerMark>> {
    match LedgerMark::read(file, key_id) {
        Err(error) if error.reason() == Reason::MarkDamaged => Ok(None),
        mark => mark,
    }
}

/// What the ledger says about signing a message with an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EpochState {
    /// The epoch is known to be unused.
    Unused,
    /// The epoch is spent on this very message: what comes out is what came out before.
    SameMessage,
    /// The epoch is spent on another message, or on one that is not known.
    OtherMessage {
        /// When, in milliseconds since 1970.
        signed_unix_ms: u64,
    },
}

/// What a ledger says as a whole, to the process that writes to it.
#[cfg(feature = "serve")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeldLedger {
    /// Epochs below it that are not spent are not known to be unused; none if that is known of no epoch.
    pub(crate) first_epoch: Option<u64>,
    /// Number of spent epochs.
    pub(crate) spent: u64,
    /// The highest of them.
    pub(crate) highest: Option<u32>,
    /// When an epoch was last spent, in milliseconds since 1970.
    pub(crate) last_unix_ms: Option<u64>,
    /// As `first_epoch`, also while that is known of no epoch: no later beginning can be below it.
    pub(crate) first_possible: u64,
}

#[cfg(feature = "serve")]
impl HeldLedger {
    fn of(head: &LedgerHead) -> Self {
        Self {
            first_epoch: head.initialised.then_some(head.extent.first_epoch),
            spent: head.extent.spent,
            highest: head.extent.highest,
            last_unix_ms: Some(head.last_unix_ms).filter(|&unix_ms| unix_ms > 0),
            first_possible: head.extent.first_epoch,
        }
    }
}

/// What is signed.
type Message = [u8; MESSAGE_BYTES];

/// The ledger of a key, for the one process that writes to it.
pub(crate) struct Ledger {
    store: Store,
    head: LedgerHead,
    /// How far it was when it was opened, or last marked: what a fitting mark on disk says.
    marked: LedgerExtent,
    /// How often it has moved, as its mark says.
    moves: u64,
    /// The set around the key says that it has left since: then this is an old copy.
    newer: Option<SetKeyRecord>,
    key_id: KeyId,
    scheme: &'static str,
    stored: EpochRange,
    /// A write failed: only opening it again shows what is on disk.
    unknown: bool,
    locked: LockedDir,
}

impl Ledger {
    /// Takes the lock of the directory, opens the ledger, and compares it with the mark beside it.
    pub(crate) fn open(key: &KeyDir) -> Result<Self> {
        let mut ledger = Self::open_unchecked(key)?;
        ledger.settle()?;
        Ok(ledger)
    }

    /// Compares the ledger with the mark beside it, and brings up one that is a step behind.
    fn settle(&mut self) -> Result<()> {
        if self.newer.is_some() {
            return Err(set::old_copy(self.directory(), parent_of(self.directory())));
        }
        let entries = self.store.ledger_entry_count()?;
        let mark = match LedgerMark::read(&self.locked.ledger_mark(), self.key_id)? {
            Some(mark) => mark,
            // There is nothing that could have been lost.
            None if entries == 0 && self.head.knows_nothing() => return Ok(()),
            None => return Err(error::mark_missing(self.locked.ledger_mark().path())),
        };
        let fits = fit(&self.head, entries, &mark);
        self.head.initialised = is_begun(&self.head, Some(&mark));
        match fits {
            Fit::Same => Ok(()),
            // The process ended between the two writes.
            Fit::Ahead => Ok(self.mark()?),
            Fit::Backwards(how) => Err(error::backwards(self.directory(), &how)),
        }
    }

    /// As [`open`](Self::open), whatever the mark says of the ledger, unless it is that of a set.
    fn open_unchecked(key: &KeyDir) -> Result<Self> {
        let locked = key.lock()?;
        let manifest = locked.note_fingerprint(locked.key()?.manifest().clone())?;
        let mark = known_mark(&locked.ledger_mark(), manifest.key_id())?;
        mark.iter().try_for_each(|mark| mark.check_is_here(locked.root()))?;
        let moves = mark.map_or(0, |mark| mark.moves);
        let newer = newer_in_set(&locked, manifest.key_id(), moves)?;
        if newer.is_some_and(|record| record.standing != KeyStanding::Gone) {
            return Err(set::old_copy(locked.root(), parent_of(locked.root())));
        }
        let ledger = Self::of(locked, &manifest, moves)?;
        Ok(Self { newer, ..ledger })
    }

    /// The ledger in the store of a key, which has moved so often.
    fn of(locked: LockedDir, manifest: &Manifest, moves: u64) -> Result<Self> {
        let store = Store::open(&locked.state(), &manifest.binding())?;
        // A store without a head knows of no epoch whether it has signed.
        let head = store.ledger_head()?.unwrap_or_default();
        Ok(Self {
            store,
            marked: head.extent,
            head,
            moves,
            newer: None,
            key_id: manifest.key_id(),
            scheme: manifest.scheme().id(),
            stored: manifest.plan().stored(),
            unknown: false,
            locked,
        })
    }

    fn directory(&self) -> &Path {
        self.locked.root()
    }

    /// Whether this message may be signed with this epoch.
    pub(crate) fn standing(&self, epoch: Epoch, message: &[u8]) -> Result<EpochState> {
        let directory = self.directory();
        if self.unknown {
            return Err(error::unknown(directory));
        }
        // What its parent, or another child, spends since the fork is unknown here, and RocksDB's threads did not come along.
        if let Some(parent) = self.locked.directory().opened_before_fork() {
            return Err(error::forked(parent, directory));
        }
        self.check_place()?;
        let found = self.store.ledger_entry(epoch)?;
        standing_of(found, &self.head, self.stored, directory, epoch, message)
    }

    /// Spends epochs, each on its message, in one write: when this returns, the entries and the mark are on disk. Each is
    /// [unused](EpochState::Unused), and none is named twice.
    pub(crate) fn spend(&mut self, spent: &[(Epoch, &Message)], syncs: Syncs) -> Result<()> {
        let mut head = self.head.clone();
        let record = |(epoch, message): &(Epoch, &Message)| {
            let record = new_record(self.scheme, message);
            head.add(*epoch, &record);
            (*epoch, record)
        };
        let records: Vec<_> = spent.iter().map(record).collect();
        let entries = records.iter().map(|(epoch, record)| (*epoch, record));
        self.unknown = true;
        head.marked = self.marked;
        let mark = mark_of(&head, self.key_id, self.moves);
        let store = || self.store.commit_ledger(entries, &head);
        let mark = syncs.write(store, || mark.draft(&self.locked))?;
        self.head = head;
        self.put(mark)?;
        self.unknown = false;
        Ok(())
    }

    /// Whether it is known what is on disk: no write has failed since it was opened.
    #[cfg(feature = "serve")]
    pub(crate) fn is_known(&self) -> bool {
        !self.unknown
    }

    /// What it says as a whole.
    #[cfg(feature = "serve")]
    pub(crate) fn held(&self) -> Result<HeldLedger> {
        if self.unknown {
            return Err(error::unknown(self.directory()));
        }
        Ok(HeldLedger::of(&self.head))
    }

    /// Makes sure that the directory that was locked is the one that is found by its name.
    fn check_place(&self) -> Result<()> {
        Ok(self.locked.directory().check()?)
    }

    /// Writes entries and head. From here until the mark is written, and for good if anything fails, nothing is signed.
    fn commit<'a>(
        &mut self,
        entries: impl IntoIterator<Item = (Epoch, &'a LedgerRecord)>,
        mut head: LedgerHead,
    ) -> Result<()> {
        self.unknown = true;
        head.marked = self.marked;
        self.store.commit_ledger(entries, &head)?;
        self.head = head;
        Ok(())
    }

    fn mark(&mut self) -> Result<()> {
        let mark = mark_of(&self.head, self.key_id, self.moves);
        self.put(mark.draft(&self.locked)?)
    }

    /// Puts the mark of the head in its place.
    fn put(&mut self, mark: Replacement) -> Result<()> {
        mark.put()?;
        self.marked = self.head.extent;
        // Once more: the directory in which both have been written is the one that is found by its name.
        Ok(self.locked.directory().check()?)
    }
}

/// What a ledger with this head says about signing a message with an epoch of a key, of which it has this entry.
fn standing_of(
    entry: Option<LedgerRecord>,
    head: &LedgerHead,
    stored: EpochRange,
    directory: &Path,
    epoch: Epoch,
    message: &[u8],
) -> Result<EpochState> {
    if let Some(record) = entry {
        return Ok(match record.message_digest {
            Some(digest) if digest == message_digest(message) => EpochState::SameMessage,
            _ => EpochState::OtherMessage {
                signed_unix_ms: record.signed_unix_ms,
            },
        });
    }
    let first_epoch = head.extent.first_epoch;
    if is_used_up(&head.extent, stored) {
        return Err(error::used_up(directory, stored));
    }
    if !head.initialised {
        return Err(error::no_history(directory));
    }
    if u64::from(epoch.0) < first_epoch {
        return Err(error::before_history(epoch.0.into(), first_epoch, directory));
    }
    Ok(EpochState::Unused)
}

/// The entry of an epoch that is spent on a message now.
fn new_record(scheme: &str, message: &Message) -> LedgerRecord {
    LedgerRecord {
        message_digest: Some(message_digest(message)),
        scheme: scheme.to_owned(),
        signed_unix_ms: time_of_day_ms(),
    }
}

fn message_digest(message: &[u8]) -> [u8; 32] {
    Sha3_256::digest(message).into()
}
