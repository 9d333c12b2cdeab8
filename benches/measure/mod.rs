//! A clock on which others do not count, and medians.

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
