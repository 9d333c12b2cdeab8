//! Keys come in from other programs and go out to them: `interop` has the forms, this has the directories.

mod export;

pub use export::{ExportError, Exporter, Window, write_leanspec};
