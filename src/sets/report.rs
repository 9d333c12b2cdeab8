//! What is said of a set that was looked at.

use std::path::{Path, PathBuf};

use super::error::SetError;
use crate::failure::IoFailure;
use crate::files::{NotRegular, not_regular};

/// Something about a file of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetFinding {
    /// The file.
    pub path: PathBuf,
    /// What is to be said of it.
    pub what: String,
}

/// What was found in a set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetReport {
    /// Validators that the manifest names.
    pub validators: u64,
    /// Keys whose files were looked at.
    pub keys_checked: u64,
    /// What is wrong.
    pub faults: Vec<SetFinding>,
    /// What is not wrong, but should be known.
    pub warnings: Vec<SetFinding>,
    /// Files that could not be read, because the machine failed: nothing is known of them.
    pub unread: Vec<SetFinding>,
}

impl SetReport {
    pub(super) fn fault(&mut self, path: &Path, what: impl Into<String>) {
        self.faults.push(SetFinding {
            path: path.to_owned(),
            what: what.into(),
        });
    }

    /// A file could not be opened or read. That is a fault if there is no file to read, else the machine's failure.
    pub(super) fn failed(&mut self, failure: &IoFailure) {
        let what = match not_regular(failure) {
            None if failure.is_missing() => Some("it is missing, or a link that leads nowhere"),
            found => found.map(NotRegular::words),
        };
        match what {
            Some(what) => self.fault(&failure.path, what),
            None => self.unread.push(SetFinding {
                path: failure.path.clone(),
                what: format!("{} failed: {}", failure.call, failure.source),
            }),
        }
    }

    /// What keymill has noted about the set could not be read or understood.
    pub(super) fn failed_notes(&mut self, path: &Path, error: SetError) {
        match error {
            SetError::Io(failure) => self.failed(&failure),
            SetError::Record { what, .. } => self.fault(path, format!("it is damaged: {what}")),
            SetError::Foreign { what, .. } => self.fault(path, what),
            SetError::NotADirectory(_) => self.fault(path, "it is not a directory"),
            error => self.fault(path, error.to_string()),
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.keys_checked += other.keys_checked;
        self.faults.extend(other.faults);
        self.warnings.extend(other.warnings);
        self.unread.extend(other.unread);
    }
}
