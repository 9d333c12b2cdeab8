//! Memory of this process.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::failure::{IoFailure, attempt};

const STATUS: &str = "/proc/self/status";
/// It has about 1.5 KiB.
const STATUS_BYTES_MAX: usize = 8 << 10;

/// Memory of this process, in bytes, as /proc/self/status has it (proc_pid_status(5)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessMemory {
    /// Resident memory of its own: heap and stacks (RssAnon).
    pub anonymous_bytes: u64,
    /// Resident pages of mapped files (RssFile).
    pub file_bytes: u64,
    /// Resident shared memory (RssShmem): of files in memory, such as those on a tmpfs, which cannot be dropped.
    pub shared_bytes: u64,
    /// All of it (VmRSS).
    pub resident_bytes: u64,
    /// The most that was resident at any time (VmHWM).
    pub peak_bytes: u64,
    /// Address space (VmSize), which RLIMIT_AS bounds.
    pub address_bytes: u64,
}

/// A number of the text of /proc/self/status; zero for what it does not say.
fn field(status: &[u8], name: &str) -> u64 {
    let mut lines = status.split(|&byte| byte == b'\n');
    let line = lines.find_map(|line| line.strip_prefix(name.as_bytes()));
    let text = line.and_then(|line| std::str::from_utf8(line).ok());
    let number = text.and_then(|text| text.split_whitespace().next()?.parse().ok());
    number.unwrap_or_default()
}

impl ProcessMemory {
    /// As it is now.
    ///
    /// # Errors
    /// [`IoFailure`] if there is no /proc.
    pub fn read() -> Result<Self, IoFailure> {
        let path = Path::new(STATUS);
        // Not on the heap: a job reads it at each commit.
        let mut text = [0; STATUS_BYTES_MAX];
        let length = attempt("read", path, || read_all(&mut File::open(path)?, &mut text))?;
        Ok(Self::parse(&text[..length]))
    }

    /// Zero for what the text does not say.
    fn parse(status: &[u8]) -> Self {
        let field = |name: &str| field(status, name).saturating_mul(1024);
        Self {
            anonymous_bytes: field("RssAnon:"),
            file_bytes: field("RssFile:"),
            shared_bytes: field("RssShmem:"),
            resident_bytes: field("VmRSS:"),
            peak_bytes: field("VmHWM:"),
            address_bytes: field("VmSize:"),
        }
    }
}

/// Reads until the end, or as much as there is room for.
fn read_all(file: &mut File, bytes: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    loop {
        match file.read(&mut bytes[length..])? {
            0 => return Ok(length),
            more => length += more,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alone::is_alone;

    #[test]
    fn each_figure_of_a_status_is_read_in_bytes_and_a_missing_one_is_zero() {
        let text = "Name:\tVmHWM: 9 kB\nVmPeak:\t  99 kB\nVmSize:\t  30 kB\nVmHWM:\t  21 kB\nVmRSS:\t  20 kB\n\
                    RssAnon:\t   7 kB\nRssFile:\t   8 kB\nRssShmem:\t   5 kB\nThreads:\t1\n";
        let kib = |n: u64| n * 1024;
        let expected = ProcessMemory {
            anonymous_bytes: kib(7),
            file_bytes: kib(8),
            shared_bytes: kib(5),
            resident_bytes: kib(20),
            peak_bytes: kib(21),
            address_bytes: kib(30),
        };
        assert_eq!(ProcessMemory::parse(text.as_bytes()), expected);
        assert_eq!(ProcessMemory::parse(b""), ProcessMemory::default());
        assert_eq!(
            ProcessMemory::parse(b"VmRSS:\tmany kB\nRssAnon:"),
            ProcessMemory::default()
        );
        let huge = ProcessMemory::parse(b"VmRSS: 18446744073709551615 kB");
        assert_eq!(huge.resident_bytes, u64::MAX);
    }

    #[test]
    fn memory_that_this_process_touches_is_seen() {
        const BYTES: usize = 64 << 20;
        // Elsewhere, other tests give back as much meanwhile.
        if !is_alone("memory::process::tests::memory_that_this_process_touches_is_seen") {
            return;
        }
        let before = ProcessMemory::read().unwrap();
        let touched = std::hint::black_box(vec![1_u8; BYTES]);
        let after = ProcessMemory::read().unwrap();
        // The kernel counts in batches (RssAnon in proc_pid_status(5)).
        let grown_bytes = after.anonymous_bytes - before.anonymous_bytes + (1 << 20);
        assert!(grown_bytes >= BYTES as u64, "{before:?} {after:?}");
        assert!(after.peak_bytes >= BYTES as u64 && after.address_bytes > after.resident_bytes);
        drop(touched);
    }
}
