//! Names and manifest in the directory of a key set, as hash-sig-cli gives them (docs/KEYSETS.md).

pub(crate) mod manifest;
pub(crate) mod names;
pub(crate) mod words;
