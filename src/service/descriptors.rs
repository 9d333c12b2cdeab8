//! How many files the process may have open.

use std::path::PathBuf;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::limits::Limits;

/// Those of the runtime, of the listeners, of standard streams and libraries.
const OTHERS: u64 = 64;
/// Those of a ledger: its store keeps at most 64 tables open, beside its logs and locks.
const LEDGER: u64 = 80;
/// Those of a key: its directories, its lock, and what is read from.
const KEY: u64 = 8;

/// Raises the limit of open files to what a service needs that holds these keys and sets, as far as the process may, and warns if
/// it may not.
pub(super) fn raise_limit(directories: &[PathBuf], limits: &Limits) {
    let connections = limits.connections_max + limits.metrics_connections_max;
    // What is in a set is a key at most. What cannot be read is said when it is opened.
    let inside = |directory: &PathBuf| std::fs::read_dir(directory).map_or(1, Iterator::count);
    let keys: u64 = directories.iter().map(|directory| inside(directory) as u64).sum();
    let needed = OTHERS + connections as u64 + LEDGER * directories.len() as u64 + KEY * keys;
    let limit = getrlimit(Resource::Nofile);
    let allowed = |limit: Option<u64>| limit.is_none_or(|most| most >= needed);
    if allowed(limit.current) {
        return;
    }
    if !allowed(limit.maximum) {
        tracing::warn!(
            "this process may have {} open files, and {needed} may be needed for its keys and {connections} connections; raise \
             the limit (RLIMIT_NOFILE), or connections may be refused",
            limit.maximum.unwrap_or(needed)
        );
    }
    let current = limit.maximum.map_or(needed, |most| most.min(needed));
    let raised = Rlimit {
        current: Some(current),
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!("the limit of open files cannot be raised to {current}: {error}");
    }
}
