//! Stopping a job from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::KeygenError;

/// Asks a job to stop. Clones ask the same job; asking twice is asking once.
#[derive(Clone, Debug, Default)]
pub struct CancelHandle(Arc<AtomicBool>);

impl CancelHandle {
    /// Asks the job to stop. It abandons the batches that are not computed yet, commits the others, and ends.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Ends the job here if somebody asked.
    pub(super) fn proceed(&self) -> Result<(), KeygenError> {
        match self.is_cancelled() {
            true => Err(KeygenError::Interrupted),
            false => Ok(()),
        }
    }

    /// The flag itself, for signal handlers.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}
