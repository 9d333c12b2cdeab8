//! Faults on purpose: unit tests decide what becomes of each call that goes through [`attempt`](crate::failure::attempt).
//!
//! It is compiled into the unit tests only. A rule holds for the calls on files below one directory, in all threads, so
//! that tests do not meet each other's faults.

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

type Rule = Arc<Mutex<dyn FnMut(&'static str, &Path) -> Fate + Send>>;

/// A rule for all calls below a directory, and those that there were.
#[derive(Clone)]
struct Ruled {
    root: PathBuf,
    rule: Rule,
    seen: Arc<Mutex<Vec<Seen>>>,
}

static RULES: Mutex<Vec<Ruled>> = Mutex::new(Vec::new());

/// A rule for the calls below a directory; it ends with this value.
pub(crate) struct Faults {
    root: PathBuf,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Faults {
    /// Lets `rule` decide the fate of each call on a file below `root`, or on `root` itself, in the order in which they
    /// are made.
    pub(crate) fn below(root: &Path, rule: impl FnMut(&'static str, &Path) -> Fate + Send + 'static) -> Self {
        let seen = Arc::default();
        lock(&RULES).push(Ruled {
            root: root.to_owned(),
            rule: Arc::new(Mutex::new(rule)),
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
    let rules = lock(&RULES);
    let ruled = rules.iter().find(|ruled| path.starts_with(&ruled.root)).cloned();
    drop(rules);
    let Some(ruled) = ruled else {
        return operation();
    };
    let (fate, place) = {
        let mut rule = lock(&ruled.rule);
        let fate = rule(call, path);
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

/// A test that failed with the lock held has not spoiled what is behind it.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
