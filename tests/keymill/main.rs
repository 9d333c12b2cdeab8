//! The integration tests, in one binary because linking RocksDB takes long.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests say what they expect by unwrapping it"
)]

mod browser;
mod c_header;
mod documents;
mod geometry;
mod leanspec_keys;
mod leanvm_files;
#[cfg(target_arch = "x86_64")]
mod other_cpu;
mod promtool;
mod rooms;
mod secret_key_file;
mod secret_keys;
mod skip;
mod tiny_family;

mod command_line;
mod keys_on_disk;
mod killed;
mod layers_on_disk;
