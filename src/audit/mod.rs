//! How far a key is, whether it is whole, and making it whole again.

mod batches;
mod check;
mod crown;
mod damage;
#[cfg(test)]
pub(crate) mod fixture_tests;
mod ledger;
mod parts;
mod repair;
#[cfg(test)]
pub(crate) mod replaced_tests;
mod report;
#[cfg(test)]
mod set_lost_tests;
#[cfg(test)]
mod size_tests;
mod status;
#[cfg(test)]
mod tests;
mod tree;

pub use check::check;
pub use damage::{CheckReport, Damage};
pub(crate) use repair::files::move_aside;
pub use repair::{BatchSet, RepairReport, RestoredFile, RewrittenLevel, StoreReplaced, repair};
pub use report::{BatchMap, BatchState, KeyReport, StateCounts, report};
pub use status::{KeyStatus, status};

pub use crate::state::{ArenaRecord, ProgressRecord};

pub use crate::history::{KeyHistory, MarkedRange, Marks, Run, RunCommand, RunEnd, Sample};
