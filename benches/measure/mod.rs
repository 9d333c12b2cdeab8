//! What benches share: a clock, medians, and how the permutations alone are counted.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Microseconds of processor time that `work` takes in this thread: others on the machine do not count.
pub fn processor_us<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let started = thread_time();
    let result = work();
    ((thread_time() - started).as_secs_f64() * 1e6, result)
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The value in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The schemes of the command line, or else those that the project quotes.
pub fn asked_schemes() -> Vec<&'static keymill::Scheme> {
    let asked: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let quoted = [
        "leansig-p1-l32-abort-v46-w8",
        "leansig-p2-l32-top-v64-w8",
        "hashsig-p2-l18-wots-v22-w256",
    ];
    let names = if asked.is_empty() {
        quoted.map(str::to_owned).to_vec()
    } else {
        asked
    };
    let known = |name: String| keymill::Scheme::by_id(&name).unwrap_or_else(|error| panic!("{error}"));
    names.into_iter().map(known).collect()
}
