//! Stopping a job from outside.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::KeygenError;

/// Asks a job to stop. Clones ask the same job; asking twice is asking once.
#[derive(Clone, Debug, Default)]
pub struct CancelHandle {
    flag: Arc<AtomicBool>,
    /// Why, if it was not a person who asked.
    reason: Arc<Mutex<Option<KeygenError>>>,
}

impl CancelHandle {
    /// Asks the job to stop. It abandons the batches that are not computed yet, commits the others, and ends.
    pub fn cancel(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// As [`cancel`](Self::cancel), and the job ends with this error, unless somebody asked before.
    pub(crate) fn cancel_because(&self, reason: KeygenError) {
        if self.is_cancelled() {
            return;
        }
        // Whoever sees the flag has to find the reason.
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
        self.cancel();
    }

    /// Whether somebody asked.
    pub fn is_cancelled(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    /// Ends the job here if somebody asked.
    pub(crate) fn proceed(&self) -> Result<(), KeygenError> {
        match self.is_cancelled() {
            true => Err(self.reason()),
            false => Ok(()),
        }
    }

    /// Why the job ends. Is asked once, where it ends.
    pub(super) fn reason(&self) -> KeygenError {
        let reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner).take();
        reason.unwrap_or(KeygenError::Interrupted)
    }

    /// The flag itself, for signal handlers.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(rounds: u32) -> KeygenError {
        KeygenError::DiskUnreliable {
            directory: "somewhere".into(),
            rounds,
        }
    }

    #[test]
    fn whoever_asks_first_says_why() {
        let cancel = CancelHandle::default();
        cancel.cancel();
        cancel.cancel_because(reason(1));
        assert!(matches!(cancel.reason(), KeygenError::Interrupted));
        let cancel = CancelHandle::default();
        cancel.cancel_because(reason(1));
        cancel.cancel_because(reason(2));
        cancel.cancel();
        assert!(matches!(cancel.reason(), KeygenError::DiskUnreliable { rounds: 1, .. }));
    }
}
