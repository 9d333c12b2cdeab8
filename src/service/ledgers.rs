//! The ledgers that a service writes: of one key, or of all keys of a set.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use crate::error::{Error, Reason, Result};
use crate::keydir::KeyDir;
use crate::ledger::{Ledger, SetLedger, SigningLedger};

/// Which of the ledgers of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LedgerIndex(pub(crate) usize);

/// A ledger, which is opened again after a write of it failed.
pub(crate) struct ServedLedger {
    pub(crate) index: LedgerIndex,
    whose: Whose,
    slot: Mutex<LedgerSlot>,
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
        Ok(Arc::new(Self {
            index,
            whose: Whose::Key(Box::new(key.clone())),
            slot: Mutex::new(LedgerSlot::Open(ledger)),
        }))
    }

    /// That of a set, which has admitted these keys.
    pub(crate) fn of_set(index: LedgerIndex, set: &Path, ledger: SetLedger, keys: Vec<KeyDir>) -> Arc<Self> {
        let ledger = SigningLedger::OfSet(Box::new(ledger));
        Arc::new(Self {
            index,
            whose: Whose::Set(set.to_owned(), keys),
            slot: Mutex::new(LedgerSlot::Open(ledger)),
        })
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
            Ok(ledger) => LedgerSlot::Open(ledger),
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
