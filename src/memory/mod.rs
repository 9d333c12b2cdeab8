//! Memory as the kernel sees it: what this process has of it, how much it may have, and what else is used.

mod process;

pub use process::ProcessMemory;
