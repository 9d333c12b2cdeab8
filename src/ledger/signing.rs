//! The ledger that lets a key sign, wherever it is: in the directory of the key, or in that of its set.

#[cfg(feature = "serve")]
use super::HeldLedger;
use super::error::used_up;
use super::fit::{first_unspent, is_used_up};
use super::set::{newer_in_set, old_copy, rescue_key};
use super::{EpochState, Ledger, Message, SetLedger, Syncs, doubted, known_mark};
use crate::error::{Error, Reason, Result};
use crate::files::parent_of;
use crate::keydir::{KeyDir, LedgerMark};
use crate::remedy::Remedy;
use crate::state::{LedgerHead, LedgerRecord};
use crate::units::{Epoch, EpochRange, KeyId, SetLedgerId};

/// A ledger, for the one process that writes to it. That of a set knows many keys, and that of a key this one.
pub(crate) enum SigningLedger {
    /// That of the one key.
    Own(Box<Ledger>),
    /// That of a set.
    OfSet(Box<SetLedger>),
}

/// The set that has the ledger of a key, as the mark of the key says.
pub(super) fn set_of_mark(key: &KeyDir) -> Result<Option<(LedgerMark, SetLedgerId)>> {
    let mark = match known_mark(&key.paths().ledger_mark(), key.manifest().key_id()) {
        // It names no set; what is wrong with it is found where it is compared with the ledger of the key.
        Err(error) if error.reason() == Reason::NotAFile => None,
        mark => mark?,
    };
    Ok(mark.and_then(|mark| mark.stage.set().map(|id| (mark, id))))
}

impl SigningLedger {
    /// Opens the ledger that lets a key sign, takes its lock and that of the key, and compares it with the mark beside it.
    pub(crate) fn open(key: &KeyDir) -> Result<Self> {
        match set_of_mark(key)? {
            None => Ok(Self::Own(Box::new(Ledger::open(key)?))),
            Some((_, id)) => Self::open_in_set(key, id),
        }
    }

    fn open_in_set(key: &KeyDir, id: SetLedgerId) -> Result<Self> {
        let open = || {
            let mut ledger = SetLedger::open_of(key, id)?;
            ledger.admit(key)?;
            Ok(Self::OfSet(Box::new(ledger)))
        };
        open().map_err(|error| with_way_out(error, key))
    }

    /// Opens it to be changed by hand. One of the key itself that does not fit its mark is taken for what is found of it.
    /// Gives whether it fits.
    pub(super) fn open_to_import(key: &KeyDir) -> Result<(Self, bool)> {
        match set_of_mark(key)? {
            Some((_, id)) => Ok((Self::open_in_set(key, id)?, true)),
            None => {
                let mut ledger = Ledger::open_unchecked(key)?;
                let fits = ledger.settle_or_doubt()?;
                Ok((Self::Own(Box::new(ledger)), fits))
            }
        }
    }

    /// Opens it for a new beginning. Where the ledger of the set is lost, the key has one of its own again, in which nothing
    /// is known to be unused.
    pub(super) fn open_to_begin(key: &KeyDir) -> Result<Self> {
        let Some((_, id)) = set_of_mark(key)? else {
            return Ok(Self::open_to_import(key)?.0);
        };
        match Self::open_in_set(key, id) {
            Err(error) if is_lost(&error) => Ok(Self::Own(Box::new(Ledger::open_taken_back(key, id)?))),
            opened => opened,
        }
    }

    /// Whether this message may be signed with this epoch of a key.
    pub(crate) fn standing(&self, key: KeyId, epoch: Epoch, message: &[u8]) -> Result<EpochState> {
        match self {
            Self::Own(ledger) => ledger.standing(epoch, message),
            Self::OfSet(ledger) => ledger.standing(key, epoch, message),
        }
    }

    /// Spends epochs, each on its message, in one write: when this returns, the entries and the mark are on disk. Each is
    /// [unused](EpochState::Unused), and none is named twice.
    pub(crate) fn spend(&mut self, spent: &[(KeyId, Epoch, &Message)], syncs: Syncs) -> Result<()> {
        match self {
            Self::Own(ledger) => {
                let spent: Vec<_> = spent.iter().map(|&(_, epoch, message)| (epoch, message)).collect();
                ledger.spend(&spent, syncs)
            }
            Self::OfSet(ledger) => ledger.spend(spent, syncs),
        }
    }

    /// Whether it is known what is on disk: no write has failed since it was opened.
    #[cfg(feature = "serve")]
    pub(crate) fn is_known(&self) -> bool {
        match self {
            Self::Own(ledger) => ledger.is_known(),
            Self::OfSet(ledger) => ledger.is_known(),
        }
    }

