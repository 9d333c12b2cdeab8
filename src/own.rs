//! Of which kind the errors are that have a type of their own.

use std::io::ErrorKind;

use keymill_xmss::SszError;
use keymill_xmss::tree::PlanError;

use crate::audit::{CheckError, RepairError, StatusError};
use crate::error::{Own, Reason};
use crate::failure::{Classified, FailureKind};
use crate::keydir::KeyDirError;
use crate::keygen::KeygenError;
use crate::layers::LayerError;
use crate::ledger::LedgerError;
use crate::migrations::MigrationError;
use crate::plan::BudgetTooSmall;
use crate::remedy::Remedied;
use crate::resources::report::ReportError;
use crate::signing::SigningError;
use crate::state::StateError;
use crate::workers::ThreadsFailed;

macro_rules! own {
    ($($error:ty),*) => {$(impl Own for $error {})*};
}

own!(
    BudgetTooSmall,
    CheckError,
    KeygenError,
    LedgerError,
    MigrationError,
    PlanError,
    RepairError,
    ReportError,
    SigningError,
    SszError,
    StatusError,
    ThreadsFailed
);

impl Own for KeyDirError {
    fn reason(&self) -> Reason {
        match self {
            Self::Io(_) => Reason::Call,
            Self::NotSealed(_) => Reason::NotFinished,
            Self::Locked { .. } => Reason::Locked,
            _ => Reason::Other,
        }
    }
}

impl Own for StateError {
    fn reason(&self) -> Reason {
        match self {
            Self::Io(_) => Reason::Call,
            Self::Damaged { .. } => Reason::Damaged,
            _ => Reason::Other,
        }
    }
}

impl Own for LayerError {
    fn reason(&self) -> Reason {
        match self {
            Self::Io(_) => Reason::Call,
            _ => Reason::Damaged,
        }
    }
}

macro_rules! without_remedy {
    ($($error:ty),*) => {$(impl Remedied for $error {})*};
}

without_remedy!(
    BudgetTooSmall,
    PlanError,
    ReportError,
    SszError,
    StatusError,
    ThreadsFailed
);

macro_rules! of_kind {
    ($kind:ident: $($error:ty),*) => {$(
        impl Classified for $error {
            fn kind(&self) -> FailureKind {
                FailureKind::$kind
            }
        }
    )*};
}

of_kind!(Usage: PlanError, SszError);
of_kind!(Machine: BudgetTooSmall, ThreadsFailed);

/// What kind of failure it is that a file cannot be read which was named on the command line.
fn of_input(error: &std::io::Error) -> FailureKind {
    match error.kind() {
        // The name of another file mends it.
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::PermissionDenied => {
            FailureKind::Usage
        }
        _ => FailureKind::Machine,
    }
}

impl Classified for ReportError {
    fn kind(&self) -> FailureKind {
        match self {
            ReportError::Io(error) => of_input(&error.source),
            ReportError::TooMany { .. } => FailureKind::Machine,
            ReportError::NoTrace(_) | ReportError::Line { .. } => FailureKind::Usage,
        }
    }
}

impl Classified for MigrationError {
    fn kind(&self) -> FailureKind {
        match self {
            MigrationError::Io(error) => error.kind(),
            MigrationError::Layer(error) => error.kind(),
            MigrationError::State(error) => error.kind(),
            MigrationError::KeyDir(error) => error.kind(),
            MigrationError::Interrupted(_) => FailureKind::Interrupted,
        }
    }
}

impl Classified for KeygenError {
    fn kind(&self) -> FailureKind {
        match self {
            KeygenError::Plan(error) => error.kind(),
            KeygenError::Budget(error) => error.kind(),
            KeygenError::KeyDir(error) => error.kind(),
            KeygenError::Layer(error) => error.kind(),
            KeygenError::State(error) => error.kind(),
            KeygenError::Ledger(error) => error.kind(),
            KeygenError::Migration(error) => error.kind(),
            KeygenError::Io(error) => error.kind(),
            KeygenError::ParameterMissing
            | KeygenError::ParameterWithoutPrfKey
            | KeygenError::UnsoundParameter(_)
            | KeygenError::SeedNeeded(_)
            | KeygenError::FillersWithoutPrfKey
            | KeygenError::FillerBytes { .. }
            | KeygenError::FillersNotCanonical(_)
            | KeygenError::UnsoundRoot(_) => FailureKind::Usage,
            KeygenError::Contradiction { .. }
            | KeygenError::OtherSecret { .. }
            | KeygenError::OtherFillers(_)
            | KeygenError::VouchedFor(_)
            | KeygenError::OtherRoot { .. }
            | KeygenError::OtherExpectedRoot { .. } => FailureKind::Directory,
            KeygenError::NoRandomness(_)
            | KeygenError::Threads(_)
            | KeygenError::Arena(_)
            | KeygenError::MemoryShort { .. }
            | KeygenError::TooLittleDisk { .. }
            | KeygenError::DiskUnreliable { .. } => FailureKind::Machine,
            KeygenError::Interrupted => FailureKind::Interrupted,
        }
    }
}

impl Classified for StatusError {
    fn kind(&self) -> FailureKind {
        match self {
            StatusError::KeyDir(error) => error.kind(),
            StatusError::State(error) => error.kind(),
            StatusError::Io(error) => error.kind(),
        }
    }
}

impl Classified for CheckError {
    fn kind(&self) -> FailureKind {
        match self {
            CheckError::KeyDir(error) => error.kind(),
            CheckError::State(error) => error.kind(),
            CheckError::Ledger(error) => error.kind(),
            CheckError::Layer(error) => error.kind(),
            CheckError::Budget(error) => error.kind(),
            CheckError::Threads(_) | CheckError::Arena(_) => FailureKind::Machine,
            CheckError::Io(error) => error.kind(),
        }
    }
}

impl Classified for RepairError {
    fn kind(&self) -> FailureKind {
        match self {
            RepairError::KeyDir(error) => error.kind(),
            RepairError::Layer(error) => error.kind(),
            RepairError::State(error) => error.kind(),
            RepairError::Io(error) => error.kind(),
            RepairError::Budget(error) => error.kind(),
            RepairError::Keygen(error) => error.kind(),
            RepairError::Interrupted => FailureKind::Interrupted,
            RepairError::Threads(_) | RepairError::Arena(_) | RepairError::DiskUnreliable { .. } => {
                FailureKind::Machine
            }
            RepairError::OtherRoot { .. } => FailureKind::Directory,
        }
    }
}
