//! Forms that other programs write and read.

pub mod leansig_json;
pub mod ledger_json;
pub mod secret_key;
pub mod ssz;
