//! keymill makes keys for hash-based signatures that are bigger than memory: generalized XMSS over KoalaBear and Poseidon,
//! as in the leanSig and hash-sig libraries, with up to 2^32 one-time keys.
//!
//! A key lives in a directory. [`KeygenJob`] makes it there, batch by batch, and goes on where it was interrupted;
//! [`PathReader`] serves authentication paths from it, [`Signer`] signs, and [`verify`] needs no directory at all. What a key
//! will take is known beforehand from its [`Plan`].
//!
//! Everything at the interface is bytes: digests are canonical field elements, four bytes each, little-endian, exactly as
//! they stand in a signature.
//!
//! The feature `keygen`, on by default, holds the job and the checkpoint store (RocksDB). Without it the crate still builds
//! plans, path look-up and verifying.
#![cfg_attr(
    feature = "keygen",
    doc = r#"
```
use keymill::{CancelHandle, JobOptions, KeyDefaults, KeyRequest, KeygenJob, NoProgress, Scheme, Signer, verify};
use keymill::interop::ssz::PublicKey;
use keymill::plan::{Level, MemoryRequest};

# let parent = tempfile::tempdir()?;
# let directory = parent.path().join("key");
let scheme = Scheme::by_id("leansig-p1-l8-abort-v4-w8")?;
let defaults = KeyDefaults { scheme, epochs: 256, trim: Level(0) };
let options = JobOptions { threads: 0, group_batches: 8, memory: MemoryRequest::Auto };
let job = KeygenJob::open(&directory, &KeyRequest::default(), &defaults, options, CancelHandle::default())?;
let public_key = PublicKey::from_ssz(scheme, &job.run(&NoProgress)?.public_key)?;

let mut signer = Signer::open(&directory)?;
let epoch = signer.paths().epoch(17)?;
let signature = signer.sign(epoch, &[7; 32])?.to_ssz(scheme);
verify(scheme, &public_key, 17, &[7; 32], &signature)?;
# Ok::<(), Box<dyn std::error::Error>>(())
```
"#
)]

#[cfg(test)]
mod alone;
pub mod arena;
#[cfg(feature = "keygen")]
pub mod audit;
#[cfg(any(feature = "capi", all(test, feature = "keygen")))]
mod capi;
pub mod exchange;
pub mod failure;
#[cfg(all(test, feature = "keygen"))]
mod faults;
#[cfg_attr(
    not(feature = "keygen"),
    expect(dead_code, reason = "the side that writes belongs to the job")
)]
pub mod files;
pub mod hash;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod hostile;
pub mod interop;
#[cfg_attr(
    not(feature = "keygen"),
    expect(dead_code, reason = "the side that writes belongs to the job")
)]
pub mod keydir;
#[cfg(feature = "keygen")]
pub mod keygen;
pub mod layers;
#[cfg(feature = "keygen")]
pub mod ledger;
#[cfg_attr(
    not(feature = "keygen"),
    expect(dead_code, reason = "the side that writes belongs to the job")
)]
mod mapping;
pub mod memory;
#[cfg(feature = "keygen")]
#[path = "../migrations/mod.rs"]
mod migrations;
pub mod plan;
pub mod remedy;
pub mod resources;
pub mod scheme;
#[cfg(feature = "keygen")]
pub mod sets;
pub mod signing;
#[cfg(test)]
#[path = "../tests/keymill/skip.rs"]
mod skip;
#[cfg(any(feature = "keygen", all(fuzzing, feature = "records")))]
#[cfg_attr(
    not(feature = "keygen"),
    expect(
        dead_code,
        unused_imports,
        reason = "records are fuzzed without the store that holds them"
    )
)]
mod state;
mod subtree;
#[doc(hidden)]
pub mod text;
#[doc(hidden)]
pub mod time;
#[cfg(feature = "keygen")]
pub mod trim;
mod units;
#[cfg_attr(
    not(any(feature = "keygen", test)),
    expect(dead_code, reason = "the side that writes belongs to the job")
)]
mod workers;

pub use keydir::{FORMAT_VERSION, KeyDir, KeyDirError, Manifest};
#[cfg(feature = "keygen")]
pub use keygen::{
    CancelHandle, Event, JobOptions, KeyDefaults, KeyRequest, KeygenError, KeygenJob, NoProgress, Phase, Progress,
    Summary,
};
#[cfg(feature = "keygen")]
pub use migrations::{MigrationError, migrate};
pub use plan::Plan;
pub use scheme::Scheme;
#[cfg(feature = "keygen")]
pub use signing::Signer;
pub use signing::{
    AuthenticationPath, Claim, PathReader, PathStream, Rejection, SigningError, Verifier, verify, verify_batch,
};
#[cfg(feature = "keygen")]
pub use state::{ArenaRecord, ProgressRecord, StateError};

/// The version of RocksDB that is compiled in.
pub const ROCKSDB_VERSION: Option<&str> = if cfg!(feature = "keygen") { Some("11.8.1") } else { None };