    /// What it says of a key as a whole.
    #[cfg(feature = "serve")]
    pub(crate) fn held(&self, key: KeyId) -> Result<HeldLedger> {
        match self {
            Self::Own(ledger) => ledger.held(),
            Self::OfSet(ledger) => {
                ledger.check_known()?;
                Ok(HeldLedger::of(&ledger.head_of(key)?))
            }
        }
    }

    pub(super) fn head(&self, key: KeyId) -> Result<LedgerHead> {
        match self {
            Self::Own(ledger) => Ok(ledger.head.clone()),
            Self::OfSet(ledger) => ledger.head_of(key),
        }
    }

    /// The epochs that a key stores, and the name of its scheme.
    pub(super) fn stored(&self, key: KeyId) -> Result<(EpochRange, &'static str)> {
        match self {
            Self::Own(ledger) => Ok((ledger.stored, ledger.scheme)),
            Self::OfSet(ledger) => ledger.stored(key),
        }
    }

    pub(super) fn entry(&self, key: KeyId, epoch: Epoch) -> Result<Option<LedgerRecord>> {
        match self {
            Self::Own(ledger) => ledger.store.ledger_entry(epoch),
            Self::OfSet(ledger) => ledger.store().set_entry(key, epoch),
        }
    }

    /// The lowest epoch of a key that may sign.
    pub(super) fn first_unspent(&self, key: KeyId) -> Result<Option<u64>> {
        let (extent, (stored, _)) = (self.head(key)?.extent, self.stored(key)?);
        match self {
            Self::Own(ledger) => first_unspent(ledger.store.ledger_entries()?, &extent, stored),
            Self::OfSet(ledger) => first_unspent(ledger.store().set_entries(key)?, &extent, stored),
        }
    }

    /// Refuses a key of which no epoch is left.
    pub(super) fn check_not_used_up(&self, key: &KeyDir) -> Result<()> {
        let key_id = key.manifest().key_id();
        let (stored, _) = self.stored(key_id)?;
        if is_used_up(&self.head(key_id)?.extent, stored) {
            return Err(used_up(key.path(), stored));
        }
        Ok(())
    }

    /// Writes entries of a key and its head. From here until the mark is written, and for good if anything fails, nothing is
    /// signed.
    pub(super) fn commit<'a>(
        &mut self,
        key: KeyId,
        entries: impl IntoIterator<Item = (Epoch, &'a LedgerRecord)>,
        head: LedgerHead,
    ) -> Result<()> {
        match self {
            Self::Own(ledger) => ledger.commit(entries, head),
            Self::OfSet(ledger) => ledger.commit_key(key, entries, &head),
        }
    }

    pub(super) fn mark(&mut self) -> Result<()> {
        match self {
            Self::Own(ledger) => ledger.mark(),
            Self::OfSet(ledger) => ledger.mark(),
        }
    }
}

/// An error of the ledger of a set, with what is left to a key of it if the newest ledger cannot be put back.
pub(super) fn with_way_out(error: Error, key: &KeyDir) -> Error {
    let begin = Remedy::LedgerInit(key.path().to_owned());
    // Of an old copy of the key, the set knows better.
    let is_of_key = error.path().is_some_and(|path| path.starts_with(key.path()));
    if is_lost(&error) && !is_of_key && !error.remedies().contains(&begin) {
        return error.mend([begin]);
    }
    error
}

/// Whether the ledger of a set is not there any more as it was: nothing but a person can say then what has signed.
fn is_lost(error: &Error) -> bool {
    matches!(
        error.reason(),
        Reason::Lost | Reason::WentBackwards | Reason::MarkMissing | Reason::MarkDamaged | Reason::Damaged
    )
}

impl Ledger {
    /// The ledger of a key whose set has lost it: what the key had when it moved, with what can be read of it in the set, and none
    /// of it known to be all.
    fn open_taken_back(key: &KeyDir, id: SetLedgerId) -> Result<Self> {
        let locked = key.lock()?;
        let manifest = locked.key()?.manifest().clone();
        let mark = known_mark(&locked.ledger_mark(), manifest.key_id())?;
        let moves = mark.as_ref().map_or(0, |mark| mark.moves);
        if newer_in_set(&locked, manifest.key_id(), moves)?.is_some() {
            return Err(old_copy(locked.root(), parent_of(locked.root())));
        }
        // Should the set come back as it was, it says less than this.
        let mut ledger = Self::of(locked, &manifest, moves + 1)?;
        let in_set = rescue_key(&ledger.locked, id, manifest.key_id(), &ledger.store)?;
        ledger.head = doubted(&ledger.head, &super::count(&ledger.store)?, mark.as_ref());
        if let Some(record) = in_set {
            let extent = &mut ledger.head.extent;
            extent.first_epoch = extent.first_epoch.max(record.extent.above_all_known());
        }
        Ok(ledger)
    }
}
