//! Why a key was not trimmed.

use std::path::PathBuf;

use crate::failure::IoFailure;
use crate::keydir::KeyDirError;
use crate::layers::LayerError;
use crate::plan::PlanError;
use crate::signing::SigningError;
use crate::state::StateError;
use crate::units::Level;

/// A key was not trimmed, or not to the end; the same trim again finishes it.
#[derive(Debug, thiserror::Error)]
pub enum TrimError {
    /// No key can be trimmed so far.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The directory is not that of a finished key, or locked.
    #[error(transparent)]
    KeyDir(#[from] KeyDirError),
    /// The secret cannot be used.
    #[error("a trimmed key needs its secret for every path, so nothing was trimmed: {0}")]
    Secret(#[source] KeyDirError),
    /// The levels are gone already.
    #[error(
        "the key in '{0}' is trimmed to level {present}, and the levels below are deleted. To have them again, put the \
         manifest.toml of before the trim back and run 'keymill repair {0}', which keeps the ledger. Without a copy of that file: \
         run 'keymill ledger export {0} --out FILE' and never sign with this directory again; make the key in another one, by \
         'keymill keygen' with --trim {asked} and the same secret, scheme and epochs; and there run 'keymill ledger import' \
         and 'keymill ledger init'",
        .directory.display()
    )]
    Lower {
        /// The key directory.
        directory: PathBuf,
        /// The lowest level that is stored.
        present: Level,
        /// The level asked for.
        asked: Level,
    },
    /// A path cannot be computed as it would have to be afterwards.
    #[error("nothing was trimmed: {0}")]
    Path(#[from] SigningError),
    /// Something that is not deleted stands in the place of a layer file.
    #[error("'{}' is a directory and no layer file, and is not deleted: move it away and run the same command again", .0.display())]
    Directory(PathBuf),
    /// The layer files are not where they have to be.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The checkpoint store failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// A call failed.
    #[error(transparent)]
    Io(#[from] IoFailure),
}
