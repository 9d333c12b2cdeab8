//! How far a key is; also while it is being made.

use std::path::{Path, PathBuf};

use super::check::left_over_layers;
use crate::error::Result;
use crate::files::allocated_bytes_of_directory;
use crate::keydir::{KeyDir, KeyState, Manifest, SecretForm};
use crate::state::{ArenaRecord, ProgressRecord, Store};

/// A snapshot of a key directory.
#[derive(Debug)]
#[non_exhaustive]
pub struct KeyStatus {
    /// Everything public about the key.
    pub manifest: Manifest,
    /// Batches with a checkpoint.
    pub batches_done: u64,
    /// The process that is writing, if one is.
    pub writer: Option<String>,
    /// The last commit.
    pub progress: ProgressRecord,
    /// The arenas of the run that committed last, if one did.
    pub arena: Option<ArenaRecord>,
    /// Bytes that the directory's files occupy on disk.
    pub disk_bytes: u64,
    /// In which form its secret is there.
    pub secret_form: SecretForm,
    /// Layer files below the trim, which a trim that did not end has left.
    pub left_over: Vec<PathBuf>,
}

/// Tells how far the key in a directory is. Takes no lock and writes nothing.
///
/// # Errors
/// [`Error`](crate::Error) if it is not a key directory, or its checkpoints cannot be read.
pub fn status(directory: &Path) -> Result<KeyStatus> {
    let key = KeyDir::open(directory)?;
    let manifest = key.manifest().clone();
    let read = |store: Store| Ok((store.progress()?, store.arena()?));
    let (progress, arena) = Store::read_beside_a_writer(&key.paths().state(), &manifest.binding(), read)?;
    let batches_done = match manifest.state() {
        KeyState::Sealed => manifest.plan().batches().count(),
        KeyState::Generating => progress.batches_done,
    };
    Ok(KeyStatus {
        writer: key.writer(),
        secret_form: key.paths().secret_form()?,
        left_over: left_over_layers(&key)?,
        manifest,
        batches_done,
        progress,
        arena,
        disk_bytes: allocated_bytes_of_directory(key.paths().directory().absolute())?,
    })
}
