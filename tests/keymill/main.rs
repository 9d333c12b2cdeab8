//! The integration tests, in one binary because linking RocksDB takes long.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests say what they expect by unwrapping it"
)]

mod reference;
mod reference_is_right;
mod support;
mod vectors;

mod c_header;
mod geometry;
mod known_answers;
mod leanspec_keys;
#[cfg(target_arch = "x86_64")]
mod other_cpu;
mod rooms;
mod secret_key_file;
mod secret_keys;
mod signatures;
mod skip;

#[cfg(feature = "keygen")]
mod command_line;
#[cfg(feature = "keygen")]
mod keys_on_disk;
#[cfg(feature = "keygen")]
mod killed;
#[cfg(feature = "keygen")]
mod layers_on_disk;
