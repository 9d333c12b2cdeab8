//! Errors and their exit codes (docs: `keymill --help`).

use std::io::ErrorKind;
use std::process::ExitCode;

use keymill::failure::IoFailure;
use keymill::interop::ssz::SszError;
use keymill::keydir::KeyDirError;
use keymill::layers::LayerError;
use keymill::plan::{BudgetTooSmall, PlanError};
use keymill::resources::report::ReportError;
use keymill::signing::SigningError;

use crate::config::ConfigError;

const NO: u8 = 1;
const USAGE: u8 = 2;
const DIRECTORY: u8 = 3;
pub(super) const MACHINE: u8 = 4;
#[cfg(feature = "keygen")]
const INTERRUPTED: u8 = 130;

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
            super::output::say(format_args!("keymill: {}", self.message));
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

/// What kind of failure an error of the library is.
trait Coded: std::fmt::Display {
    fn code(&self) -> u8;
}

impl<E: Coded> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl Coded for ConfigError {
    fn code(&self) -> u8 {
        USAGE
    }
}

impl Coded for PlanError {
    fn code(&self) -> u8 {
        USAGE
    }
}

impl Coded for SszError {
    fn code(&self) -> u8 {
        USAGE
    }
}

impl Coded for BudgetTooSmall {
    fn code(&self) -> u8 {
        MACHINE
    }
}

impl Coded for ReportError {
    fn code(&self) -> u8 {
        match self {
            ReportError::Io(error) => match error.source.kind() {
                // The name of another file mends it.
                ErrorKind::NotFound
                | ErrorKind::NotADirectory
                | ErrorKind::IsADirectory
                | ErrorKind::PermissionDenied => USAGE,
                _ => error.code(),
            },
            ReportError::NoTrace(_) | ReportError::Line { .. } => USAGE,
        }
    }
}

impl Coded for IoFailure {
    fn code(&self) -> u8 {
        MACHINE
    }
}

impl Coded for KeyDirError {
    fn code(&self) -> u8 {
        match self {
            KeyDirError::Io(_) => MACHINE,
            KeyDirError::NoParent(_) => USAGE,
            _ => DIRECTORY,
        }
    }
}

impl Coded for LayerError {
    fn code(&self) -> u8 {
        match self {
            LayerError::Io(_) => MACHINE,
            _ => DIRECTORY,
        }
    }
}

impl Coded for SigningError {
    fn code(&self) -> u8 {
        match self {
            SigningError::KeyDir(error) => error.code(),
            SigningError::Layer(error) => error.code(),
            SigningError::OutsideKey { .. } | SigningError::NoCodeword { .. } => USAGE,
            SigningError::Spent { .. } => NO,
            #[cfg(feature = "keygen")]
            SigningError::Ledger(error) => error.code(),
            SigningError::SecretNeeded { source, .. } => source.code(),
            SigningError::Damaged { .. } | SigningError::DamagedBlock { .. } | SigningError::PublicKey { .. } => {
                DIRECTORY
            }
            SigningError::Threads(_) | SigningError::Arena(_) | SigningError::Withheld { .. } => MACHINE,
        }
    }
}

#[cfg(feature = "keygen")]
mod job {
    use keymill::audit::{CheckError, RepairError, StatusError};
    use keymill::exchange::restore::RestoreError;
    use keymill::ledger::LedgerError;
    use keymill::trim::TrimError;
    use keymill::{KeygenError, MigrationError, StateError};

    use super::{Coded, DIRECTORY, INTERRUPTED, MACHINE, USAGE};

    impl Coded for StateError {
        fn code(&self) -> u8 {
            match self {
                StateError::Io(_) | StateError::Failed { .. } => MACHINE,
                StateError::Damaged { .. } | StateError::OtherKey { .. } => DIRECTORY,
            }
        }
    }

    impl Coded for MigrationError {
        fn code(&self) -> u8 {
            match self {
                MigrationError::Io(error) => error.code(),
                MigrationError::Layer(error) => error.code(),
                MigrationError::State(error) => error.code(),
                MigrationError::KeyDir(error) => error.code(),
                MigrationError::Interrupted(_) => INTERRUPTED,
            }
        }
    }

