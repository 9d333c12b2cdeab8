//! The time of day, as it is recorded and as it is shown, and the time that a thread has had.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// The time of day in milliseconds since 1970; 0 if the clock stands before that. It is set by people and by other machines,
/// also backwards: nothing that is recorded of it is subtracted.
pub fn time_of_day_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let unix_ms = since.map_or(0, |since| since.as_millis() as u64);
    #[cfg(test)]
    let unix_ms = unix_ms.saturating_sub(SET_BACK_MS.load(std::sync::atomic::Ordering::Relaxed));
    unix_ms
}

/// By how much a test has set the clock back.
#[cfg(test)]
static SET_BACK_MS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// The time of day in milliseconds since 1970 as it was when this process first asked, and what has passed since by a clock
/// that nobody sets. Of two moments of one process, the difference is the time between them.
pub(crate) fn steady_unix_ms() -> u64 {
    static BEGUN: OnceLock<(u64, u64)> = OnceLock::new();
    let &(begun_unix_ms, begun_ms) = BEGUN.get_or_init(|| (time_of_day_ms(), since_boot_ms()));
    begun_unix_ms.saturating_add(since_boot_ms().saturating_sub(begun_ms))
}

/// Time during which the machine was suspended counts too (clock_gettime(2)).
fn since_boot_ms() -> u64 {
    let since = clock_gettime(ClockId::Boottime);
    since.tv_sec as u64 * 1000 + since.tv_nsec as u64 / 1_000_000
}

/// Processor time that the calling thread has had since it began.
pub(crate) fn thread_processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::from_secs(time.tv_sec as u64) + Duration::from_nanos(time.tv_nsec as u64)
}

/// Waits before another attempt at something that another process may be in the way of. In unit tests no other process is, and
/// whatever is waited for has happened when this is called.
pub(crate) fn pause(milliseconds: u64) {
    if cfg!(test) {
        std::thread::yield_now();
    } else {
        std::thread::sleep(Duration::from_millis(milliseconds));
    }
}

/// A moment in UTC as RFC 3339 writes it, to the second.
pub fn utc(unix_ms: u64) -> String {
    let seconds = unix_ms / 1000;
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of a day counted from 1970, in the Gregorian calendar.
fn civil(days: u64) -> (u64, u64, u64) {
    // After 400 years the calendar repeats itself.
    const DAYS_OF_400_YEARS: u64 = 146_097;
    let mut year = 1970 + 400 * (days / DAYS_OF_400_YEARS);
    let mut day = days % DAYS_OF_400_YEARS;
    while day >= 365 + leap_day(year) {
        day -= 365 + leap_day(year);
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + leap_day(year), 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    (year, month, day + 1)
}

/// 1 in a leap year, else 0.
fn leap_day(year: u64) -> u64 {
    u64::from(year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::{SET_BACK_MS, steady_unix_ms, utc};

    #[test]
    fn a_clock_that_is_set_back_makes_no_moment_earlier_than_one_before_it() {
        let before = steady_unix_ms();
        SET_BACK_MS.store(3_600_000, Ordering::Relaxed);
        let after = steady_unix_ms();
        SET_BACK_MS.store(0, Ordering::Relaxed);
        assert!((before..before + 60_000).contains(&after), "{before}, {after}");
    }

    #[test]
    fn known_moments_are_written_as_rfc_3339_has_them() {
        for (unix_ms, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (951_868_799_999, "2000-02-29T23:59:59Z"),
            (951_868_800_000, "2000-03-01T00:00:00Z"),
            (1_735_689_599_000, "2024-12-31T23:59:59Z"),
            (1_740_787_199_000, "2025-02-28T23:59:59Z"),
            (1_740_787_200_000, "2025-03-01T00:00:00Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59Z"),
        ] {
            assert_eq!(utc(unix_ms), expected);
        }
        assert!(utc(u64::MAX).ends_with('Z'));
    }
}
