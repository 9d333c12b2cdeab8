//! The keys that a service holds, and the ledgers that let them sign.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ledgers::{LedgerIndex, ServedLedger};
use crate::error::{Error, Reason, Result};
use crate::files::place_of;
use crate::keydir::KeyPlace;
use crate::keystore::Passphrase;
use crate::ledger::{HeldLedger, SetLedger};
use crate::signing::{PathReader, Shared, SharedLayers, SigningKey};
use crate::units::{Epoch, KeyId, Level};

/// Which of the keys of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyIndex(pub(crate) usize);

/// A key that is open.
pub(crate) struct HeldKey {
    pub(crate) signing: SigningKey,
    /// Where its directory was when it was opened, without links on the way.
    pub(crate) place: PathBuf,
    pub(crate) public_key: Vec<u8>,
    pub(crate) key_id: KeyId,
    pub(crate) ledger: Arc<ServedLedger>,
    /// The first epoch of the block that was last asked for ahead of its time.
    ahead: AtomicU64,
}

impl HeldKey {
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
        let ledger = self.standing()?;
        let above = ledger.highest.map_or(0, |highest| u64::from(highest) + 1);
        let first = above.max(ledger.first_epoch?).max(plan.stored().start);
        (plan.trim() > Level(0)).then_some(first)
    }

    /// What its ledger says, as of the last write that has ended; none if it cannot be written. It does not wait for the disk.
    pub(crate) fn standing(&self) -> Option<HeldLedger> {
        self.ledger.standing(self.key_id)
    }
}

/// All keys of a service. They are found by their public keys.
pub(crate) struct Keys {
    keys: Vec<HeldKey>,
    ledgers: Vec<Arc<ServedLedger>>,
    places: BTreeMap<Vec<u8>, KeyIndex>,
    fingerprints: BTreeMap<String, PathBuf>,
    layers: Arc<SharedLayers>,
}

impl Keys {
    /// Opens the finished keys in these directories, and takes the lock of each: keys with ledgers of their own, and sets that
    /// have one, with all keys that it lets sign. The passphrase is that of every secret that is under one. Of their layer files so
    /// many are mapped at a time.
    ///
    /// # Errors
    /// That of the first that cannot be opened, or if two of them have the same one-time keys.
    pub(crate) fn open(directories: &[PathBuf], passphrase: Option<&Passphrase>, mappings_max: usize) -> Result<Self> {
        let layers = SharedLayers::at_most(mappings_max);
        let mut keys = Self {
            keys: Vec::with_capacity(directories.len()),
            ledgers: Vec::with_capacity(directories.len()),
            places: BTreeMap::new(),
            fingerprints: BTreeMap::new(),
            layers: Arc::clone(&layers),
        };
        let opening = Opening {
            passphrase,
            shared: Shared::of(&layers),
        };
        for directory in directories {
            if SetLedger::is_in(directory)? {
                keys.add_set(directory, &opening)?;
            } else {
                let signing = opening.open(directory)?;
                let ledger = ServedLedger::of_key(LedgerIndex(keys.ledgers.len()), signing.paths().key())?;
                keys.add(signing, &ledger)?;
                keys.ledgers.push(ledger);
            }
        }
        Ok(keys)
    }

    fn add_set(&mut self, set: &Path, opening: &Opening<'_>) -> Result<()> {
        let mut ledger = SetLedger::open(set)?;
        let directories = ledger.directories()?;
        if directories.of_set.is_empty() {
            return Err(no_key(set));
        }
        let mut opened = Vec::with_capacity(directories.of_set.len());
        for directory in &directories.of_set {
            let signing = opening.open(directory)?;
            ledger.admit(signing.paths().key())?;
            opened.push(signing);
        }
        for directory in directories.of_their_own {
            let key = directory.display();
            tracing::warn!("the key in '{key}' has a ledger of its own, and is not served with its set");
        }
        for key in ledger.absent() {
            tracing::warn!(
                "the ledger of the set in '{}' lets the key {key} sign, whose directory is not there",
                set.display()
            );
        }
        let keys = opened.iter().map(|signing| signing.paths().key().clone()).collect();
        let ledger = ServedLedger::of_set(LedgerIndex(self.ledgers.len()), set, ledger, keys);
        for signing in opened {
            self.add(signing, &ledger)?;
        }
        self.ledgers.push(ledger);
        Ok(())
    }

    fn add(&mut self, signing: SigningKey, ledger: &Arc<ServedLedger>) -> Result<()> {
        let directory = signing.directory().to_owned();
        let fingerprint = signing.fingerprint().to_string();
        if let Some(other) = self.fingerprints.insert(fingerprint, directory.clone()) {
            return Err(held_twice(&other, &directory));
        }
        let manifest = signing.paths().manifest();
        let public_key = manifest.public_key().unwrap_or_default();
        self.places.insert(public_key.clone(), KeyIndex(self.keys.len()));
        self.keys.push(HeldKey {
            key_id: manifest.key_id(),
            public_key,
            ledger: Arc::clone(ledger),
            ahead: AtomicU64::new(0),
            place: place_of(signing.directory()),
            signing,
        });
        Ok(())
    }

    /// How many of their layer files are mapped.
    pub(crate) fn layers(&self) -> &SharedLayers {
        &self.layers
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

    /// The ledger in a place.
    pub(crate) fn ledger(&self, LedgerIndex(index): LedgerIndex) -> &ServedLedger {
        &self.ledgers[index]
    }

    /// All ledgers.
    pub(crate) fn ledgers(&self) -> impl ExactSizeIterator<Item = &ServedLedger> {
        self.ledgers.iter().map(|ledger| &**ledger)
    }
}

/// How the keys of a service are opened.
struct Opening<'a> {
    passphrase: Option<&'a Passphrase>,
    /// What the keys have in common.
    shared: Shared,
}

impl Opening<'_> {
    fn open(&self, directory: &Path) -> Result<SigningKey> {
        let place = KeyPlace::new(directory).passphrase(self.passphrase);
        SigningKey::of(PathReader::open_beside(place, &self.shared)?)
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

fn no_key(set: &Path) -> Error {
    let what = format!("no key signs by the ledger of the set in '{}'", set.display());
    Error::directory(what).at(set)
}
