//! For tests that measure their whole process: one in which no other test runs.

use std::process::Command;

const ALONE: &str = "KEYMILL_TEST_ALONE";

/// Runs `test`, by its full name, again in a process of its own, and fails as it does. Gives whether this is that process, in
/// which it has to be done.
#[track_caller]
pub(crate) fn is_alone(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let alone = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ALONE, "yes")
        .output()
        .unwrap();
    let output = [alone.stdout, alone.stderr]
        .map(|text| String::from_utf8_lossy(&text).into_owned())
        .concat();
    assert!(alone.status.success() && output.contains("1 passed"), "{output}");
    false
}
