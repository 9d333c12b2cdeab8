//! Errors and their exit codes (docs: `keymill --help`).

use std::process::ExitCode;

use keymill::{Classified, IoFailure};

use crate::config::ConfigError;

const NO: u8 = 1;
const USAGE: u8 = 2;
const DIRECTORY: u8 = 3;
pub(super) const MACHINE: u8 = 4;

/// What each exit code says, for the help and the manual pages.
pub const EXIT_CODES: [(u8, &str); 6] = [
    (0, "done, or the answer is yes"),
    (
        NO,
        "the answer is no: verify: invalid; check, verify-set: damage found; memory-report: something was left; sign: the epoch has \
         signed another message or an unknown one; ledger show: the key cannot sign; ledger import: an epoch has signed \
         two messages",
    ),
    (USAGE, "wrong usage or input"),
    (DIRECTORY, "the directory is damaged, locked, or not what was asked for"),
    (
        MACHINE,
        "the machine failed (disk, memory); run the same command again when the cause is gone",
    ),
    (130, "interrupted; run the same command again"),
];

/// Why a command ends before it is through.
#[derive(Debug)]
pub enum Failure {
    /// It fails: what is printed, and the exit code.
    Told { code: u8, message: String },
    /// Nobody reads the output any more, as behind `| head`: there is nothing to say, and nothing has failed.
    ReaderGone,
}

impl Failure {
    /// Wrong usage or input.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::told(USAGE, message.into())
    }

    /// The machine failed.
    pub fn machine(message: impl Into<String>) -> Self {
        Self::told(MACHINE, message.into())
    }

    fn told(code: u8, message: String) -> Self {
        Self::Told { code, message }
    }

    /// Prints the message, if there is one, and gives the exit code.
    pub fn report(&self) -> ExitCode {
        match self {
            Self::Told { code, message } => {
                super::messages::error(message);
                ExitCode::from(*code)
            }
            Self::ReaderGone => ExitCode::SUCCESS,
        }
    }
}

/// The exit code of a command that answers a question, whether or not anybody reads what it prints.
pub fn answer(yes: bool, printed: Result<(), Failure>) -> Result<ExitCode, Failure> {
    let code = if yes { 0 } else { NO };
    match printed {
        Ok(()) | Err(Failure::ReaderGone) => Ok(ExitCode::from(code)),
        Err(failure) => Err(failure),
    }
}

/// What kind of failure an error of the library is, and what is printed of it.
trait Coded: std::fmt::Display {
    fn code(&self) -> u8;

    fn message(&self) -> String {
        self.to_string()
    }
}

impl<E: Coded> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::told(error.code(), error.message())
    }
}

impl Coded for keymill::Error {
    fn code(&self) -> u8 {
        self.kind() as u8
    }

    fn message(&self) -> String {
        self.advised()
    }
}

/// Errors of rooms that have a type of their own.
macro_rules! coded_by_their_kind {
    ($($error:ty),*) => {$(
        impl Coded for $error {
            fn code(&self) -> u8 {
                self.kind() as u8
            }
        }
    )*};
}

coded_by_their_kind!(
    IoFailure,
    keymill::KeyDirError,
    keymill::SszError,
    keymill::StateError,
    keymill::LayerError,
    keymill::plan::BudgetTooSmall,
    keymill::plan::PlanError,
    keymill::resources::report::ReportError
);

impl Coded for ConfigError {
    fn code(&self) -> u8 {
        USAGE
    }
}
