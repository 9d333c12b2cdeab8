//! What a ledger says, beside whoever writes to it.

use std::path::Path;

use super::{Fit, LedgerError, fit};
use crate::keydir::{KeyDir, KeyDirError, LedgerMark, Manifest};
use crate::state::Store;

/// Whether a ledger can be signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerCondition {
    /// It is known which epochs are unused.
    Sound,
    /// Nobody has said which epochs are unused.
    NoHistory,
    /// It says less than it did, or is another one.
    WentBackwards,
    /// The mark beside it is missing.
    MarkMissing,
    /// The mark beside it is damaged.
    MarkDamaged,
}

/// A snapshot of a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerStatus {
    /// Everything public about the key.
    pub manifest: Manifest,
    /// Whether it can be signed with.
    pub condition: LedgerCondition,
    /// Why not.
    pub problem: Option<String>,
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
    /// The process that is writing, if one is.
    pub writer: Option<String>,
}

/// Tells what the ledger of a sealed key says. Takes no lock and writes nothing.
///
/// # Errors
/// [`LedgerError`] if it is not a sealed key, or its store cannot be read.
pub fn show(directory: &Path) -> Result<LedgerStatus, LedgerError> {
    let key = KeyDir::open_sealed(directory)?;
    let manifest = key.manifest();
    // The mark first: it is written last, so that a writer between the two readings is not taken for a loss.
    let mark = match LedgerMark::read(&key.paths().ledger_mark(), manifest.key_id()) {
        Err(error @ KeyDirError::LedgerMark { .. }) => Err(error.to_string()),
        mark => Ok(mark?),
    };
    let head = Store::read_beside_a_writer(&key.paths().state(), &manifest.binding(), Store::ledger_head)?;
    let head = head.unwrap_or_default();
    let problem = match &mark {
        Err(problem) => Some((LedgerCondition::MarkDamaged, problem.clone())),
        Ok(None) => {
            let missing = LedgerError::MarkMissing(key.paths().ledger_mark());
            Some((LedgerCondition::MarkMissing, missing.to_string()))
        }
        Ok(Some(mark)) => match fit(&head, mark) {
            Fit::Backwards(what) => {
                let directory = directory.to_owned();
                let backwards = LedgerError::Backwards { directory, what };
                Some((LedgerCondition::WentBackwards, backwards.to_string()))
            }
            _ if !head.initialised => {
                let directory = directory.to_owned();
                let unknown = LedgerError::NoHistory { directory };
                Some((LedgerCondition::NoHistory, unknown.to_string()))
            }
            Fit::Same | Fit::Ahead => None,
        },
    };
    Ok(LedgerStatus {
        condition: problem
            .as_ref()
            .map_or(LedgerCondition::Sound, |(condition, _)| *condition),
        problem: problem.map(|(_, what)| what),
        first_epoch: head.initialised.then_some(head.extent.first_epoch),
        spent: head.extent.spent,
        highest: head.extent.highest,
        last_unix_ms: Some(head.last_unix_ms).filter(|&unix_ms| unix_ms > 0),
        marked: mark.ok().flatten().map(|mark| mark.extent.spent),
        writer: key.writer(),
        manifest: manifest.clone(),
    })
}
