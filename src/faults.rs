//! Faults on purpose: unit tests decide what becomes of each call that goes through [`attempt`](crate::failure::attempt).
//!
//! It is compiled into the unit tests only. A rule holds for the calls on files below one directory, in all threads, so
//! that tests do not meet each other's faults.

#[cfg(test)]
#[path = "faults/shadow_tests.rs"]
pub(crate) mod shadow;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is made.
    Pass,
    /// It is not made, and fails with this error number.
    Fail(i32),
    /// It is made, and then reported as failed with this error number: as when the machine stops before the answer.
    FailAfterwards(i32),
}

/// A call that a rule has decided on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) call: &'static str,
    pub(crate) path: PathBuf,
    /// Whether it was reported as failed and had not failed by itself.
    pub(crate) is_injected: bool,
}

impl Seen {
    /// Whether it was made for the history of a key, on which nothing depends.
    pub(crate) fn is_of_history(&self) -> bool {
        self.path.ends_with("history.jsonl") && ["open", "fstat", "read", "write"].contains(&self.call)
    }
}

type Rule = Arc<Mutex<dyn Judge>>;

/// A rule for all calls below a directory, and those that there were.
#[derive(Clone)]
struct Ruled {
    root: PathBuf,
    rule: Rule,
    seen: Arc<Mutex<Vec<Seen>>>,
}

static RULES: Mutex<Vec<Ruled>> = Mutex::new(Vec::new());

/// What decides on the fate of calls.
pub(crate) trait Judge: Send {
    /// The fate of a call on a file.
    fn fate(&mut self, call: &'static str, path: &Path) -> Fate;

    /// Hears of an open file, or directory, that was made durable.
    fn synced(&mut self, _file: &File) {}
}

impl<R: FnMut(&'static str, &Path) -> Fate + Send> Judge for R {
    fn fate(&mut self, call: &'static str, path: &Path) -> Fate {
        self(call, path)
    }
}

/// A rule for the calls below a directory; it ends with this value.
pub(crate) struct Faults {
    root: PathBuf,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Faults {
    /// Lets `rule` decide the fate of each call on a file below `root`, or on `root` itself, in the order in which they
    /// are made.
    pub(crate) fn below(root: &Path, rule: impl FnMut(&'static str, &Path) -> Fate + Send + 'static) -> Self {
        Self::judged(root, rule)
    }

    /// As [`below`](Self::below), for one that hears of syncs too.
    pub(crate) fn judged(root: &Path, judge: impl Judge + 'static) -> Self {
        let seen = Arc::default();
        lock(&RULES).push(Ruled {
            root: root.to_owned(),
            rule: Arc::new(Mutex::new(judge)),
            seen: Arc::clone(&seen),
        });
        let root = root.to_owned();
        Self { root, seen }
    }

    /// The calls that there were until now, in the order in which they were decided on.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        lock(&self.seen).clone()
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        lock(&RULES).retain(|ruled| ruled.root != self.root);
    }
}

/// Makes a call, or lets it fail, as the rule for its file says; `failed` makes the error of it.
pub(crate) fn through<T, E>(
    call: &'static str,
    path: &Path,
    operation: impl FnOnce() -> Result<T, E>,
    failed: impl Fn(io::Error) -> E,
) -> Result<T, E> {
    let Some(ruled) = rule_for(path) else {
        return operation();
    };
    let (fate, place) = {
        let mut rule = lock(&ruled.rule);
        let fate = rule.fate(call, path);
        let mut seen = lock(&ruled.seen);
        seen.push(Seen {
            call,
            path: path.to_owned(),
            is_injected: matches!(fate, Fate::Fail(_)),
        });
        (fate, seen.len() - 1)
    };
    match fate {
        Fate::Pass => operation(),
        Fate::Fail(number) => Err(failed(io::Error::from_raw_os_error(number))),
        Fate::FailAfterwards(number) => {
            operation()?;
            lock(&ruled.seen)[place].is_injected = true;
            Err(failed(io::Error::from_raw_os_error(number)))
        }
    }
}

/// Says that an open file, or directory, was made durable.
pub(crate) fn synced(path: &Path, file: &File) {
    if let Some(ruled) = rule_for(path) {
        lock(&ruled.rule).synced(file);
    }
}

fn rule_for(path: &Path) -> Option<Ruled> {
    let rules = lock(&RULES);
    rules.iter().find(|ruled| path.starts_with(&ruled.root)).cloned()
}

/// A test that failed with the lock held has not spoiled what is behind it.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
