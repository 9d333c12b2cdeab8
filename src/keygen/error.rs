//! Why a job ended before its key was sealed.

use std::path::PathBuf;

use super::cancel::CancelHandle;
use crate::failure::IoFailure;
use crate::keydir::{KeyDirError, KeyState};
use crate::layers::LayerError;
use crate::ledger::LedgerError;
use crate::memory::LimitSource;
use crate::migrations::MigrationError;
use crate::plan::{BudgetTooSmall, PlanError};
use crate::remedy::{Remedied, Remedy, advised};
use crate::state::StateError;
use crate::workers::ThreadsFailed;
use keymill_xmss::arena::ArenaOverflow;
use keymill_xmss::scheme::{NonCanonical, WrongParameter};

/// A job could not begin, or ended early. What it had committed is kept, and the same job goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum KeygenError {
    /// The epochs asked for cannot be had.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The memory budget is too small.
    #[error(transparent)]
    Budget(#[from] BudgetTooSmall),
    /// The directory is not what it should be.
    #[error(transparent)]
    KeyDir(#[from] KeyDirError),
    /// A layer file failed.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The checkpoint store failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// The ledger of signed epochs cannot be told what happens to the secret.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The creation of the directory failed.
    #[error(transparent)]
    Migration(#[from] MigrationError),
    /// A call failed.
    #[error(transparent)]
    Io(#[from] IoFailure),
    /// The operating system has no randomness.
    #[error("no fresh seed could be had from the operating system: {0}")]
    NoRandomness(#[from] getrandom::Error),
    /// The worker threads could not be started.
    #[error(transparent)]
    Threads(#[from] ThreadsFailed),
    /// A worker's scratch memory is too small.
    #[error(transparent)]
    Arena(#[from] ArenaOverflow),
    /// A flag says other than the manifest.
    #[error(
        "{flag} {asked} contradicts '{}', which says {found}; leave the flag out to resume this key, or choose another \
         directory",
        .path.display()
    )]
    Contradiction {
        /// The flag.
        flag: &'static str,
        /// Its value.
        asked: String,
        /// The manifest's value.
        found: String,
        /// The manifest.
        path: PathBuf,
    },
    /// The secret that was given is not this key's.
    #[error(
        "{flag} holds another secret than the one that '{}' was begun with (its secret_commitment differs); give the \
         same one or leave the flag out",
        .path.display()
    )]
    OtherSecret {
        /// The flag.
        flag: &'static str,
        /// The manifest.
        path: PathBuf,
    },
    /// A PRF key needs its parameter.
    #[error("--prf-key-file needs --parameter: the public parameter cannot be drawn from a PRF key")]
    ParameterMissing,
    /// The parameter is not one of the scheme.
    #[error("the public parameter is not sound: {0}")]
    UnsoundParameter(#[from] WrongParameter),
    /// Keys of the scheme are made of a seed.
    #[error("a key of {0} is made of a seed alone, not of a PRF key: give --seed-file instead of --prf-key-file")]
    SeedNeeded(&'static str),
    /// A seed draws its own parameter.
    #[error("--parameter goes with --prf-key-file only: a seed draws its own public parameter")]
    ParameterWithoutPrfKey,
    /// A seed draws its own fillers.
    #[error("fillers go with a PRF key only: a seed draws its own")]
    FillersWithoutPrfKey,
    /// There are not as many fillers as the interval needs.
    #[error("there are {found_bytes} bytes of fillers, but the tree over these epochs has {expected_bytes}")]
    FillerBytes {
        /// Bytes that were given.
        found_bytes: usize,
        /// Bytes of the fillers of such a key.
        expected_bytes: usize,
    },
    /// An element of the fillers is not reduced.
    #[error("in its fillers, {0}")]
    FillersNotCanonical(#[from] NonCanonical),
    /// The fillers that were given are not this key's.
    #[error(
        "the fillers are not those that '{}' was begun with; give the same ones, or choose another directory",
        .0.display()
    )]
    OtherFillers(PathBuf),
    /// The directory vouches that nobody has signed with the key, and the key may have signed elsewhere.
    #[error(
        "'{}' holds this key as it was begun there, and says that nobody has signed with it, which is not known of a key that \
         comes from elsewhere: make it in another directory; or, if no other copy was ever finished{}",
        .0.display(), advised([Remedy::Keygen(.0.clone())])
    )]
    VouchedFor(PathBuf),
    /// The tree has another root than was asked for.
    #[error(
        "the root of '{}' is {found} and not {asked}, as it had to be: what it was made from is put together from two keys, or \
         this machine computes wrongly. Compare it with its source, or try another machine; {}",
        .directory.display(),
        match .state {
            KeyState::Sealed => "the directory is as it was",
            KeyState::Generating => "the directory is not finished, and can be deleted",
        }
    )]
    OtherRoot {
        /// The key directory.
        directory: PathBuf,
        /// Whether the key was finished before.
        state: KeyState,
        /// In hex, what it had to be.
        asked: String,
        /// In hex, what it is.
        found: String,
    },
    /// The key was begun with another root that it has to have.
    #[error(
        "'{}' was begun as a key that has to have the root {expected}, and now it would be {asked}: one of the two sources is \
         damaged. Find out which one; the directory is not finished: go on with the other source in another directory, or \
         delete this one and begin anew",
        .directory.display()
    )]
    OtherExpectedRoot {
        /// The key directory.
        directory: PathBuf,
        /// In hex, what it has to be now.
        asked: String,
        /// In hex, what it had to be when it was begun.
        expected: String,
    },
    /// A root that cannot be one.
    #[error("the root that the key is to have is no digest of its scheme: {0}")]
    UnsoundRoot(String),
    /// The disk is too small.
    #[error(
        "too little disk for '{}': {needed_bytes} bytes are needed and {available_bytes} are free; free some, or ask \
         for fewer --epochs",
        .directory.display()
    )]
    TooLittleDisk {
        /// The key directory.
        directory: PathBuf,
        /// Bytes that the key takes, as `keymill plan` says.
        needed_bytes: u64,
        /// Bytes that are free.
        available_bytes: u64,
    },
    /// Nearly all memory is held, by the job or by others that share a limit with it.
    #[error(
        "memory ran short: {held_bytes} of {limit_bytes} bytes ({source_of_limit}) are held, which is more than 95 %; the \
         batches that were complete are committed. Raise that limit, end what else takes from it, or ask for less with \
         --threads, and run the same command again to go on"
    )]
    MemoryShort {
        /// What is held, clean page cache not counted.
        held_bytes: u64,
        /// What may be held.
        limit_bytes: u64,
        /// What sets that limit.
        source_of_limit: LimitSource,
    },
    /// Somebody asked the job to stop.
    #[error("interrupted; run the same command again to go on from the last checkpoint")]
    Interrupted,
    /// Batches do not stay as they are written.
    #[error(
        "batches in '{}' do not match their checksums although they were written again {rounds} times; the disk cannot \
         be trusted",
        .directory.display()
    )]
    DiskUnreliable {
        /// The key directory.
        directory: PathBuf,
        /// How often they were written.
        rounds: u32,
    },
}

