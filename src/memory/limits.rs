//! How much memory this process may have.

use std::fmt;
use std::path::{Path, PathBuf};

use super::cgroup::{CgroupLimit, Cgroups};
use super::read_bytes;

/// What sets a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitSource {
    /// The user: `--memory`, `KEYMILL_MEMORY`, or `memory` in the settings file.
    Asked,
    /// A cgroup that the process is in, or one around that.
    Cgroup {
        /// Its directory.
        directory: PathBuf,
        /// The file in it that says so.
        file: &'static str,
    },
    /// RLIMIT_AS, the limit on address space.
    AddressSpace,
    /// The machine has no more.
    PhysicalMemory,
}

impl fmt::Display for LimitSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => write!(f, "the memory setting"),
            Self::Cgroup { directory, file } => write!(f, "cgroup '{}', {file}", directory.display()),
            Self::AddressSpace => write!(f, "RLIMIT_AS"),
            Self::PhysicalMemory => write!(f, "physical memory"),
        }
    }
}

/// A limit, and its source.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limit {
    /// The most that is allowed.
    pub bytes: u64,
    /// What sets it.
    pub source: LimitSource,
}

impl From<CgroupLimit> for Limit {
    fn from(limit: CgroupLimit) -> Self {
        Self {
            bytes: limit.bytes,
            source: LimitSource::Cgroup {
                directory: limit.directory,
                file: limit.file,
            },
        }
    }
}

/// Every limit on the memory of this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Those on memory itself.
    pub memory: Vec<Limit>,
    /// RLIMIT_AS in bytes, if it is set. Mapped files count there as well.
    pub address_bytes: Option<u64>,
}

impl Limits {
    /// Those that hold for this process now. One that cannot be read is none.
    pub fn detect() -> Self {
        Self::below(Path::new("/"))
    }

    pub(super) fn below(root: &Path) -> Self {
        let cgroups = Cgroups::find(root);
        let limits = cgroups.iter().flat_map(Cgroups::limits).map(Limit::from);
        let physical = read_bytes(&root.join("proc/meminfo")).and_then(|text| total_bytes(&text));
        let physical = physical.map(|bytes| Limit {
            bytes,
            source: LimitSource::PhysicalMemory,
        });
        let address_bytes = read_bytes(&root.join("proc/self/limits")).and_then(|text| address_bytes(&text));
        Self {
            memory: limits.chain(physical).collect(),
            address_bytes,
        }
    }

    /// The lowest limit on memory itself.
    pub fn lowest(&self) -> Option<&Limit> {
        self.memory.iter().min_by_key(|limit| limit.bytes)
    }
}

/// MemTotal of /proc/meminfo (proc_meminfo(5)).
fn total_bytes(text: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(text);
    let rest = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = rest.split_whitespace().next()?.parse().ok()?;
    Some(kib.saturating_mul(1024))
}

/// The soft limit on address space in /proc/self/limits (proc_pid_limits(5)).
fn address_bytes(text: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(text);
    let rest = text.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    // "unlimited" is not a number.
    rest.split_whitespace().next()?.parse().ok()
}
