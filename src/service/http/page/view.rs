//! What a page shows, as it is at a moment.

use std::collections::BTreeMap;
use std::path::Path;

use super::live::Rates;
use crate::files::parent_of;
use crate::service::beside::{BeingMade, name_of};
use crate::service::figures::Commits;
use crate::service::http::keys::left;
use crate::service::http::refusal::{REASONS, Row};
use crate::service::http::state::State;
use crate::service::keys::HeldKey;
use crate::service::memory::MemorySample;
use crate::sets;
use crate::time::steady_unix_ms;

/// Everything that a page shows.
pub(super) struct View {
    pub(super) now_unix_ms: u64,
    pub(super) started_unix_ms: u64,
    pub(super) rates: Rates,
    pub(super) signatures: u64,
    pub(super) waiting: usize,
    pub(super) waiting_max: usize,
    pub(super) commits: Commits,
    pub(super) refusals: Vec<(&'static Row, u64)>,
    pub(super) memory: MemorySample,
    pub(super) keys: Vec<KeyView>,
    pub(super) sets: Vec<SetView>,
    pub(super) being_made: Vec<BeingMade>,
}

/// A key that is served.
pub(super) struct KeyView {
    pub(super) name: String,
    pub(super) scheme: &'static str,
    pub(super) public_key: String,
    pub(super) epochs: u64,
    /// None if it cannot sign now.
    pub(super) standing: Option<Standing>,
}

/// What the ledger of a key says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Standing {
    pub(super) spent: u64,
    pub(super) left: u64,
    pub(super) highest: Option<u32>,
    pub(super) last_unix_ms: Option<u64>,
}

/// The served keys of one set.
#[derive(Default)]
pub(super) struct SetView {
    pub(super) name: String,
    pub(super) keys: u64,
    pub(super) epochs: u64,
    pub(super) spent: u64,
    /// Of the key that has the fewest.
    pub(super) left_min: Option<u64>,
}

impl View {
    /// Looks. Waits for ledgers that are being written, and for the disk.
    pub(super) fn of(state: &State) -> Self {
        let figures = &state.figures;
        let keys: Vec<_> = state.engine.keys().iter().map(KeyView::of).collect();
        Self {
            now_unix_ms: steady_unix_ms(),
            started_unix_ms: figures.started_unix_ms,
            rates: state.live.rates(),
            signatures: figures.signatures(),
            waiting: state.engine.waiting(),
            waiting_max: state.engine.waiting_max(),
            commits: figures.engine.commits(),
            refusals: REASONS.iter().map(|row| (row, figures.refusals(row))).collect(),
            memory: state.memory.sample(),
            sets: sets_of(state, &keys),
            being_made: state.live.beside(state.engine.keys()).look(),
            keys,
        }
    }

    /// Keys that cannot sign now.
    pub(super) fn failed(&self) -> usize {
        self.keys.iter().filter(|key| key.standing.is_none()).count()
    }

    /// The fewest epochs that a key has left.
    pub(super) fn left_min(&self) -> Option<u64> {
        let left = self.keys.iter().filter_map(|key| Some(key.standing?.left));
        left.min()
    }

    /// When something was last signed.
    pub(super) fn last_unix_ms(&self) -> Option<u64> {
        let last = self.keys.iter().filter_map(|key| key.standing?.last_unix_ms);
        last.max()
    }
}

impl KeyView {
    fn of(key: &HeldKey) -> Self {
        let manifest = key.signing.paths().manifest();
        let standing = key.standing().map(|ledger| Standing {
            spent: ledger.spent,
            left: left(key, ledger.first_epoch, ledger.highest),
            highest: ledger.highest,
            last_unix_ms: ledger.last_unix_ms,
        });
        Self {
            name: name_of(&key.place),
            scheme: manifest.scheme().id(),
            public_key: super::super::answers::digits(&key.public_key),
            epochs: manifest.plan().stored().count(),
            standing,
        }
    }
}

/// The sets that the keys are of, by their directories.
fn sets_of(state: &State, keys: &[KeyView]) -> Vec<SetView> {
    let mut sets: BTreeMap<&Path, SetView> = BTreeMap::new();
    for (key, view) in state.engine.keys().iter().zip(keys) {
        let set = sets.entry(parent_of(&key.place)).or_default();
        let standing = view.standing.unwrap_or_default();
        set.keys += 1;
        set.epochs += view.epochs;
        set.spent += standing.spent;
        let left = view.standing.map(|standing| standing.left);
        set.left_min = set.left_min.into_iter().chain(left).min();
    }
    sets.retain(|directory, _| sets::is_set(directory));
    let named = |(directory, set): (&Path, SetView)| SetView {
        name: name_of(directory),
        ..set
    };
    sets.into_iter().map(named).collect()
}
