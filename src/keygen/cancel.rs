//! Stopping a job from outside.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};

/// Asks a job to stop. Clones ask the same job; asking twice is asking once.
#[derive(Clone, Debug, Default)]
pub struct CancelHandle {
    flag: Arc<AtomicBool>,
    /// Why, if it was not a person who asked.
    reason: Arc<Mutex<Option<Error>>>,
}

impl CancelHandle {
    /// Asks the job to stop. It abandons the batches that are not computed yet, commits the others, and ends.
    pub fn cancel(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// As [`cancel`](Self::cancel), and the job ends with this error, unless it was cancelled before.
    pub(crate) fn cancel_because(&self, reason: Error) {
        if self.is_cancelled() {
            return;
        }
        // A thread that sees the flag has to find the reason.
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
        self.cancel();
    }

    /// Whether the job was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    /// Ends the job here if it was cancelled.
    pub(crate) fn proceed(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(self.reason());
        }
        Ok(())
    }

    /// Why the job ends. Is asked once, where it ends.
    pub(super) fn reason(&self) -> Error {
        let reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner).take();
        reason.unwrap_or_else(|| Error::interrupted("interrupted; what was committed is kept"))
    }

    /// A call that was given up on request is not a failure of the machine.
    pub(crate) fn or_reason(&self, error: Error) -> Error {
        let is_given_up = error.io().is_some_and(|error| error.kind() == ErrorKind::Interrupted);
        if is_given_up && self.is_cancelled() {
            return self.reason();
        }
        error
    }

    /// The flag itself, for signal handlers.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::error::Reason;
    use crate::keygen::disk_unreliable;

    fn reason(rounds: u32) -> Error {
        disk_unreliable(Path::new("somewhere"), rounds)
    }

    #[test]
    fn the_first_to_cancel_says_why() {
        let cancel = CancelHandle::default();
        cancel.cancel();
        cancel.cancel_because(reason(1));
        assert_eq!(cancel.reason().reason(), Reason::Interrupted);
        let cancel = CancelHandle::default();
        cancel.cancel_because(reason(1));
        cancel.cancel_because(reason(2));
        cancel.cancel();
        assert_eq!(cancel.reason().to_string(), reason(1).to_string());
    }
}
