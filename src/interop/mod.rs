//! Forms that other programs write and read.

pub(crate) mod key_set;
pub mod leansig_json;
pub mod ledger_json;
mod role;
pub mod secret_key;

pub use role::Role;
