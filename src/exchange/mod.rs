//! Keys come in from other programs and go out to them: `interop` has the forms, this has the directories.

mod export;
#[cfg(feature = "keygen")]
mod import;

pub use export::{ExportError, Exporter, Window, write_leanspec};
#[cfg(feature = "keygen")]
pub use import::{Import, ImportError};
