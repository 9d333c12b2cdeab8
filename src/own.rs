//! Of which kind the errors are that have a type of their own.

use keymill_xmss::SszError;
use keymill_xmss::arena::ArenaOverflow;
use keymill_xmss::tree::PlanError;

use crate::error::{Own, Reason, is_misnamed};
use crate::failure::{Classified, FailureKind, IoFailure};
use crate::keydir::KeyDirError;
use crate::layers::LayerError;
use crate::plan::BudgetTooSmall;
use crate::remedy::Remedied;
use crate::resources::report::ReportError;
use crate::state::StateError;
use crate::workers::ThreadsFailed;

macro_rules! own {
    ($($error:ty),*) => {$(impl Own for $error {})*};
}

own!(
    ArenaOverflow,
    BudgetTooSmall,
    PlanError,
    ReportError,
    SszError,
    ThreadsFailed
);

impl Own for KeyDirError {
    fn reason(&self) -> Reason {
        match self {
            Self::NotSealed(_) => Reason::NotFinished,
            Self::Locked { .. } => Reason::Locked,
            Self::SecretMissing(_) => Reason::SecretMissing,
            Self::LedgerMark { .. } => Reason::MarkDamaged,
            _ => Reason::Other,
        }
    }

    fn into_call(self) -> Result<IoFailure, Self> {
        match self {
            Self::Io(failure) => Ok(failure),
            error => Err(error),
        }
    }
}

impl Own for StateError {
    fn reason(&self) -> Reason {
        match self {
            Self::Damaged { .. } => Reason::Damaged,
            _ => Reason::Other,
        }
    }

    fn into_call(self) -> Result<IoFailure, Self> {
        match self {
            Self::Io(failure) => Ok(failure),
            error => Err(error),
        }
    }
}

impl Own for LayerError {
    fn reason(&self) -> Reason {
        Reason::Damaged
    }

    fn into_call(self) -> Result<IoFailure, Self> {
        match self {
            Self::Io(failure) => Ok(failure),
            error => Err(error),
        }
    }
}

macro_rules! without_remedy {
    ($($error:ty),*) => {$(impl Remedied for $error {})*};
}

without_remedy!(
    ArenaOverflow,
    BudgetTooSmall,
    PlanError,
    ReportError,
    SszError,
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
of_kind!(Machine: ArenaOverflow, BudgetTooSmall, ThreadsFailed);

impl Classified for ReportError {
    fn kind(&self) -> FailureKind {
        match self {
            ReportError::Io(error) if is_misnamed(&error.source) => FailureKind::Usage,
            ReportError::Io(_) => FailureKind::Machine,
            ReportError::TooMany { .. } => FailureKind::Machine,
            ReportError::NoTrace(_) | ReportError::Line { .. } => FailureKind::Usage,
        }
    }
}
