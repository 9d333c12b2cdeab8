//! The keys that are open. C knows them by number, so that one that is closed, or was never open, is refused.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::outcome::{Refusal, Status};
use crate::client::{Address, RemoteKey};
use crate::keydir::Manifest;
use crate::resources::{Registration, ResourceKind, register};
use crate::signing::{AuthenticationPath, PathReader, Signer};
use crate::units::EpochRange;
use keymill_xmss::Signature;
use keymill_xmss::scheme::{MESSAGE_BYTES, Scheme};

/// A key that is open, with everything about it that never changes. Any number of threads may use it at once.
pub(super) struct OpenKey {
    purpose: Purpose,
    pub(super) scheme: &'static Scheme,
    pub(super) stored: EpochRange,
    pub(super) public_key: Vec<u8>,
    _registration: Registration,
}

enum Purpose {
    Reading(Box<PathReader>),
    /// One thread after the other.
    Signing(Box<Mutex<Signer>>),
    /// In a service, which has its own order.
    Elsewhere {
        key: Box<RemoteKey>,
        may_sign: bool,
    },
}

impl OpenKey {
    #[track_caller]
    pub(super) fn to_read(place: &str) -> Result<Self, Refusal> {
        if let Some(address) = Address::parse(place) {
            return Self::elsewhere(&address?, false);
        }
        let reader = PathReader::open(Path::new(place))?;
        let manifest = reader.manifest().clone();
        Ok(Self::new(Purpose::Reading(Box::new(reader)), &manifest))
    }

    #[track_caller]
    pub(super) fn to_sign(place: &str) -> Result<Self, Refusal> {
        if let Some(address) = Address::parse(place) {
            return Self::elsewhere(&address?, true);
        }
        let signer = Signer::open(Path::new(place))?;
        let manifest = signer.paths().manifest().clone();
        Ok(Self::new(Purpose::Signing(Box::new(Mutex::new(signer))), &manifest))
    }

    #[track_caller]
    fn new(purpose: Purpose, manifest: &Manifest) -> Self {
        Self {
            purpose,
            scheme: manifest.scheme(),
            stored: manifest.plan().stored(),
            public_key: manifest.public_key().unwrap_or_default(),
            _registration: register(ResourceKind::Handle, 0),
        }
    }

    #[track_caller]
    fn elsewhere(address: &Address, may_sign: bool) -> Result<Self, Refusal> {
        let key = Box::new(RemoteKey::open(address)?);
        Ok(Self {
            scheme: key.public_key().scheme(),
            stored: key.stored(),
            public_key: key.public_key().to_ssz(),
            purpose: Purpose::Elsewhere { key, may_sign },
            _registration: register(ResourceKind::Handle, 0),
        })
    }

    pub(super) fn path(&self, epoch: u64) -> Result<AuthenticationPath, Refusal> {
        let path_of = |reader: &PathReader| Ok(reader.path(reader.epoch(epoch)?)?);
        match &self.purpose {
            Purpose::Reading(reader) => path_of(reader),
            Purpose::Signing(signer) => path_of(locked(signer)?.paths()),
            Purpose::Elsewhere { key, .. } => Ok(key.path(epoch)?),
        }
    }

    pub(super) fn sign(&self, epoch: u64, message: &[u8; MESSAGE_BYTES]) -> Result<Signature, Refusal> {
        let signer = match &self.purpose {
            Purpose::Signing(signer) => signer,
            Purpose::Elsewhere { key, may_sign: true } => return Ok(key.sign(epoch, message)?),
            Purpose::Reading(_) | Purpose::Elsewhere { .. } => {
                let text = "the key was opened for reading; open it with keymill_open_to_sign";
                return Err(Refusal::usage(text));
            }
        };
        let mut signer = locked(signer)?;
        #[cfg(test)]
        super::tests::panic_if_planted("while signing");
        let epoch = signer.paths().epoch(epoch)?;
        Ok(signer.sign(epoch, message)?)
    }
}

/// It is not known how far the call was in which a panic went by, so there is no second one.
fn locked(signer: &Mutex<Signer>) -> Result<MutexGuard<'_, Signer>, Refusal> {
    let text = "an earlier call with this key failed in keymill itself; close the key and open it again";
    signer.lock().map_err(|_| Refusal::new(Status::Panic, text))
}

/// The open keys by their numbers, which are given out once each and begin with 1.
struct Keys {
    open: BTreeMap<u64, Arc<OpenKey>>,
    last_id: u64,
}

static KEYS: Mutex<Keys> = Mutex::new(Keys {
    open: BTreeMap::new(),
    last_id: 0,
});

/// What is behind it is whole at every moment.
fn keys() -> MutexGuard<'static, Keys> {
    KEYS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives a key its number.
pub(super) fn keep(key: OpenKey) -> u64 {
    let mut keys = keys();
    keys.last_id += 1;
    let id = keys.last_id;
    keys.open.insert(id, Arc::new(key));
    id
}

/// The key of a number. It stays what it is until the call is over, also if it is closed meanwhile.
pub(super) fn key(id: u64) -> Result<Arc<OpenKey>, Refusal> {
    let found = keys().open.get(&id).map(Arc::clone);
    found.ok_or_else(|| not_open(id))
}

/// Forgets the number. The key is gone when the last call that uses it is over.
pub(super) fn close(id: u64) -> Result<(), Refusal> {
    // In a statement of its own: to close RocksDB takes time, and no other thread should wait for the lock meanwhile.
    let closed = keys().open.remove(&id);
    closed.map(drop).ok_or_else(|| not_open(id))
}

fn not_open(id: u64) -> Refusal {
    Refusal::usage(match id {
        0 => "the key was never opened".to_owned(),
        id => format!("key {id} is not open: it was closed, or never opened"),
    })
}
