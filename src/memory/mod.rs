//! Memory as the kernel sees it: what this process has of it, how much it may have, and what else is used.

mod cgroup;
mod held;
mod limits;
mod process;
#[cfg(test)]
mod tests;
mod usage;

use std::path::Path;

pub(crate) use held::{HeldMemory, NEARLY_FULL_PERCENT};
pub use limits::{Limit, LimitSource, Limits};
pub use process::ProcessMemory;
pub use usage::{SharedUsage, Usage, UsageReader};

use crate::failure::attempt;

/// A file of the kernel; none if it is not there, as many are not on some machine or other.
fn read_bytes(path: &Path) -> Option<Vec<u8>> {
    attempt("read", path, || std::fs::read(path)).ok()
}
