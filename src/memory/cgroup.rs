//! The memory cgroups that a process is in, of version 1 or 2: their limits, and what is used of them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use super::read_bytes;

/// Version 1 says "no limit" with the highest number of pages that fits, which depends on the size of a page.
const NO_LIMIT_FROM_BYTES: u64 = 1 << 62;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// The cgroup of this process, and those around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cgroups {
    version: Version,
    /// From its own upward, as far as they are to be seen from here.
    directories: Vec<PathBuf>,
}

/// A limit of a cgroup, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CgroupLimit {
    pub(super) bytes: u64,
    pub(super) directory: PathBuf,
    pub(super) file: &'static str,
}

/// What is used of a cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CgroupUsage {
    /// Everything that is counted, page cache included.
    pub(super) used_bytes: u64,
    /// Page cache that has to be written before it can be dropped.
    pub(super) dirty_bytes: u64,
    /// What the kernel cannot take back at once: all but clean page cache. A cgroup whose processes read and write files
    /// fills up to its limit with that, and no process has less for it.
    pub(super) held_bytes: u64,
}

impl Cgroups {
    /// Finds them through /proc below `root`; none where no memory cgroup is mounted.
    pub(super) fn find(root: &Path) -> Option<Self> {
        let memberships = read_bytes(&root.join("proc/self/cgroup"))?;
        let mounts = read_bytes(&root.join("proc/self/mountinfo"))?;
        // The memory controller is in one hierarchy only; where it is in none of version 1, that is the one of version 2.
        let versions = [Version::One, Version::Two].into_iter();
        versions
            .filter_map(|version| find(version, root, &memberships, &mounts))
            .next()
    }

    /// The limits of every one of them: all hold.
    pub(super) fn limits(&self) -> impl Iterator<Item = CgroupLimit> + '_ {
        self.directories.iter().filter_map(|directory| self.limit(directory))
    }

    /// The lowest limit of one of them.
    fn limit(&self, directory: &Path) -> Option<CgroupLimit> {
        let files: &[&str] = match self.version {
            Version::One => &["memory.limit_in_bytes"],
            Version::Two => &["memory.max", "memory.high"],
        };
        let own = files
            .iter()
            .filter_map(|&file| Some((limit_in(&directory.join(file))?, file)));
        // Version 1 also tells of limits above what is mounted here, as in a container. Those between are named where they
        // stand.
        let is_topmost = self.directories.last().is_some_and(|topmost| topmost == directory);
        let around = (self.version == Version::One && is_topmost)
            .then(|| Statistics::read(directory)?.get("hierarchical_memory_limit"))
            .flatten();
        let around = around.filter(|&bytes| bytes < NO_LIMIT_FROM_BYTES);
        let (bytes, file) = own
            .chain(around.map(|bytes| (bytes, "memory.stat, hierarchical_memory_limit")))
            .min_by_key(|(bytes, _)| *bytes)?;
        Some(CgroupLimit {
            bytes,
            directory: directory.to_owned(),
            file,
        })
    }

    /// What is used of one of them.
    pub(super) fn usage(&self, directory: &Path) -> Option<CgroupUsage> {
        let (file, prefix) = match self.version {
            Version::One => ("memory.usage_in_bytes", "total_"),
            Version::Two => ("memory.current", ""),
        };
        let used_bytes = number(&read_bytes(&directory.join(file))?)?;
        let statistics = Statistics::read(directory)?;
        let get = |name: &str| statistics.get(&format!("{prefix}{name}")).unwrap_or_default();
        let dirty_bytes = match self.version {
            Version::One => get("dirty").saturating_add(get("writeback")),
            Version::Two => get("file_dirty").saturating_add(get("file_writeback")),
        };
        let cache_bytes = get("inactive_file").saturating_add(get("active_file"));
        // Only version 2 has it: names of files and the like, which are dropped as page cache is.
        let clean_bytes = cache_bytes
            .saturating_sub(dirty_bytes)
            .saturating_add(get("slab_reclaimable"));
        Some(CgroupUsage {
            used_bytes,
            dirty_bytes,
            held_bytes: used_bytes.saturating_sub(clean_bytes),
        })
    }

    /// Where its pressure stands: of version 2 only.
    pub(super) fn pressure_file(&self) -> Option<PathBuf> {
        let own = self.directories.first().filter(|_| self.version == Version::Two);
        own.map(|directory| directory.join("memory.pressure"))
    }
}

