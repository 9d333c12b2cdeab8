//! Looking at a key without changing it: how far it is, and whether it is whole.

mod check;
mod ledger;
mod status;

pub use check::{CheckError, CheckReport, Damage, check};
pub use status::{KeyStatus, StatusError, status};
