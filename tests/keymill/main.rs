//! The integration tests, in one binary because linking RocksDB takes long.

mod reference;
mod reference_is_right;
mod support;
mod vectors;

mod known_answers;

#[cfg(feature = "keygen")]
mod command_line;
