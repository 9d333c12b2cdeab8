//! What pages have in common: their style, and words and figures as people read them.

use std::time::Duration;

use indicatif::{BinaryBytes, HumanCount};

use crate::text::visible;

/// The style of every page: light and dark, narrow and wide.
pub const STYLE: &str = include_str!("style.css");

/// Text as HTML has it, in elements and in quoted attributes.
pub fn escaped(text: &str) -> String {
    let text = visible(text).replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// A number of bytes for people.
pub fn human_bytes(bytes: u64) -> String {
    BinaryBytes(bytes).to_string()
}

/// A length of time for people, in its two largest units.
pub fn human_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if seconds < 10 && duration.subsec_millis() > 0 => format!("{:.1} s", duration.as_secs_f64()),
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {:02} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes:02} min"),
        _ => format!("{} d {hours:02} h", HumanCount(days)),
    }
}

/// A moment in UTC for people.
pub fn moment(unix_ms: u64) -> String {
    crate::time::utc(unix_ms).replace('T', " ").replace('Z', " UTC")
}

/// A part of the whole. What is neither nothing nor all never looks like it.
pub fn share(part: u64, all: u64) -> String {
    let percent = 100.0 * part as f64 / all.max(1) as f64;
    match percent {
        _ if part == 0 || part == all => format!("{percent:.0}%"),
        percent if percent < 0.1 => "under 0.1%".to_owned(),
        percent if percent > 99.9 => "over 99.9%".to_owned(),
        percent => format!("{percent:.1}%"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_told_in_its_two_largest_units() {
        let told = [0, 1500, 10_000, 61_000, 3_660_000, 90_000_000].map(|ms| human_duration(Duration::from_millis(ms)));
        assert_eq!(told, ["0 s", "1.5 s", "10 s", "1 min 01 s", "1 h 01 min", "1 d 01 h"]);
    }

    #[test]
    fn a_part_that_is_neither_nothing_nor_all_never_looks_like_it() {
        assert_eq!(
            [(0, 9), (9, 9), (1, 9), (1, 4_194_304), (4_194_303, 4_194_304)].map(|(part, all)| share(part, all)),
            ["0%", "100%", "11.1%", "under 0.1%", "over 99.9%"]
        );
    }
}
