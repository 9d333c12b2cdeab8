//! What a check found.

use std::ops::Range;
use std::path::PathBuf;

use crate::error::Error;
use crate::files::Entry;
use crate::keydir::SecretForm;
use crate::remedy::Remedy;
use crate::units::{BatchIndex, Level, Slice};

/// Damaged places that a report lists. A key can have tens of millions of batches' levels, all of them damaged, and nobody
/// reads more.
const LISTED_MAX: usize = 10_000;

/// A piece of a key that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// The level of the damaged nodes.
    pub level: Option<Level>,
    /// The batch that owns them; none above the batches.
    pub batch: Option<BatchIndex>,
    /// The nodes among which the damage lies.
    pub nodes: Option<Range<u64>>,
    /// What was found.
    pub what: String,
    /// What can be done, the best first; each of them alone.
    pub remedies: Vec<Remedy>,
}

impl Damage {
    /// Damage of a file as a whole; the error names it.
    pub(super) fn of_file(file: &Entry, level: Option<Level>, error: &Error) -> Self {
        Self {
            file: file.path().to_owned(),
            level,
            batch: None,
            nodes: None,
            what: error.to_string(),
            remedies: error.remedies().to_vec(),
        }
    }
}

/// What a check looked at, and what it found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// Batches that were looked at: those that have a checkpoint, and all of a sealed key.
    pub batches_checked: u64,
    /// Batches that have no checkpoint; of a sealed key there must be none.
    pub batches_missing: u64,
    /// Whether the secret is there; a directory that only serves paths needs none.
    pub secret_present: bool,
    /// In which form it is there.
    pub secret_form: SecretForm,
    /// Whether the leaves were computed again.
    pub deep: bool,
    /// Layer files of levels that the key does not store any more. They are not in the way.
    pub left_over: Vec<PathBuf>,
    /// What is wrong: the first 10,000 places.
    pub damage: Vec<Damage>,
    /// Places beyond those that are listed.
    pub damage_unlisted: u64,
}

impl CheckReport {
    /// Damaged places that were found.
    pub fn damage_count(&self) -> u64 {
        self.damage.len() as u64 + self.damage_unlisted
    }

    /// Takes note of damage.
    pub(super) fn add(&mut self, damage: Damage) {
        if self.is_full() {
            self.damage_unlisted += 1;
        } else {
            self.damage.push(damage);
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.damage.len() >= LISTED_MAX
    }

    /// Whether damage among these nodes is listed already.
    pub(super) fn names(&self, slice: &Slice) -> bool {
        self.damage.iter().any(|damage| {
            let nodes = damage.nodes.as_ref();
            damage.level == Some(slice.level) && nodes.is_some_and(|nodes| overlap(nodes, &slice.nodes))
        })
    }
}

/// Whether two ranges have a node in common.
pub(super) fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}
