//! Errors and their exit codes (docs: `keymill --help`).

use std::process::ExitCode;

use keymill::failure::{Classified, IoFailure};
use keymill::remedy::advised;

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

/// Why a command ends with another exit code than 0.
#[derive(Debug)]
pub struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    /// Wrong usage or input.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(USAGE, message.into())
    }

    /// The machine failed.
    pub fn machine(message: impl Into<String>) -> Self {
        Self::new(MACHINE, message.into())
    }

    fn new(code: u8, message: String) -> Self {
        Self { message, code }
    }

    /// Nobody reads the output any more, as behind `| head`: nothing to say, and no failure.
    pub fn reader_gone() -> Self {
        Self::new(0, String::new())
    }

    /// Whether it is that of [`reader_gone`](Self::reader_gone).
    pub fn is_reader_gone(&self) -> bool {
        self.code == 0
    }

    /// Prints the message, if there is one, and gives the exit code.
    pub fn report(&self) -> ExitCode {
        if !self.message.is_empty() {
            super::messages::error(&self.message);
        }
        ExitCode::from(self.code)
    }
}

/// The exit code of a command that answers a question, whether or not anybody reads what it prints.
pub fn answer(yes: bool, printed: Result<(), Failure>) -> Result<ExitCode, Failure> {
    let code = if yes { 0 } else { NO };
    match printed {
        Err(failure) if !failure.is_reader_gone() => Err(failure),
        _ => Ok(ExitCode::from(code)),
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
        Self::new(error.code(), error.message())
    }
}

impl Coded for keymill::Error {
    fn code(&self) -> u8 {
        self.kind() as u8
    }

    fn message(&self) -> String {
        format!("{self}{}", advised(self.untold().iter().cloned()))
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
    keymill::KeygenError,
    keymill::MigrationError,
    keymill::SigningError,
    keymill::SszError,
    keymill::StateError,
    keymill::audit::CheckError,
    keymill::audit::RepairError,
    keymill::audit::StatusError,
    keymill::exchange::ExportError,
    keymill::exchange::ImportError,
    keymill::exchange::restore::RestoreError,
    keymill::layers::LayerError,
    keymill::ledger::LedgerError,
    keymill::plan::BudgetTooSmall,
    keymill::plan::PlanError,
    keymill::resources::report::ReportError
);

impl Coded for ConfigError {
    fn code(&self) -> u8 {
        USAGE
    }
}
