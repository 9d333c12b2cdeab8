//! Forms that other programs write and read.

pub mod ledger_json;
pub mod ssz;
