//! Where the ledger of a set is, and how it is begun.

use std::path::{Path, PathBuf};

use sha3::{Digest, Sha3_256};

use super::error::{in_the_way, mark_missing, no_ledger, of_store};
use super::mark::SetMark;
use crate::error::{Error, Result};
use crate::failure::attempt;
use crate::files::publish::is_draft;
use crate::files::{Directory, Entry, parent_of};
use crate::keydir::{DirectoryLock, KeyPaths, MANIFEST, is_there};
use crate::state::{SetExtent, Store};
use crate::units::SetLedgerId;

/// The directory of the ledger in that of the set.
pub(crate) const LEDGER: &str = "ledger";
const STATE: &str = "state";
const STATE_DRAFT: &str = "state.draft";
const MARK: &str = "set.mark";
const LOCK: &str = "LOCK";
const BINDING_DOMAIN: &[u8] = b"keymill/1 set ledger";

/// The ledger of a set as it lies in the set's directory, which is open.
#[derive(Clone, Debug)]
pub(super) struct SetPlace {
    set: Directory,
    ledger: Directory,
}

impl SetPlace {
    /// The ledger in the directory of a set, if there is one.
    pub(super) fn find(set: &Path) -> Result<Option<Self>> {
        if !is_there(set)? {
            return Ok(None);
        }
        let set = Directory::open(set)?;
        let entry = set.entry(LEDGER);
        if !entry.is_directory()? {
            return Ok(None);
        }
        let ledger = entry.open_directory()?;
        let place = Self { set, ledger };
        // A key directory can have this name too.
        let is_of_set = place.mark().exists()? || (place.state().exists()? && !place.is_key()?);
        Ok(is_of_set.then_some(place))
    }

    /// The ledger of the set in whose directory a key stands, if there is one.
    pub(super) fn around(key: &KeyPaths) -> Result<Option<Self>> {
        match set_of(key)? {
            Some(set) => Self::find(&set),
            None => Ok(None),
        }
    }

    /// As [`around`](Self::around), for a key whose ledger it has to be.
    pub(super) fn of_key(key: &KeyPaths, id: SetLedgerId) -> Result<Self> {
        let found = Self::around(key)?;
        found.ok_or_else(|| no_ledger(parent_of(key.root()), Some(id)))
    }

    /// Makes the directory of a ledger that is to be begun, unless it is there.
    pub(super) fn make(set: &Path) -> Result<Self> {
        if !is_there(set)? {
            return Err(no_ledger(set, None));
        }
        let set = Directory::open(set)?;
        let entry = set.entry(LEDGER);
        if entry.exists()? && !entry.is_directory()? {
            return Err(in_the_way(entry.path()));
        }
        entry.make_directory()?;
        let ledger = entry.open_directory()?;
        let place = Self { set, ledger };
        place.refuse_foreign()?;
        Ok(place)
    }

    fn refuse_foreign(&self) -> Result<()> {
        let ours = [STATE, STATE_DRAFT, MARK, LOCK];
        for name in self.ledger.names()? {
            let name = name.to_string_lossy();
            if !ours.contains(&&*name) && !is_draft(&name) {
                return Err(in_the_way(self.ledger.path()));
            }
        }
        Ok(())
    }

    fn is_key(&self) -> Result<bool> {
        Ok(self.ledger.entry(MANIFEST).exists()?)
    }

    /// The directory of the set.
    pub(super) fn set(&self) -> &Path {
        self.set.path()
    }

    /// The directory of the ledger.
    pub(super) fn directory(&self) -> &Directory {
        &self.ledger
    }

    pub(super) fn mark(&self) -> Entry {
        self.ledger.entry(MARK)
    }

    pub(super) fn state(&self) -> Entry {
        self.ledger.entry(STATE)
    }

    pub(super) fn lock_file(&self) -> Entry {
        self.ledger.entry(LOCK)
    }

    /// Takes the lock, and removes what a process that died was writing.
    pub(super) fn lock(&self) -> Result<DirectoryLock> {
        let lock = DirectoryLock::take_of(&self.lock_file(), "the ledger of a set")?;
        for name in self.ledger.names()? {
            if is_draft(&name.to_string_lossy()) {
                self.ledger.entry(name).unlink()?;
            }
        }
        Ok(lock)
    }

    /// The mark, which has to be there.
    pub(super) fn read_mark(&self) -> Result<SetMark> {
        SetMark::read(&self.mark())?.ok_or_else(|| mark_missing(self.mark().path()))
    }

    /// Writes the first mark, with an identifier that no other ledger has, unless there was a ledger.
    pub(super) fn begin(&self) -> Result<()> {
        if self.mark().exists()? || self.state().exists()? {
            return Ok(());
        }
        let mut id = SetLedgerId([0; 16]);
        getrandom::fill(&mut id.0).map_err(|error| {
            Error::machine(format!(
                "the operating system could not provide randomness for the ledger of a set: {error}"
            ))
        })?;
        let extent = SetExtent::default();
        SetMark { id, extent }.write(&self.mark())
    }

    /// Opens the store. That of a ledger which knows nothing yet is made, if it is not there.
    pub(super) fn open_store(&self, mark: &SetMark) -> Result<Store> {
        let state = self.state();
        if mark.extent == SetExtent::default() && !state.exists()? {
            let draft = self.ledger.entry(STATE_DRAFT);
            Store::create_for_set(&draft, &binding(mark.id))?;
            attempt("rename", draft.path(), || draft.rename(&state))?;
            self.ledger.sync()?;
        }
        Store::open(&state, &binding(mark.id)).map_err(of_store)
    }

    /// Opens the store for reading alone.
    pub(super) fn open_store_read_only(&self, mark: &SetMark) -> Result<Store> {
        self.open_store_of(mark.id)
    }

    /// As [`open_store_read_only`](Self::open_store_read_only), where the mark says nothing.
    pub(super) fn open_store_of(&self, id: SetLedgerId) -> Result<Store> {
        Store::open_read_only(&self.state(), &binding(id)).map_err(of_store)
    }

    /// As [`Store::read_beside_a_writer`].
    pub(super) fn read<T>(&self, mark: &SetMark, read: impl Fn(Store) -> Result<T>) -> Result<T> {
        Store::read_beside_a_writer(&self.state(), &binding(mark.id), read).map_err(of_store)
    }
}

/// What binds a store to the ledger of a set, as that of a key is bound to its manifest.
fn binding(id: SetLedgerId) -> [u8; 32] {
    Sha3_256::new()
        .chain_update(BINDING_DOMAIN)
        .chain_update(id.0)
        .finalize()
        .into()
}

/// The directory in which that of a key stands, whatever links lead to it; none if it was moved away since it was opened.
pub(super) fn set_of(key: &KeyPaths) -> Result<Option<PathBuf>> {
    // The process may have changed its directory since.
    let path = key.directory().absolute();
    let real = match attempt("realpath", path, || std::fs::canonicalize(path)) {
        Err(failure) if failure.is_missing() => return Ok(None),
        real => real?,
    };
    let (set, given) = (parent_of(&real), parent_of(key.root()));
    // As it was typed, if that leads there: for messages.
    let is_given = key.root().file_name().is_some() && std::fs::canonicalize(given).is_ok_and(|given| given == set);
    Ok(Some(if is_given { given.to_owned() } else { set.to_owned() }))
}
