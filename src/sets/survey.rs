//! What looking at a set takes of memory, as the sizes of its files tell before any of them is read.

use std::path::Path;

use super::error::SetError;
use super::names::{Half, Named, SetPaths};
use super::verify::each_entry;
use crate::failure::{IoFailure, attempt};
use crate::interop::secret_key::reading_bytes_max;
use crate::plan::{MemoryRequest, Reading};

/// What a manifest says of a key, and what else is kept of each while a set is verified, takes at most so many times its text.
const VERIFIED_TO_TEXT: u64 = 2;
/// The same while sets are merged.
const MERGED_TO_TEXT: u64 = 5;
/// Findings that are listed, and their text.
const FINDINGS_BYTES: u64 = 2 << 20;
/// What a thread takes to hash, sign and verify with a key beside the key itself: tables of the scheme, and pieces of files.
const KEY_WORK_BYTES: u64 = 1 << 20;

/// The sizes of the files of a set, as far as memory depends on them.
#[derive(Debug, Default)]
pub(super) struct Survey {
    manifest_bytes: u64,
    /// The most that a secret key file takes to read.
    secret_bytes_max: u64,
    /// The first secret key file whose size could not be had.
    pub(super) unknown: Option<IoFailure>,
}

/// The size of a file. Of what is missing or is not a file, whoever looks at it says so.
fn size(path: &Path) -> Result<u64, IoFailure> {
    match attempt("stat", path, || std::fs::metadata(path)) {
        Err(failure) if failure.is_missing() => Ok(0),
        metadata => Ok(Some(metadata?)
            .filter(std::fs::Metadata::is_file)
            .map_or(0, |file| file.len())),
    }
}

impl Survey {
    /// Looks at names and sizes alone.
    pub(super) fn of(paths: &SetPaths) -> Result<Self, SetError> {
        let mut survey = Self {
            manifest_bytes: size(&paths.manifest())?,
            ..Self::default()
        };
        each_entry(paths.root(), |name| {
            let Some(Named::File(_, _, Half::Secret, form)) = Named::parse(&name) else {
                return;
            };
            let file_bytes = size(&paths.entry(&name)).unwrap_or_else(|failure| {
                survey.unknown.get_or_insert(failure);
                // Nothing is known of it, so it may be the largest.
                u64::MAX
            });
            let bytes = reading_bytes_max(Some(form.of_secret()), file_bytes);
            survey.secret_bytes_max = survey.secret_bytes_max.max(bytes);
        })?;
        Ok(survey)
    }

    /// What is known of two sets that are looked at one after the other, as one.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            manifest_bytes: self.manifest_bytes.saturating_add(other.manifest_bytes),
            secret_bytes_max: self.secret_bytes_max.max(other.secret_bytes_max),
            unknown: self.unknown.or(other.unknown),
        }
    }

    /// To verify the set, each thread holds a key.
    pub(super) fn to_verify(&self, threads: usize, memory: MemoryRequest) -> Reading {
        Reading {
            held_bytes: self.manifest_bytes.saturating_mul(VERIFIED_TO_TEXT) + FINDINGS_BYTES,
            thread_bytes: self.secret_bytes_max + KEY_WORK_BYTES,
            threads,
            memory,
        }
    }

    /// To merge sets, one key is held at a time.
    pub(super) fn to_merge(&self, memory: MemoryRequest) -> Reading {
        Reading {
            held_bytes: self.manifest_bytes.saturating_mul(MERGED_TO_TEXT),
            thread_bytes: self.secret_bytes_max + KEY_WORK_BYTES,
            threads: 1,
            memory,
        }
    }
}
