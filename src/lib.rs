//! keymill
#![deny(unsafe_code)]
#[cfg(feature = "keygen")]
pub mod audit;
pub mod failure;
pub mod hash;
pub mod interop;
#[cfg_attr(
    not(feature = "keygen"),
    expect(dead_code, reason = "the side that writes belongs to the job")
)]
pub mod keydir;
#[cfg(feature = "keygen")]
pub mod keygen;
#[cfg_attr(
    not(feature = "keygen"),
    expect(dead_code, reason = "the side that writes belongs to the job")
)]
pub mod layers;
#[cfg(feature = "keygen")]
#[path = "../migrations/mod.rs"]
mod migrations;
pub mod plan;
pub mod scheme;
pub mod signing;
#[cfg(feature = "keygen")]
mod state;
mod text;
mod units;

pub use keydir::{KeyDir, KeyDirError, Manifest};
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
pub use signing::{AuthenticationPath, PathReader, Rejection, SigningError, Verifier, verify};
#[cfg(feature = "keygen")]
pub use state::StateError;
