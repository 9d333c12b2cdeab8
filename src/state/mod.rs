//! The checkpoint store: which batches are done, with their checksums, and which epochs are spent. The only module that
//! names RocksDB.

mod batch_store;
mod compaction;
#[cfg(test)]
pub(crate) mod damage_tests;
mod error;
mod ledger;
mod ledger_store;
mod log_records;
mod old_history;
mod options;
mod place;
mod preflight;
mod records;
mod set_ledger;
mod set_ledger_store;
mod store;
mod verdict;

pub(crate) use ledger::{LedgerHead, LedgerRecord};
#[cfg(any(test, fuzzing))]
pub(crate) use records::reencoded;
pub use records::{ArenaRecord, ProgressRecord};
pub(crate) use records::{BatchRecord, CrownRecord};
pub(crate) use set_ledger::{KeyStanding, SetExtent, SetHead, SetKeyRecord};
pub(crate) use set_ledger_store::SetEntry;
pub(crate) use store::Store;
