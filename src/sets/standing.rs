//! How far a set is that is being made, for those who watch: by its notes alone.

use std::path::{Path, PathBuf};

use super::finished::read_finished;
use super::names::{LOCK, Prefix, SetPaths};
use super::record::Record;
use super::survey::unfinished;
use crate::files::Entry;
use crate::keydir::DirectoryLock;
use keymill_xmss::scheme::Scheme;

/// How far a set is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetStanding {
    /// Keys that were asked for.
    pub(crate) keys: u64,
    /// Those that are finished.
    pub(crate) keys_finished: u64,
    /// The directories of keys that are not.
    pub(crate) unfinished: Vec<PathBuf>,
    /// A process is making it.
    pub(crate) is_running: bool,
}

/// Whether a directory is that of a set.
pub(crate) fn is_set(directory: &Path) -> bool {
    let paths = SetPaths::new(directory);
    paths.work().is_dir() || paths.manifest().is_file()
}

/// How far the set in a directory is; none if nothing is known of one. Takes no lock and writes nothing.
pub(crate) fn standing(directory: &Path) -> Option<SetStanding> {
    let paths = SetPaths::new(directory);
    let record = Record::read(&paths.request()).ok()??;
    let scheme = Scheme::by_id(&record.scheme).ok()?;
    let finished = read_finished(&paths, scheme).ok()?;
    let directory_of = |name: &super::names::KeyName| match name.prefix {
        Prefix::Index(index) => Some(paths.unfinished(index, name.role)),
        Prefix::PublicKey(..) => None,
    };
    let lock = Entry::of(&paths.work().join(LOCK)).ok()?;
    Some(SetStanding {
        keys: record.keys(),
        keys_finished: finished.len() as u64,
        unfinished: unfinished(&paths).ok()?.iter().filter_map(directory_of).collect(),
        is_running: DirectoryLock::holder(&lock).is_some(),
    })
}
