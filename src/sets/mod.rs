//! Key sets: the keys of many validators in one directory, with the file names and the manifest of hash-sig-cli, or for
//! leanVM's keys of ethlambda (docs/KEYSETS.md).

mod begun;
mod derive;
pub(crate) mod finished;
mod json_twin;
mod key_files;
mod make;
mod merge;
mod parts;
mod plan;
mod prepare;
mod probe;
mod progress;
mod publish;
pub(crate) mod record;
mod report;
mod request;
mod shared;
#[cfg(feature = "serve")]
mod standing;
mod survey;
#[cfg(test)]
mod tests;
mod variants;
mod verify;
mod verify_key;

use crate::interop::key_set::{manifest, names};

pub use crate::interop::Role;
pub use crate::interop::key_set::revision::LeanvmRevision;
pub use make::{SetJob, SetSummary};
pub use merge::{MergeReport, merge_sets};
pub use progress::{NoSetProgress, SetEvent, SetProgress};
pub use report::{Findings, SchemeKeys, SetFinding, SetReport};
pub use request::{SetForms, SetRequest};
#[cfg(feature = "serve")]
pub(crate) use standing::{is_set, standing};
pub use verify::verify_set;
