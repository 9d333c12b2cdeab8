//! What a ledger says, also while another process writes to it.

use std::path::{Path, PathBuf};

use super::error::{backwards, mark_missing, no_history, used_up};
use super::fit::unspent;
use super::set::{self, SetView, newer_in_set, old_copy};
use super::signing::{set_of_mark, with_way_out};
use super::{Fit, count, fit, is_begun};
use crate::error::{Error, Reason, Result};
use crate::failure::FailureKind;
use crate::files::parent_of;
use crate::keydir::{KeyDir, LedgerMark, Manifest};
use crate::remedy::Remedy;
use crate::state::{LedgerHead, Store};
use crate::time::pause;

/// A signer beside us writes the ledger and then its mark, and can have done so twice between our reading one and the
/// other.
const ATTEMPTS: u32 = 5;
const ATTEMPT_INTERVAL_MS: u64 = 20;

/// Whether a ledger can be signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerCondition {
    /// It is known which epochs are unused.
    Sound,
    /// It is not known which epochs are unused: `ledger init` has not said.
    NoHistory,
    /// No epoch is left that may sign.
    UsedUp,
    /// It says less than it did, or is another one.
    WentBackwards,
    /// The mark beside it is missing.
    MarkMissing,
    /// The mark beside it is damaged.
    MarkDamaged,
    /// It is that of a set, which does not say that the key signs by it: it is lost, older than its mark, or a move was not
    /// finished.
    Moved,
}

/// A snapshot of a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LedgerStatus {
    /// Everything public about the key.
    pub manifest: Manifest,
    /// Whether it can be signed with.
    pub condition: LedgerCondition,
    /// Why not.
    pub problem: Option<String>,
    /// What can be done about that, the best first; each of them alone.
    pub remedies: Vec<Remedy>,
    /// Epochs below it that are not spent are not known to be unused; none if that is known of no epoch.
    pub first_epoch: Option<u64>,
    /// Number of spent epochs.
    pub spent: u64,
    /// The highest of them.
    pub highest: Option<u32>,
    /// When an epoch was last spent, in milliseconds since 1970; none if that is not known.
    pub last_unix_ms: Option<u64>,
    /// Number of spent epochs that the mark knows of.
    pub marked: Option<u64>,
    /// The directory of the set whose ledger it is; none if the key has one of its own, or the set cannot be asked.
    pub set: Option<PathBuf>,
    /// The process that is writing, if one is.
    pub writer: Option<String>,
}

/// A ledger as it was found.
pub(crate) struct Seen {
    /// What the ledger and its mark say together.
    pub(crate) head: LedgerHead,
    pub(crate) mark: Option<LedgerMark>,
    /// The directory of the set whose ledger it is.
    pub(crate) set: Option<PathBuf>,
    /// What keeps it from being signed with.
    pub(crate) problem: Option<(LedgerCondition, Error)>,
}

/// Tells what the ledger of a sealed key says. Takes no lock and writes nothing.
///
/// # Errors
/// [`Error`](crate::Error) if it is not a sealed key, or its store cannot be read.
pub fn show(directory: &Path) -> Result<LedgerStatus> {
    let key = KeyDir::open_sealed(directory)?;
    let Seen {
        head,
        mark,
        set,
        problem,
    } = look(&key)?;
    let (condition, problem) = problem.unzip();
    Ok(LedgerStatus {
        condition: condition.unwrap_or(LedgerCondition::Sound),
        problem: problem.as_ref().map(Error::to_string),
        remedies: problem.map_or(Vec::new(), |error| error.remedies().to_vec()),
        // One that does not fit its mark says less than is known.
        first_epoch: (head.initialised && matches!(condition, None | Some(LedgerCondition::UsedUp)))
            .then_some(head.extent.first_epoch),
        spent: head.extent.spent,
        highest: head.extent.highest,
        last_unix_ms: Some(head.last_unix_ms).filter(|&unix_ms| unix_ms > 0),
        // That of the key is of the time when its ledger moved.
        marked: mark
            .filter(|mark| mark.stage.set().is_none())
            .map(|mark| mark.extent.spent),
        set,
        writer: key.writer(),
        manifest: key.manifest().clone(),
    })
}

/// Looks at the entries of a ledger, its head, and its mark; again if they do not fit, as a signer may be in between.
pub(crate) fn look(key: &KeyDir) -> Result<Seen> {
    let mut attempt = 1;
    loop {
        let seen = look_once(key)?;
        let is_settled = match seen.problem {
            None | Some((LedgerCondition::NoHistory | LedgerCondition::UsedUp, _)) => true,
            Some(_) => attempt == ATTEMPTS,
        };
        if is_settled {
            return Ok(seen);
        }
        attempt += 1;
        pause(ATTEMPT_INTERVAL_MS);
    }
}

