//! Names and manifest in the directory of a key set, as hash-sig-cli and ethlambda give them (docs/KEYSETS.md).

mod lines;
pub(crate) mod manifest;
pub(crate) mod names;
pub(crate) mod revision;
pub(crate) mod words;
