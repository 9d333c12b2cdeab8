//! Standard output as the parent process handed it over.

use std::io::{BufWriter, StdoutLock};
use std::sync::atomic::{AtomicBool, Ordering};

use super::failure::Failure;

static IS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Notes whether standard output is closed. Before `main`, because the standard library then opens /dev/null in its place,
/// and an answer that is written there is lost without a word.
///
/// The attribute's `unsafe` acknowledges that the standard library promises little before `main`: none of it is used but an
/// atomic store.
#[ctor::ctor(unsafe, priority = early)]
fn note_what_is_closed() {
    let is_open = rustix::io::fcntl_getfd(rustix::stdio::stdout()).is_ok();
    IS_CLOSED.store(!is_open, Ordering::Relaxed);
}

/// Refuses to begin what could not give its answer.
pub fn refuse_closed_output() -> Result<(), Failure> {
    if IS_CLOSED.load(Ordering::Relaxed) {
        Err(Failure::usage(
            "standard output is closed, so the answer has nowhere to go; redirect it, to /dev/null if you do not need it",
        ))
    } else {
        Ok(())
    }
}

/// Standard output, if there is one.
pub fn standard_output() -> Result<BufWriter<StdoutLock<'static>>, Failure> {
    refuse_closed_output()?;
    Ok(BufWriter::new(std::io::stdout().lock()))
}
