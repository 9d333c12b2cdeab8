//! How the epochs of a key are divided into parts.

use super::error::{no_such_part, not_divisible, too_many_parts};
use crate::error::Result;
use crate::plan::Plan;
use crate::remedy::Argument;
use crate::units::EpochRange;

/// Most parts of a key: as many as a batch system takes without complaint.
pub const PARTS_MAX: u64 = 10_000;
/// Blocks of a part, at least, where there are enough batches: so many more or fewer are all that parts differ by, and the highest
/// level of a part has hardly more nodes.
const BLOCKS_OF_A_PART: u64 = 64;

/// Number of a part, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartIndex(pub u64);

impl std::fmt::Display for PartIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// How a key is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Division {
    /// Into so many parts, as equal as whole blocks of epochs allow.
    Parts(u64),
    /// At each multiple of so many epochs, a power of two.
    Epochs(u64),
}

impl Division {
    /// Refuses a division that a key of this plan cannot have.
    ///
    /// # Errors
    /// [`Error`](crate::Error) if there would be no part, or more than [`PARTS_MAX`], or more than batches.
    pub fn check(self, plan: &Plan) -> Result<()> {
        let batches = plan.batches();
        let batch_epochs = 1 << batches.root_level().0;
        match self {
            Self::Parts(parts) if parts == 0 || parts > PARTS_MAX.min(batches.count()) => {
                Err(too_many_parts(parts, PARTS_MAX.min(batches.count())))
            }
            Self::Epochs(epochs) if !epochs.is_power_of_two() || epochs < batch_epochs => {
                Err(not_divisible(epochs, batch_epochs))
            }
            Self::Epochs(_) if self.count(plan) > PARTS_MAX => Err(too_many_parts(self.count(plan), PARTS_MAX)),
            Self::Parts(_) | Self::Epochs(_) => Ok(()),
        }
    }

    /// What it was asked for with.
    pub(super) fn argument(self) -> Argument {
        match self {
            Self::Parts(_) => Argument::Parts,
            Self::Epochs(_) => Argument::PartEpochs,
        }
    }

    /// Number of parts.
    pub fn count(self, plan: &Plan) -> u64 {
        match self {
            Self::Parts(parts) => parts,
            Self::Epochs(epochs) => blocks(plan, epochs.ilog2()).count() as u64,
        }
    }

    /// The epochs of a part.
    ///
    /// # Errors
    /// [`Error`](crate::Error) if there is no such part.
    pub fn part(self, plan: &Plan, index: PartIndex) -> Result<EpochRange> {
        let parts = self.count(plan);
        if index.0 >= parts {
            return Err(no_such_part(index, parts));
        }
        let (height, first, end) = match self {
            Self::Parts(_) => {
                let height = grain(plan, parts);
                let blocks = blocks(plan, height);
                let count = blocks.end - blocks.start;
                let at = |index: u64| blocks.start + index * count / parts;
                (height, at(index.0), at(index.0 + 1))
            }
            Self::Epochs(epochs) => {
                let height = epochs.ilog2();
                let first = blocks(plan, height).start + index.0;
                (height, first, first + 1)
            }
        };
        let key = plan.key_epochs();
        Ok(EpochRange {
            start: (first << height).max(key.start),
            end: (end << height).min(key.end),
        })
    }

    /// Every part, with its epochs.
    pub fn all(self, plan: &Plan) -> impl Iterator<Item = (PartIndex, EpochRange)> + '_ {
        let each = (0..self.count(plan)).map(PartIndex);
        each.filter_map(move |index| Some((index, self.part(plan, index).ok()?)))
    }
}

/// The blocks of `2^height` epochs that the key has something of.
fn blocks(plan: &Plan, height: u32) -> std::ops::Range<u64> {
    let key = plan.key_epochs();
    key.start >> height..((key.end - 1) >> height) + 1
}

/// The largest blocks of which there are still enough for so many parts.
fn grain(plan: &Plan, parts: u64) -> u32 {
    let lowest = u32::from(plan.batches().root_level().0);
    let highest = u32::from(plan.scheme().log_lifetime());
    let is_fine = |height: &u32| {
        let blocks = blocks(plan, *height);
        blocks.end - blocks.start >= BLOCKS_OF_A_PART * parts
    };
    (lowest..=highest).rev().find(is_fine).unwrap_or(lowest)
}
