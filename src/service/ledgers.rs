//! The ledgers that a service writes: of one key, or of all keys of a set.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use crate::error::{Error, Reason, Result};
use crate::keydir::KeyDir;
use crate::ledger::{HeldLedger, Ledger, SetLedger, SigningLedger};
use crate::units::KeyId;

/// Which of the ledgers of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LedgerIndex(pub(crate) usize);

/// A ledger, which is opened again after a write of it failed.
pub(crate) struct ServedLedger {
    pub(crate) index: LedgerIndex,
    whose: Whose,
    slot: Mutex<LedgerSlot>,
    /// What it said of each key when that was last written; nothing if it cannot be written. Nobody holds this lock for longer
    /// than copies take.
    published: Mutex<BTreeMap<KeyId, HeldLedger>>,
}

enum Whose {
    Key(Box<KeyDir>),
    /// A set, and those of its keys that sign by it.
    Set(PathBuf, Vec<KeyDir>),
}

/// A ledger, if it can be written.
pub(crate) enum LedgerSlot {
    /// It can be written.
    Open(SigningLedger),
    /// It could not be opened again; the text says why.
    Shut(String),
}

impl LedgerSlot {
    /// The ledger, if it can be written.
    pub(crate) fn get(&mut self, place: &Path) -> Result<&mut SigningLedger> {
        match self {
            Self::Open(ledger) => Ok(ledger),
            Self::Shut(why) => Err(Error::directory(why.clone()).because(Reason::Unknown).at(place)),
        }
    }
}

impl ServedLedger {
    /// That of a key alone; it is refused if the key signs by that of a set.
    pub(crate) fn of_key(index: LedgerIndex, key: &KeyDir) -> Result<Arc<Self>> {
        let ledger = SigningLedger::Own(Box::new(Ledger::open(key)?));
        Ok(Self::new(index, Whose::Key(Box::new(key.clone())), ledger))
    }

    /// That of a set, which has admitted these keys.
    pub(crate) fn of_set(index: LedgerIndex, set: &Path, ledger: SetLedger, keys: Vec<KeyDir>) -> Arc<Self> {
        let ledger = SigningLedger::OfSet(Box::new(ledger));
        Self::new(index, Whose::Set(set.to_owned(), keys), ledger)
    }

    fn new(index: LedgerIndex, whose: Whose, ledger: SigningLedger) -> Arc<Self> {
        let served = Self {
            index,
            whose,
            slot: Mutex::new(LedgerSlot::Shut(String::new())),
            published: Mutex::default(),
        };
        served.publish(&ledger, served.keys());
        *served.slot() = LedgerSlot::Open(ledger);
        Arc::new(served)
    }

    /// The keys that it lets sign.
    fn keys(&self) -> impl Iterator<Item = KeyId> + use<'_> {
        let keys = match &self.whose {
            Whose::Key(key) => std::slice::from_ref(&**key),
            Whose::Set(_, keys) => keys,
        };
        keys.iter().map(|key| key.manifest().key_id())
    }

    /// What it says of a key, as of the last write that has ended; none if it cannot be written. It does not wait for the disk.
    pub(crate) fn standing(&self, key: KeyId) -> Option<HeldLedger> {
        self.published().get(&key).copied()
    }

    /// Lets [`standing`](Self::standing) give what it says of these keys now, or nothing of any if it cannot be written.
    pub(crate) fn publish(&self, ledger: &SigningLedger, keys: impl Iterator<Item = KeyId>) {
        let said: Option<Vec<_>> = keys.map(|key| Some((key, ledger.held(key).ok()?))).collect();
        let mut published = self.published();
        match said {
            Some(said) if ledger.is_known() => published.extend(said),
            _ => published.clear(),
        }
    }

    /// A thread failed with the ledger in its hands: lets [`standing`](Self::standing) give what is left.
    pub(crate) fn publish_after_panic(&self) {
        if let LedgerSlot::Open(ledger) = &*self.slot() {
            self.publish(ledger, self.keys());
        }
    }

    fn published(&self) -> MutexGuard<'_, BTreeMap<KeyId, HeldLedger>> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The directory that it is in.
    pub(crate) fn place(&self) -> &Path {
        match &self.whose {
            Whose::Key(key) => key.path(),
            Whose::Set(set, _) => set,
        }
    }

    /// The ledger, when nobody else has it.
    pub(crate) fn slot(&self) -> MutexGuard<'_, LedgerSlot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ledger, unless somebody else has it now.
    pub(crate) fn slot_if_free(&self) -> Option<MutexGuard<'_, LedgerSlot>> {
        match self.slot.try_lock() {
            Ok(slot) => Some(slot),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Opens a ledger again that could not be written, and says whether it can be now.
    pub(crate) fn reopen(&self) -> bool {
        let mut slot = self.slot();
        if matches!(&*slot, LedgerSlot::Open(ledger) if ledger.is_known()) {
            return true;
        }
        // The locks of the directories have to be free before they are taken once more.
        *slot = LedgerSlot::Shut("the ledger is being opened".to_owned());
        *slot = match self.open_again() {
            Ok(ledger) => {
                self.publish(&ledger, self.keys());
                LedgerSlot::Open(ledger)
            }
            Err(error) => LedgerSlot::Shut(error.to_string()),
        };
        matches!(&*slot, LedgerSlot::Open(_))
    }

    fn open_again(&self) -> Result<SigningLedger> {
        match &self.whose {
            Whose::Key(key) => Ok(SigningLedger::Own(Box::new(Ledger::open(key)?))),
            Whose::Set(set, keys) => {
                let mut ledger = SetLedger::open(set)?;
                keys.iter().try_for_each(|key| ledger.admit(key))?;
                Ok(SigningLedger::OfSet(Box::new(ledger)))
            }
        }
    }
}
