//! Why a key set is not made, merged or read.

use std::path::PathBuf;

use super::manifest::ManifestError;
use super::names::Role;
use crate::exchange::ExportError;
use crate::failure::IoFailure;
use crate::keydir::KeyDirError;
use crate::keygen::KeygenError;
use crate::plan::BudgetTooSmall;
use crate::text::Foreign;
use crate::workers::ThreadsFailed;
use keymill_xmss::hash::Shared;

/// A set could not be made or merged. Finished keys stay, and the same request goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// A call failed.
    #[error(transparent)]
    Io(#[from] IoFailure),
    /// What is asked for is no set.
    #[error("{0}")]
    Request(String),
    /// Memory is too small for so many keys at once.
    #[error("with {jobs} keys made side by side, {source}{}", if *.jobs > 1 { "; or lower --jobs" } else { "" })]
    Budget {
        /// How many keys.
        jobs: usize,
        /// What is too small.
        source: BudgetTooSmall,
    },
    /// Memory is too small to look at what is there.
    #[error(transparent)]
    Reading(#[from] BudgetTooSmall),
    /// The disk is too small.
    #[error(
        "too little disk for '{}': {needed_bytes} bytes are needed and {available_bytes} are free; free some, or ask for \
         fewer validators or epochs",
        .directory.display()
    )]
    TooLittleDisk {
        /// The directory of the set.
        directory: PathBuf,
        /// Bytes that the rest of the set takes while it is made.
        needed_bytes: u64,
        /// Bytes that are free.
        available_bytes: u64,
    },
    /// Another process is at work there.
    #[error("'{}' is held by {}; only one process may write a key set", .path.display(), Foreign(.holder))]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Who holds it.
        holder: String,
    },
    /// There is something else in the place of the set.
    #[error("'{}' is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// Something would be overwritten.
    #[error(
        "'{}' is there already and is not of a key that this command has finished there; choose another directory, move \
         it away, or overwrite it with --force",
        .0.display()
    )]
    Exists(PathBuf),
    /// A directory is in the way, which --force does not overwrite either.
    #[error(
        "'{}' is in the way of this set and is not overwritten, also not with --force: move it away if the key in it is still \
         to be used, or delete it",
        .0.display()
    )]
    KeptDirectory(PathBuf),
    /// Something is in the way of a merged set.
    #[error(
        "'{}' is there already and is no part of the merged set; choose another --out, or move it away",
        .0.display()
    )]
    InTheWay(PathBuf),
    /// The set was begun as another one.
    #[error(
        "{flag} {} contradicts '{}', where the set was begun with {}; ask for the same, or choose another directory",
        Foreign(.asked), .path.display(), Foreign(.found)
    )]
    Contradiction {
        /// The flag.
        flag: &'static str,
        /// Its value.
        asked: String,
        /// What the set was begun with.
        found: String,
        /// Where that is noted.
        path: PathBuf,
    },
    /// A finished key lacks a file, which cannot be made again.
    #[error(
        "'{}' is missing, and nothing is there to make it of again: no file of that secret key, no directory of that key, and \
         no seed; put it back, or make the set in another directory",
        .0.display()
    )]
    Lost(PathBuf),
    /// Secrets of finished keys are in no file of the set any more, and nobody asked to have them again.
    #[error(
        "'{}' is missing, and no other file of the set holds its secret; so it is with {keys} of the finished keys. Where they \
         were moved to, they may sign, and a second copy would sign other messages with the same epochs: put them back, or make \
         further validators in another directory (--start-index, merge-sets). Only if they are lost and sign nowhere, add \
         --restore-secrets",
        .first.display()
    )]
    SecretsGone {
        /// The first of their files.
        first: PathBuf,
        /// How many keys.
        keys: u64,
    },
    /// A set lacks a file.
    #[error(
        "'{}' is missing, but the manifest names its key; put it back, or run the 'keymill generate' again that made the set",
        .0.display()
    )]
    Missing(PathBuf),
    /// A set without its manifest.
    #[error("'{}' is missing; 'keymill generate' writes it when all keys of the set are finished", .0.display())]
    NoManifest(PathBuf),
    /// A file is not the one that was written.
    #[error("'{}' does not belong to this set: {what}", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// What is noted about a set cannot be understood.
    #[error("'{}' is damaged: {what}; choose another directory, or begin this set anew with --force", .path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A manifest is wrong.
    #[error("'{}': {source}", .path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        source: ManifestError,
    },
    /// Sets of different kinds.
    #[error(
        "'{}' and '{}' cannot become one set: {what} is {one} in the first and {other} in the second",
        .first.display(),
        .second.display()
    )]
    Mixed {
        /// A set.
        first: PathBuf,
        /// Another one.
        second: PathBuf,
        /// In what they differ.
        what: &'static str,
        /// What the first says.
        one: String,
        /// What the second says.
        other: String,
    },
    /// Two sets have something that there may be once.
    #[error("{what} is in '{}' and in '{}'; a merged set may have it once", .first.display(), .second.display())]
    Duplicate {
        /// What it is.
        what: String,
        /// A set.
        first: PathBuf,
        /// Another one, or the same.
        second: PathBuf,
    },
    /// Two keys that are to be in one set have one-time keys in common.
    #[error(
        "{first_key} ('{}') and {second_key} ('{}') have {shared}: an epoch that both sign gives these away. They do not become \
         one set; never use both, and make other keys",
        .first.display(),
        .second.display()
    )]
    SharedKeys {
        /// What the first is called in its set.
        first_key: String,
        /// The file of its secret.
        first: PathBuf,
        /// What the other one is called in its set.
        second_key: String,
        /// The file of its secret.
        second: PathBuf,
        /// What they have in common.
        shared: Shared,
    },
    /// A key could not be made.
    #[error("validator {index}, {role} key: {source}")]
    Key {
        /// The validator.
        index: u64,
        /// Which of its keys.
        role: Role,
        /// Why not.
        source: KeygenError,
    },
    /// A key directory could not be used.
    #[error(transparent)]
    KeyDir(#[from] KeyDirError),
    /// The files of a key could not be written.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// A thread could not be started.
    #[error(transparent)]
    Threads(#[from] ThreadsFailed),
    /// Somebody asked to stop.
    #[error("interrupted; run the same command again to go on with the keys that are left")]
    Interrupted,
}

impl SetError {
    /// Whether it is only that somebody asked to stop.
    pub(super) fn is_interruption(&self) -> bool {
        matches!(
            self,
            Self::Interrupted
                | Self::Key {
                    source: KeygenError::Interrupted,
                    ..
                }
        )
    }
}
