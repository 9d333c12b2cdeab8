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

type Rule = Arc<Mutex<dyn FnMut(&'static str, &Path) -> Fate + Send>>;

static RULES: Mutex<Vec<(PathBuf, Rule)>> = Mutex::new(Vec::new());

/// A rule for the calls below a directory; it ends with this value.
pub(crate) struct Faults {
    root: PathBuf,
}

impl Faults {
    /// Lets `rule` decide the fate of each call on a file below `root`, or on `root` itself, in the order in which they
    /// are made.
    pub(crate) fn below(root: &Path, rule: impl FnMut(&'static str, &Path) -> Fate + Send + 'static) -> Self {
        lock(&RULES).push((root.to_owned(), Arc::new(Mutex::new(rule))));
        Self { root: root.to_owned() }
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        lock(&RULES).retain(|(root, _)| *root != self.root);
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
    let rule = rules.iter().find(|(root, _)| path.starts_with(root));
    let rule = rule.map(|(_, rule)| Arc::clone(rule));
    drop(rules);
    let fate = rule.map_or(Fate::Pass, |rule| (lock(&rule))(call, path));
    match fate {
        Fate::Pass => operation(),
        Fate::Fail(number) => Err(failed(io::Error::from_raw_os_error(number))),
        Fate::FailAfterwards(number) => {
            operation()?;
            Err(failed(io::Error::from_raw_os_error(number)))
        }
    }
}

/// A test that failed with the lock held has not spoiled what is behind it.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