fn find(version: Version, root: &Path, memberships: &[u8], mounts: &[u8]) -> Option<Cgroups> {
    let path = membership(version, memberships)?;
    // Several mounts can show the same cgroups; the highest one shows most of those around.
    let mounts = lines(mounts).filter_map(|line| Mount::parse(version, line));
    let mount = mounts
        .filter(|mount| path.starts_with(&mount.root))
        .min_by_key(|mount| mount.root.components().count())?;
    let inside = path.strip_prefix(&mount.root).ok()?;
    let mut directories = vec![root.join(mount.point.strip_prefix("/").ok()?)];
    for component in inside.components() {
        // Where the process is outside what its namespace shows, the path leads upward first (cgroup_namespaces(7)).
        let Component::Normal(name) = component else {
            return None;
        };
        directories.push(directories.last()?.join(name));
    }
    directories.reverse();
    Some(Cgroups { version, directories })
}

/// The path of the process's cgroup in its hierarchy (cgroups(7), /proc/pid/cgroup).
fn membership(version: Version, memberships: &[u8]) -> Option<PathBuf> {
    lines(memberships).find_map(|line| {
        let mut fields = line.splitn(3, |&byte| byte == b':');
        let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let is_it = match version {
            Version::One => controllers.split(|&byte| byte == b',').any(|name| name == b"memory"),
            Version::Two => id == b"0" && controllers.is_empty(),
        };
        is_it.then(|| PathBuf::from(OsStr::from_bytes(path)))
    })
}

/// A mounted cgroup hierarchy.
struct Mount {
    /// The cgroup that is to be seen at the mount point. In a container this may be the container's own.
    root: PathBuf,
    point: PathBuf,
}

impl Mount {
    /// Reads a line of mountinfo (proc_pid_mountinfo(5)), if it is of a hierarchy that can hold the memory controller.
    fn parse(version: Version, line: &[u8]) -> Option<Self> {
        let fields: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
        // Between mount options and file system stand any number of optional fields, and then a dash.
        let dash = 6 + fields.get(6..)?.iter().position(|field| *field == b"-")?;
        let (kind, options) = (fields.get(dash + 1)?, fields.get(dash + 3)?);
        let is_it = match version {
            Version::One => *kind == b"cgroup" && options.split(|&byte| byte == b',').any(|name| name == b"memory"),
            Version::Two => *kind == b"cgroup2",
        };
        is_it.then(|| Self {
            root: unescaped(fields[3]),
            point: unescaped(fields[4]),
        })
    }
}

/// A path in which spaces, tabs, line ends and backslashes stand as a backslash and three octal digits.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| byte == b'\\');
        let code = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(code.unwrap_or(byte));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n')
}

/// A limit in a file of a cgroup. None if there is no such file, or if it says that there is none: `max` in version 2.
fn limit_in(path: &Path) -> Option<u64> {
    number(&read_bytes(path)?).filter(|&bytes| bytes < NO_LIMIT_FROM_BYTES)
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

/// The lines of memory.stat: a name and a number each.
struct Statistics(Vec<u8>);

impl Statistics {
    fn read(directory: &Path) -> Option<Self> {
        read_bytes(&directory.join("memory.stat")).map(Self)
    }

    fn get(&self, name: &str) -> Option<u64> {
        lines(&self.0).find_map(|line| number(line.strip_prefix(name.as_bytes())?.strip_prefix(b" ")?))
    }
}
