//! Errors and their exit codes (docs: `keymill --help`).

use std::process::ExitCode;

use super::advice::advised;
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
        "the answer is no: verify: invalid; check, verify-set: damage found; join: something of the key is missing; memory-report: something was left; sign: the epoch has \
         already signed a different message, or a message keymill has no record of; ledger show: the key cannot sign; ledger import: an epoch has signed \
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
    /// The reader of the output is gone, as behind `| head`: there is nothing to say, and nothing has failed.
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

impl<E: Into<keymill::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error: keymill::Error = error.into();
        let message = format!("{error}{}", advised(error.remedies()));
        Self::told(error.kind() as u8, message)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}
