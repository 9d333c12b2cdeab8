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
//! ```
//! use keymill::{CancelHandle, JobOptions, KeyDefaults, KeyRequest, KeygenJob, NoProgress, PublicKey, Scheme, Signer, verify};
//! use keymill::plan::Level;
//!
//! # let parent = tempfile::tempdir()?;
//! # let directory = parent.path().join("key");
//! let scheme = Scheme::by_id("leansig-p1-l8-abort-v4-w8")?;
//! let defaults = KeyDefaults { scheme, epochs: 256, trim: Level(0) };
//! let (request, options) = (KeyRequest::default(), JobOptions::default());
//! let job = KeygenJob::open(&directory, &request, &defaults, options, CancelHandle::default())?;
//! let public_key = PublicKey::from_ssz(scheme, &job.run(&NoProgress)?.public_key)?;
//!
//! let mut signer = Signer::open(&directory)?;
//! let epoch = signer.paths().epoch(17)?;
//! let signature = signer.sign(epoch, &[7; 32])?.to_ssz();
//! verify(&public_key, epoch, &[7; 32], &signature)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(test)]
mod alone;
pub mod audit;
#[cfg(any(feature = "capi", test))]
mod capi;
pub mod error;
pub mod exchange;
pub mod failure;
#[cfg(test)]
mod faults;
pub mod files;
mod history;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod hostile;
pub mod interop;
pub mod keydir;
pub mod keygen;
pub mod layers;
pub mod ledger;
mod mapping;
pub mod memory;
#[path = "../migrations/mod.rs"]
mod migrations;
mod own;
pub mod plan;
pub mod remedy;
pub mod resources;
pub mod sets;
pub mod signing;
#[cfg(test)]
#[path = "../tests/keymill/skip.rs"]
mod skip;
mod state;
mod subtree;
#[doc(hidden)]
pub mod text;
#[doc(hidden)]
pub mod time;
pub mod trim;
mod units;
mod workers;

pub use error::{Error, Reason, Result};
pub use keydir::{FORMAT_VERSION, KeyDir, KeyDirError, Manifest};
pub use keygen::{
    CancelHandle, Event, JobOptions, KeyDefaults, KeyRequest, KeygenJob, NoProgress, Phase, Progress, Summary,
};
pub use keymill_xmss::{
    Claim, PublicKey, Rejection, Scheme, Signature, SszError, TextError, Verifier, arena, hash, scheme, verify,
    verify_batch,
};
pub use migrations::migrate;
pub use plan::Plan;
pub use signing::{AuthenticationPath, PathReader, PathStream, Signer};
pub use state::{ArenaRecord, ProgressRecord, StateError};

/// The version of RocksDB that is compiled in.
pub const ROCKSDB_VERSION: &str = "11.8.1";