fn look_once(key: &KeyDir) -> Result<Seen> {
    if let Some((mark, id)) = set_of_mark(key)? {
        let view = match set::look(key, &mark, id) {
            Err(error) if error.kind() == FailureKind::Directory => Err(with_way_out(error, key)),
            view => Ok(view?),
        };
        return Ok(condition_in_set(key, mark, view));
    }
    let (paths, manifest) = (key.paths(), key.manifest());
    let mark = FoundMark::read(key)?;
    let read = |store: Store| LedgerFigures::of(&store, manifest);
    let figures = Store::read_beside_a_writer(&paths.state(), &manifest.binding(), read)?;
    condition_of(key, figures, mark)
}

/// The mark as it was found, which has to happen before the ledger is read: a signer writes it last.
pub(super) struct FoundMark(Result<Option<LedgerMark>>);

impl FoundMark {
    pub(super) fn read(key: &KeyDir) -> Result<Self> {
        match LedgerMark::read(&key.paths().ledger_mark(), key.manifest().key_id()) {
            Err(error) if matches!(error.reason(), Reason::MarkDamaged | Reason::NotAFile) => Ok(Self(Err(error))),
            mark => Ok(Self(Ok(mark?))),
        }
    }
}

/// What the store says of a ledger.
pub(super) struct LedgerFigures {
    head: LedgerHead,
    /// From the entries themselves.
    counted: LedgerHead,
    /// Epochs without an entry, from the first on that may sign.
    unspent: u64,
}

impl LedgerFigures {
    pub(super) fn of(store: &Store, manifest: &Manifest) -> Result<Self> {
        let head = store.ledger_head()?.unwrap_or_default();
        Ok(Self {
            counted: count(store)?,
            unspent: unspent(store.ledger_entries()?, &head.extent, manifest.plan().stored())?,
            head,
        })
    }
}

/// What keeps a ledger from being signed with, if anything does.
pub(super) fn condition_of(key: &KeyDir, figures: LedgerFigures, mark: FoundMark) -> Result<Seen> {
    let LedgerFigures {
        mut head,
        counted,
        unspent,
    } = figures;
    let mark = match mark.0 {
        Ok(mark) => mark,
        Err(error) => {
            let problem = Some((LedgerCondition::MarkDamaged, error));
            return Ok(Seen {
                head,
                mark: None,
                set: None,
                problem,
            });
        }
    };
    let misfit = match &mark {
        None if head.knows_nothing() && counted.extent.spent == 0 => None,
        None => {
            let missing = mark_missing(key.paths().ledger_mark().path());
            Some((LedgerCondition::MarkMissing, missing))
        }
        Some(mark) => {
            let how = match fit(&head, counted.extent.spent, mark) {
                Fit::Backwards(how) => Some(how),
                Fit::Same | Fit::Ahead => (!head.has_entries_of(&counted))
                    .then(|| "its entries are not those that its head counts".to_owned()),
            };
            how.map(|how| (LedgerCondition::WentBackwards, backwards(key.path(), &how)))
        }
    };
    let moves = mark.as_ref().map_or(0, |mark| mark.moves);
    let misfit = match newer_in_set(key.paths(), key.manifest().key_id(), moves)? {
        Some(_) => Some((
            LedgerCondition::WentBackwards,
            old_copy(key.path(), parent_of(key.path())),
        )),
        None => misfit,
    };
    head.initialised = is_begun(&head, mark.as_ref());
    let stored = key.manifest().plan().stored();
    let problem = match misfit {
        None if unspent == 0 => Some((LedgerCondition::UsedUp, used_up(key.path(), stored))),
        None if !head.initialised => Some((LedgerCondition::NoHistory, no_history(key.path()))),
        misfit => misfit,
    };
    Ok(Seen {
        head,
        mark,
        set: None,
        problem,
    })
}

/// What keeps a key from being signed with by the ledger of its set, if anything does.
pub(super) fn condition_in_set(key: &KeyDir, mark: LedgerMark, view: Result<SetView>) -> Seen {
    let view = match view {
        Ok(view) => view,
        Err(error) => {
            // What the key knew when its ledger moved.
            let head = LedgerHead {
                extent: mark.extent,
                ..LedgerHead::default()
            };
            return Seen {
                head,
                mark: Some(mark),
                set: None,
                problem: Some((LedgerCondition::Moved, error)),
            };
        }
    };
    let stored = key.manifest().plan().stored();
    let problem = if view.unspent == 0 {
        Some((LedgerCondition::UsedUp, used_up(key.path(), stored)))
    } else if !view.head.initialised {
        Some((LedgerCondition::NoHistory, no_history(key.path())))
    } else {
        None
    };
    Seen {
        head: view.head,
        mark: Some(mark),
        set: Some(view.set),
        problem,
    }
}
