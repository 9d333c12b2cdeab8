//! keymill makes keys for hash-based signatures that are bigger than memory: generalized XMSS over Poseidon and BLAKE2s,
//! as in leanSig, hash-sig and leanVM, with up to 2^32 one-time keys.
//!
//! A key lives in a directory. [`KeygenJob`] makes it there, batch by batch, and goes on where it was interrupted;
//! [`PathReader`] serves authentication paths from it, [`Signer`] signs, and [`verify`] needs no directory at all. What a key
//! will take is known beforehand from its [`Plan`].
//!
//! Everything at the interface is bytes: digests are in the canonical form in which they stand in a signature.
//!
//! The scheme of this example is for tests only; `leansig-p1-l32-abort-v46-w8` is the default of the program.
//!
//! ```
//! use keymill::{Epoch, KeyRequest, KeygenJob, NoProgress, PublicKey, Scheme, Signer, verify};
//!
//! # let parent = tempfile::tempdir()?;
//! # let directory = parent.path().join("key");
//! let scheme = Scheme::by_id("leansig-p1-l8-abort-v4-w8")?;
//! let request = KeyRequest::new(scheme).epochs(256);
//! let job = KeygenJob::builder(&directory).request(request).open()?;
//! let public_key = PublicKey::from_ssz(scheme, &job.run(&NoProgress)?.public_key)?;
//!
//! let mut signer = Signer::open(&directory)?;
//! let signature = signer.sign(Epoch(17), &[7; 32])?.to_ssz();
//! verify(&public_key, Epoch(17), &[7; 32], &signature)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The names at the top are those that make a key and use it. What else can be done with keys is in modules: [`audit`]
//! looks at them and repairs them, [`ledger`] knows which epochs are spent, [`exchange`] takes them in and out, and [`sets`]
//! makes many. To add your own hash family, see [`xmss`] and [`Scheme::add`].

#[cfg(test)]
mod alone;
pub mod audit;
#[cfg(any(feature = "capi", test))]
mod capi;
#[cfg(any(feature = "capi", test))]
mod client;
mod drawing;
mod error;
pub mod exchange;
mod failure;
#[cfg(test)]
mod faults;
mod files;
mod history;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod hostile;
mod interop;
mod keydir;
mod keygen;
mod keystore;
mod layers;
pub mod ledger;
mod mapping;
pub mod memory;
#[path = "../migrations/mod.rs"]
mod migrations;
pub mod parts;
pub mod plan;
mod remedy;
pub mod resources;
#[cfg(feature = "serve")]
pub mod service;
pub mod sets;
mod signing;
#[cfg(test)]
#[path = "../tests/keymill/skip.rs"]
mod skip;
mod state;
mod subtree;
pub mod support;
mod text;
mod time;
mod trim;
mod units;
mod workers;

pub use error::{Error, Reason, Result};
pub use failure::FailureKind;
pub use keydir::{FORMAT_VERSION, KeyDir, KeyPlace, KeyState, Manifest, Origin, Secret, SecretForm};
pub use keygen::{
    CancelHandle, Event, JobOptions, KeyDefaults, KeyRequest, KeygenBuilder, KeygenJob, NoProgress, Phase, Progress,
    Summary,
};
pub use keymill_xmss as xmss;
pub use keymill_xmss::scheme::{Parameter, UnknownScheme};
pub use keymill_xmss::{
    Claim, PublicKey, Rejection, Scheme, Signature, SszError, TextError, Verifier, verify, verify_batch,
};
pub use keystore::Passphrase;
pub use migrations::migrate;
pub use plan::{Epoch, Level, MemoryRequest, Plan};
pub use remedy::{Argument, Remedy};
pub use signing::{AuthenticationPath, PathReader, PathStream, Signer};
pub use trim::{TrimReport, trim};

/// The version of RocksDB that is compiled in.
pub const ROCKSDB_VERSION: &str = "11.8.1";
