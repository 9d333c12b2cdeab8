//! Keys come in from other programs and from backups, and go out to them: `interop` has the forms of others, this has the
//! directories.

mod backup;
mod export;
mod import;
mod keystore;
#[cfg(test)]
mod power_cut_tests;
mod restore;
#[cfg(test)]
mod ways_out_tests;

pub use crate::interop::{leansig_json, ledger_json, secret_key};
pub use backup::Backup;
pub(crate) use export::computed_bytes;
pub use export::{Exporter, Window, write_leanspec};
pub use import::Import;
pub use keystore::{KeystoreExport, SecretTurn, read_keystore, seal_secret, unseal_secret};
