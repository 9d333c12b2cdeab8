//! What stands in the directory of a key set: names and manifest as hash-sig-cli gives them, and the texts of keymill beside them
//! (docs/KEYSETS.md).

pub(crate) mod manifest;
pub(crate) mod names;
pub(crate) mod notes;
pub(crate) mod words;
