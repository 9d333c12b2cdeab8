//! Errors and their exit codes (docs: `keymill --help`).

use std::io::ErrorKind;
use std::process::ExitCode;

use keymill::SszError;
use keymill::exchange::ExportError;
use keymill::failure::{Classified, IoFailure};
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
const INTERRUPTED: u8 = 130;

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

/// What kind of failure an error of the library is.
trait Coded: std::fmt::Display {
    fn code(&self) -> u8;
}

impl<E: Coded> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// Errors whose kind the library knows, since others ask for it too.
macro_rules! coded_by_their_kind {
    ($($error:ty),*) => {$(
        impl Coded for $error {
            fn code(&self) -> u8 {
                self.kind() as u8
            }
        }
    )*};
}

coded_by_their_kind!(IoFailure, KeyDirError, LayerError, SigningError, ExportError);
coded_by_their_kind!(keymill::StateError, keymill::ledger::LedgerError);

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

/// What kind of failure it is that a file cannot be read which was named on the command line.
fn of_input(error: &std::io::Error) -> u8 {
    match error.kind() {
        // The name of another file mends it.
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::PermissionDenied => USAGE,
        _ => MACHINE,
    }
}

impl Coded for ReportError {
    fn code(&self) -> u8 {
        match self {
            ReportError::Io(error) => of_input(&error.source),
            ReportError::TooMany { .. } => MACHINE,
            ReportError::NoTrace(_) | ReportError::Line { .. } => USAGE,
        }
    }
}

mod job {
    use keymill::audit::{CheckError, RepairError, StatusError};
    use keymill::exchange::ImportError;
    use keymill::exchange::restore::RestoreError;
    use keymill::interop::secret_key::{SecretKeyError, UnfitScheme};
    use keymill::sets::SetError;
    use keymill::trim::TrimError;
    use keymill::{KeygenError, MigrationError};

    use super::{Coded, DIRECTORY, INTERRUPTED, MACHINE, USAGE, of_input};

    impl Coded for ImportError {
        fn code(&self) -> u8 {
            match self {
                ImportError::Unopened(error) => of_input(&error.source),
                ImportError::Memory { source, .. } => source.code(),
                ImportError::File {
                    source: SecretKeyError::Read(error),
                    ..
                } => of_input(error),
                ImportError::Scheme {
                    source: UnfitScheme::Arena(_),
                    ..
                } => MACHINE,
                // A sound file mends it.
                ImportError::File { .. } | ImportError::Scheme { .. } | ImportError::WrongNode { .. } => USAGE,
                ImportError::Differs { .. } | ImportError::OtherKey { .. } => DIRECTORY,
                ImportError::KeyDir(error) => error.code(),
                ImportError::Layer(error) => error.code(),
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
                KeygenError::Ledger(error) => error.code(),
                KeygenError::Migration(error) => error.code(),
                KeygenError::Io(error) => error.code(),
                KeygenError::ParameterMissing
                | KeygenError::ParameterWithoutPrfKey
                | KeygenError::FillersWithoutPrfKey
                | KeygenError::FillerBytes { .. }
                | KeygenError::FillersNotCanonical(_)
                | KeygenError::UnsoundRoot(_) => USAGE,
                KeygenError::Contradiction { .. }
                | KeygenError::OtherSecret { .. }
                | KeygenError::OtherFillers(_)
                | KeygenError::VouchedFor(_)
                | KeygenError::OtherRoot { .. }
                | KeygenError::OtherExpectedRoot { .. } => DIRECTORY,
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
                RestoreError::OtherKey { .. } => DIRECTORY,
            }
        }
    }

    impl Coded for SetError {
        fn code(&self) -> u8 {
            match self {
                SetError::Io(error) => error.code(),
                SetError::Request(_) => USAGE,
                SetError::Key { source, .. } => source.code(),
                SetError::KeyDir(error) => error.code(),
                SetError::Export(error) => error.code(),
                SetError::Budget { .. }
                | SetError::Reading(_)
                | SetError::TooLittleDisk { .. }
                | SetError::Threads(_) => MACHINE,
                SetError::Locked { .. }
                | SetError::NotADirectory(_)
                | SetError::Exists(_)
                | SetError::KeptDirectory(_)
                | SetError::InTheWay(_)
                | SetError::Contradiction { .. }
                | SetError::Lost(_)
                | SetError::SecretsGone { .. }
                | SetError::Missing(_)
                | SetError::NoManifest(_)
                | SetError::Foreign { .. }
                | SetError::Record { .. }
                | SetError::Mixed { .. }
                | SetError::Duplicate { .. }
                | SetError::SharedKeys { .. }
                | SetError::Manifest { .. } => DIRECTORY,
                SetError::Interrupted => INTERRUPTED,
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
                CheckError::Budget(error) => error.code(),
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
                TrimError::Lower { .. } | TrimError::Directory(_) => DIRECTORY,
                TrimError::Layer(error) => error.code(),
                TrimError::Path(error) => error.code(),
                TrimError::State(error) => error.code(),
                TrimError::Io(error) => error.code(),
            }
        }
    }

    impl Coded for RepairError {
        fn code(&self) -> u8 {
            match self {
                RepairError::KeyDir(error) => error.code(),
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
