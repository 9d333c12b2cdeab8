//! What is used of memory, by this process and by those that share its limits.

use std::path::{Path, PathBuf};

use super::cgroup::Cgroups;
use super::limits::Limit;
use super::process::ProcessMemory;
use super::read_bytes;

/// What is used of a cgroup that has a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedUsage {
    /// Its limit.
    pub limit: Limit,
    /// Everything that is counted, page cache included.
    pub used_bytes: u64,
    /// What the kernel cannot take back at once: all but clean page cache.
    pub held_bytes: u64,
    /// Page cache that has to be written before it can be dropped.
    pub dirty_bytes: u64,
}

/// A sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// This process.
    pub process: ProcessMemory,
    /// That of its cgroups of which the largest part is held.
    pub shared: Option<SharedUsage>,
    /// How much of the last ten seconds some process waited for memory, in percent: of the cgroup, else of the machine.
    pub pressure_percent: Option<f64>,
}

/// Takes samples.
#[derive(Clone, Debug)]
pub struct UsageReader {
    cgroups: Option<Cgroups>,
    /// Those that had a limit when the reader was made.
    limited: Vec<PathBuf>,
    pressure_files: Vec<PathBuf>,
}

impl Default for UsageReader {
    fn default() -> Self {
        Self::below(Path::new("/"))
    }
}

impl UsageReader {
    pub(super) fn below(root: &Path) -> Self {
        let cgroups = Cgroups::find(root);
        let limits = cgroups.iter().flat_map(Cgroups::limits);
        let of_cgroup = cgroups.as_ref().and_then(Cgroups::pressure_file);
        let pressure_files = of_cgroup.into_iter().chain([root.join("proc/pressure/memory")]);
        Self {
            pressure_files: pressure_files.collect(),
            limited: limits.map(|limit| limit.directory).collect(),
            cgroups,
        }
    }

    /// Takes one; none where what is used by this process, or of a cgroup with a limit, cannot be read, since what is left
    /// would look like less. Pressure is told by few machines, and none there.
    pub fn read(&self) -> Option<Usage> {
        let mut files = self.pressure_files.iter();
        Some(Usage {
            process: ProcessMemory::read().ok()?,
            shared: self.fullest()?,
            pressure_percent: files.find_map(|path| pressure_percent(&read_bytes(path)?)),
        })
    }

    /// What is used of the fullest cgroup, if one has a limit; none if one cannot be read.
    fn fullest(&self) -> Option<Option<SharedUsage>> {
        let Some(cgroups) = &self.cgroups else {
            return Some(None);
        };
        // A limit can have been lifted since, but then its cgroup is still there.
        for directory in &self.limited {
            cgroups.usage(directory)?;
        }
        let mut fullest: Option<SharedUsage> = None;
        for limit in cgroups.limits() {
            let usage = cgroups.usage(&limit.directory)?;
            let usage = SharedUsage {
                limit: limit.into(),
                used_bytes: usage.used_bytes,
                held_bytes: usage.held_bytes,
                dirty_bytes: usage.dirty_bytes,
            };
            if fullest.as_ref().is_none_or(|other| other.part() <= usage.part()) {
                fullest = Some(usage);
            }
        }
        Some(fullest)
    }
}

impl SharedUsage {
    fn part(&self) -> f64 {
        self.held_bytes as f64 / self.limit.bytes as f64
    }
}

/// avg10 of the line "some" (Documentation/accounting/psi.rst of Linux).
fn pressure_percent(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let average = rest.split_whitespace().find_map(|field| field.strip_prefix("avg10="))?;
    average.parse().ok()
}
