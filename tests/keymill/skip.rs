//! Tests that this machine cannot run.

/// Set to `fail`, it makes a test that cannot run here a failed one (CONTRIBUTING.md).
pub const VARIABLE: &str = "KEYMILL_TEST_SKIPS";

/// Says why a test, or the rest of it, is not run here; it has to return then.
#[track_caller]
pub fn skip(reason: &str) {
    match std::env::var(VARIABLE).as_deref() {
        Ok("fail") => panic!("not tested: {reason}; {VARIABLE} is 'fail'"),
        _ => println!("not tested: {reason}"),
    }
}
