//! Keys come in from other programs and from backups, and go out to them: `interop` has the forms of others, this has the
//! directories.

pub mod backup;
mod export;
#[cfg(feature = "keygen")]
mod import;
#[cfg(test)]
#[cfg(feature = "keygen")]
mod power_cut_tests;
#[cfg(feature = "keygen")]
pub mod restore;
#[cfg(test)]
#[cfg(feature = "keygen")]
mod ways_out_tests;

#[cfg(feature = "keygen")]
pub(crate) use export::computed_bytes;
pub use export::{ExportError, Exporter, Window, write_leanspec};
#[cfg(feature = "keygen")]
pub use import::{Import, ImportError};
