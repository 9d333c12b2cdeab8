//! The keys that a service holds, each with its ledger.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use crate::error::{Error, Reason, Result};
use crate::keydir::KeyPlace;
use crate::keystore::Passphrase;
use crate::ledger::{HeldLedger, Ledger};
use crate::signing::{PathReader, SharedWorkers, SigningKey};
use crate::units::{Epoch, Level};

/// Which of the keys of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyIndex(pub(crate) usize);

/// A key that is open.
pub(crate) struct HeldKey {
    pub(crate) signing: SigningKey,
    pub(crate) public_key: Vec<u8>,
    ledger: Mutex<LedgerSlot>,
    /// The first epoch of the block that was last asked for ahead of its time.
    ahead: AtomicU64,
}

/// The ledger of a key, which is opened again after a write of it failed.
pub(crate) enum LedgerSlot {
    /// It can be written.
    Open(Box<Ledger>),
    /// It could not be opened again; the text says why.
    Shut(String),
}

impl LedgerSlot {
    /// The ledger, if it can be written.
    pub(crate) fn get(&mut self, directory: &Path) -> Result<&mut Ledger> {
        match self {
            Self::Open(ledger) => Ok(ledger),
            Self::Shut(why) => Err(Error::directory(why.clone()).because(Reason::Unknown).at(directory)),
        }
    }
}

impl HeldKey {
    fn open(directory: &Path, passphrase: Option<&Passphrase>, workers: &SharedWorkers) -> Result<Self> {
        let place = KeyPlace::new(directory).passphrase(passphrase);
        let signing = SigningKey::of(PathReader::open_beside(place, workers)?)?;
        let ledger = Ledger::open(signing.paths().key())?;
        Ok(Self {
            public_key: signing.paths().manifest().public_key().unwrap_or_default(),
            ledger: Mutex::new(LedgerSlot::Open(Box::new(ledger))),
            ahead: AtomicU64::new(0),
            signing,
        })
    }

    /// The first epoch of the block of a trimmed key that is to be computed now, if one is: when half of a block is behind, the
    /// next one, once. Keys whose blocks end at the same epoch have half a block's time for all of them.
    pub(crate) fn next_block(&self, epoch: Epoch) -> Option<u64> {
        let Level(trim @ 1..) = self.signing.paths().manifest().plan().trim() else {
            return None;
        };
        let last_inside = (1 << trim) - 1;
        let epoch = u64::from(epoch.0);
        let next = (epoch | last_inside) + 1;
        let is_late = (epoch & last_inside) > last_inside / 2;
        (is_late && self.ahead.swap(next, Ordering::Relaxed) != next).then_some(next)
    }

    /// The epoch of a trimmed key that is likely to be asked for first.
    pub(crate) fn next_epoch(&self) -> Option<u64> {
        let plan = self.signing.paths().manifest().plan();
        let ledger = self.standing().ok()?;
        let above = ledger.highest.map_or(0, |highest| u64::from(highest) + 1);
        let first = above.max(ledger.first_epoch?).max(plan.stored().start);
        (plan.trim() > Level(0)).then_some(first)
    }

    /// Its ledger, when nobody else has it.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, LedgerSlot> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its ledger, unless somebody else has it now.
    pub(crate) fn ledger_if_free(&self) -> Option<MutexGuard<'_, LedgerSlot>> {
        match self.ledger.try_lock() {
            Ok(ledger) => Some(ledger),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// What its ledger says now.
    pub(crate) fn standing(&self) -> Result<HeldLedger> {
        self.ledger().get(self.signing.directory())?.held()
    }

    /// Opens a ledger again that could not be written, and says whether it can be now.
    pub(crate) fn reopen(&self) -> bool {
        let mut slot = self.ledger();
        if matches!(&*slot, LedgerSlot::Open(ledger) if ledger.is_known()) {
            return true;
        }
        // The lock of the directory has to be free before it is taken once more.
        *slot = LedgerSlot::Shut("the ledger is being opened".to_owned());
        *slot = match Ledger::open(self.signing.paths().key()) {
            Ok(ledger) => LedgerSlot::Open(Box::new(ledger)),
            Err(error) => LedgerSlot::Shut(error.to_string()),
        };
        matches!(&*slot, LedgerSlot::Open(_))
    }
}

/// All keys of a service. They are found by their public keys.
pub(crate) struct Keys {
    keys: Vec<HeldKey>,
    places: BTreeMap<Vec<u8>, KeyIndex>,
}

impl Keys {
    /// Opens the finished keys in these directories, and takes the lock of each. The passphrase is that of every secret that is
    /// under one.
    ///
    /// # Errors
    /// That of the first that cannot be opened, or if two of them have the same one-time keys.
    pub(crate) fn open(directories: &[PathBuf], passphrase: Option<&Passphrase>) -> Result<Self> {
        let mut keys: Vec<HeldKey> = Vec::with_capacity(directories.len());
        let (mut places, mut fingerprints) = (BTreeMap::new(), BTreeMap::new());
        let workers = SharedWorkers::default();
        for directory in directories {
            let key = HeldKey::open(directory, passphrase, &workers)?;
            if let Some(other) = fingerprints.insert(key.signing.fingerprint().to_string(), directory) {
                return Err(held_twice(other, directory));
            }
            places.insert(key.public_key.clone(), KeyIndex(keys.len()));
            keys.push(key);
        }
        Ok(Self { keys, places })
    }

    /// The place of the key with this public key.
    pub(crate) fn find(&self, public_key: &[u8]) -> Option<KeyIndex> {
        self.places.get(public_key).copied()
    }

    /// The key in a place.
    pub(crate) fn get(&self, KeyIndex(index): KeyIndex) -> &HeldKey {
        &self.keys[index]
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &HeldKey> {
        self.keys.iter()
    }
}

/// Two ledgers do not know of each other. Keys of one secret share one-time keys, whatever their intervals and public keys.
fn held_twice(one: &Path, other: &Path) -> Error {
    let what = format!(
        "the keys in '{}' and '{}' have the same one-time keys, and each has a ledger of its own: what one signs, the other does \
         not know; name one of them",
        one.display(),
        other.display()
    );
    Error::directory(what).because(Reason::Contradiction).at(other)
}
