//! Parts that are hardly worth a task of their own.

use std::time::Duration;

use keymill::support::counted;

use super::messages::warn;
use super::output::human_duration;

/// Parts that take less are done in so little time that starting them takes longer.
const PART_TIME_ADVISED: Duration = Duration::from_secs(60);
/// Parts of fewer epochs take less on nearly every machine.
const PART_EPOCHS_ADVISED: u64 = 1 << 18;

/// Warns of parts that are small: by the time that the largest takes, or by its epochs where that is not known.
pub fn warn_of_small_parts(parts: u64, part_epochs_max: u64, part_time: Option<Duration>) {
    if parts > 1 && are_small(part_epochs_max, part_time) {
        let time = part_time.map_or_else(String::new, |time| format!(" (about {} here)", human_duration(time)));
        warn(format_args!(
            "parts of {}{time} are small: where they take less than a minute, starting them takes as long as making them",
            counted(part_epochs_max, "epoch")
        ));
    }
}

fn are_small(part_epochs_max: u64, part_time: Option<Duration>) -> bool {
    match part_time {
        Some(time) => time < PART_TIME_ADVISED,
        None => part_epochs_max < PART_EPOCHS_ADVISED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_small_by_their_time_and_by_their_epochs_only_where_that_is_not_known() {
        let minute = Duration::from_secs(60);
        assert!(are_small(1 << 30, Some(minute / 2)) && !are_small(1 << 10, Some(minute)));
        assert!(are_small(1 << 17, None) && !are_small(1 << 18, None));
    }
}