    impl Coded for KeygenError {
        fn code(&self) -> u8 {
            match self {
                KeygenError::Plan(error) => error.code(),
                KeygenError::Budget(error) => error.code(),
                KeygenError::KeyDir(error) => error.code(),
                KeygenError::Layer(error) => error.code(),
                KeygenError::State(error) => error.code(),
                KeygenError::Migration(error) => error.code(),
                KeygenError::Io(error) => error.code(),
                KeygenError::ParameterMissing
                | KeygenError::ParameterWithoutPrfKey
                | KeygenError::FillersWithoutPrfKey
                | KeygenError::FillerBytes { .. }
                | KeygenError::FillersNotCanonical(_) => USAGE,
                KeygenError::Contradiction { .. } | KeygenError::OtherSecret { .. } | KeygenError::OtherFillers(_) => {
                    DIRECTORY
                }
                KeygenError::NoRandomness(_)
                | KeygenError::Threads(_)
                | KeygenError::Arena(_)
                | KeygenError::MemoryShort { .. }
                | KeygenError::TooLittleDisk { .. }
                | KeygenError::DiskUnreliable { .. } => MACHINE,
                KeygenError::Interrupted => INTERRUPTED,
            }
        }
    }

    impl Coded for RestoreError {
        fn code(&self) -> u8 {
            match self {
                RestoreError::KeyDir(error) => error.code(),
                RestoreError::Keygen(error) => error.code(),
                RestoreError::OtherKey { .. } | RestoreError::OtherPublicKey { .. } => DIRECTORY,
            }
        }
    }

    impl Coded for LedgerError {
        fn code(&self) -> u8 {
            match self {
                LedgerError::KeyDir(error) => error.code(),
                LedgerError::State(error) => error.code(),
                LedgerError::PastKey { .. } | LedgerError::Json { .. } | LedgerError::OutsideKey { .. } => USAGE,
                LedgerError::NoHistory { .. }
                | LedgerError::BeforeHistory { .. }
                | LedgerError::MarkMissing(_)
                | LedgerError::Backwards { .. }
                | LedgerError::TooLow { .. }
                | LedgerError::OtherKey { .. } => DIRECTORY,
                LedgerError::Unknown { .. } => MACHINE,
            }
        }
    }

    impl Coded for StatusError {
        fn code(&self) -> u8 {
            match self {
                StatusError::KeyDir(error) => error.code(),
                StatusError::State(error) => error.code(),
                StatusError::Io(error) => error.code(),
            }
        }
    }

    impl Coded for CheckError {
        fn code(&self) -> u8 {
            match self {
                CheckError::KeyDir(error) => error.code(),
                CheckError::State(error) => error.code(),
                CheckError::Ledger(error) => error.code(),
                CheckError::Layer(error) => error.code(),
                CheckError::Threads(_) | CheckError::Arena(_) => MACHINE,
                CheckError::Io(error) => error.code(),
            }
        }
    }

    impl Coded for TrimError {
        fn code(&self) -> u8 {
            match self {
                TrimError::Plan(error) => error.code(),
                TrimError::KeyDir(error) | TrimError::Secret(error) => error.code(),
                TrimError::Lower { .. } => DIRECTORY,
                TrimError::Path(error) => error.code(),
                TrimError::State(error) => error.code(),
                TrimError::Io(error) => error.code(),
            }
        }
    }

    impl Coded for RepairError {
        fn code(&self) -> u8 {
            match self {
                RepairError::KeyDir(error) | RepairError::Manifest(error) => error.code(),
                RepairError::Layer(error) => error.code(),
                RepairError::State(error) => error.code(),
                RepairError::Io(error) => error.code(),
                RepairError::Budget(error) => error.code(),
                RepairError::Keygen(error) => error.code(),
                RepairError::Interrupted => INTERRUPTED,
                RepairError::Threads(_) | RepairError::Arena(_) | RepairError::DiskUnreliable { .. } => MACHINE,
                RepairError::OtherRoot { .. } => DIRECTORY,
            }
        }
    }
}
