//! How a call ends: a status, and the text of what went wrong, for the thread that called.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::Error;
use crate::failure::FailureKind;
use crate::text::{bounded, visible};

/// How a call ended. The first five mean what the exit codes of the program `keymill` mean.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is done; of `keymill_verify`, the signature is valid.
    Done = 0,
    /// The answer is no: the signature is not valid, or the epoch has signed another message.
    No = 1,
    /// The call was wrong: a pointer, a length, a path, a key that is not open, an epoch that the key does not have.
    Usage = 2,
    /// The key directory is damaged, locked, or not what was asked for; the same of the service that holds the key.
    Directory = 3,
    /// The machine failed: disk full, error of a disk, no memory, or a service that does not answer. When the cause is gone, try
    /// again.
    Machine = 4,
    /// An error of keymill itself. The key with which it happened signs no more until it is opened again.
    Panic = 5,
}

impl From<FailureKind> for Status {
    fn from(kind: FailureKind) -> Self {
        match kind {
            FailureKind::No => Self::No,
            FailureKind::Usage => Self::Usage,
            FailureKind::Directory => Self::Directory,
            // Nothing interrupts a call of the C interface but a call of the system that can be made again.
            FailureKind::Machine | FailureKind::Interrupted => Self::Machine,
        }
    }
}

/// Why a call was not done.
pub(super) struct Refusal {
    status: Status,
    text: String,
}

impl Refusal {
    pub(super) fn new(status: Status, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { status, text }
    }

    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self::new(Status::Usage, text)
    }
}

impl<E: Into<Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        let error = error.into();
        Self::new(error.kind().into(), error.advised())
    }
}

/// As long as a text is at most, however long the names are that it is put together from.
const TEXT_BYTES_MAX: usize = 1900;

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

/// The text of this thread's last call: empty if it was done.
pub(super) fn last_error() -> *const c_char {
    // Nothing is left to tell to a thread that is ending.
    let text = LAST_ERROR.try_with(|text| text.borrow().as_ptr());
    text.unwrap_or(c"".as_ptr())
}

/// Does what was called for, and answers in a way that C understands. No panic leaves it.
pub(super) fn answered(call: impl FnOnce() -> Result<(), Refusal>) -> Status {
    // What calls share stands behind locks, and those of a key notice that a panic went by.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        #[cfg(test)]
        super::tests::panic_if_planted("any call");
        call()
    }));
    let (status, text) = match outcome {
        Ok(Ok(())) => (Status::Done, String::new()),
        Ok(Err(refusal)) => (refusal.status, refusal.text),
        Err(payload) => {
            let words = payload.downcast_ref::<String>().map(String::as_str);
            let words = words.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("?");
            (Status::Panic, format!("keymill failed in itself: {words}"))
        }
    };
    remember(&text);
    status
}

fn remember(text: &str) {
    // The caller may print it as it is.
    let text = bounded(&visible(text), TEXT_BYTES_MAX).into_owned();
    let text = CString::new(text).unwrap_or_default();
    let _ = LAST_ERROR.try_with(|last| last.replace(text));
}

/// The version of the library.
pub(super) const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => c"",
};
