//! Forms that other programs write and read.

pub(crate) mod key_set;
pub mod leansig_json;
pub mod ledger_json;
pub mod secret_key;
