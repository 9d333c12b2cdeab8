//! What the fuzz targets share.

// The program's own modules, as its `main.rs` has them.
#[allow(dead_code, unused_imports, reason = "only reading is fuzzed")]
#[path = "../../../src/cli/mod.rs"]
mod cli;
#[allow(dead_code, reason = "only reading is fuzzed")]
#[path = "../../../src/config.rs"]
mod config;

/// The entries of the program.
pub mod program {
    pub use crate::cli::hostile::ENTRIES;
}

/// Takes any bytes, and says whether they were read as the form; an error says which promise was broken.
type Entry = fn(&[u8]) -> Result<bool, String>;

/// Runs the entry of this name; panics if it is none, or breaks its promise.
pub fn withstand(entries: &[(&str, Entry)], name: &str, bytes: &[u8]) {
    let entry = entries.iter().find(|(known, _)| *known == name);
    let (_, entry) = entry.unwrap_or_else(|| panic!("there is no entry '{name}'"));
    if let Err(broken) = entry(bytes) {
        panic!("{name}: {broken}");
    }
}