impl Remedied for KeygenError {
    fn remedies(&self) -> Vec<Remedy> {
        match self {
            Self::KeyDir(error) => error.remedies(),
            Self::Layer(error) => error.remedies(),
            Self::State(error) => error.remedies(),
            Self::Ledger(error) => error.remedies(),
            Self::Migration(error) => error.remedies(),
            Self::Io(failure) => failure.remedies(),
            Self::VouchedFor(directory) => vec![Remedy::Keygen(directory.clone())],
            Self::TooLittleDisk { .. } => vec![Remedy::FreeSpace],
            Self::Interrupted => vec![Remedy::Again],
            // What was asked for, or the machine, has to be another one.
            Self::Plan(_)
            | Self::Budget(_)
            | Self::NoRandomness(_)
            | Self::Threads(_)
            | Self::Arena(_)
            | Self::Contradiction { .. }
            | Self::OtherSecret { .. }
            | Self::ParameterMissing
            | Self::ParameterWithoutPrfKey
            | Self::UnsoundParameter(_)
            | Self::SeedNeeded(_)
            | Self::FillersWithoutPrfKey
            | Self::FillerBytes { .. }
            | Self::FillersNotCanonical(_)
            | Self::OtherFillers(_)
            | Self::OtherRoot { .. }
            | Self::OtherExpectedRoot { .. }
            | Self::UnsoundRoot(_)
            | Self::MemoryShort { .. }
            | Self::DiskUnreliable { .. } => Vec::new(),
        }
    }
}

impl KeygenError {
    /// A call that was given up because the job was asked to stop is no failure of the machine.
    pub(super) fn or_interrupted(self, cancel: &CancelHandle) -> Self {
        let failure = match &self {
            Self::Io(failure)
            | Self::Layer(LayerError::Io(failure))
            | Self::Migration(MigrationError::Io(failure) | MigrationError::Layer(LayerError::Io(failure))) => failure,
            _ => return self,
        };
        match failure.source.kind() == std::io::ErrorKind::Interrupted && cancel.is_cancelled() {
            true => cancel.reason(),
            false => self,
        }
    }
}
