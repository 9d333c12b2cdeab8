//! Numbers, times and states in the words of a page.

use keymill::audit::{BatchState, Run, RunCommand, RunEnd};
use keymill::text::is_hidden;

/// Text as HTML has it, in elements and in quoted attributes.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if is_hidden(c) => escaped.push(char::REPLACEMENT_CHARACTER),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A whole number with its thousands apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number and what it counts.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// Bytes in the unit that suits them, with three digits at least.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let unit = (bytes.max(1).ilog2() / 10) as usize;
    let value = bytes as f64 / (1_u64 << (10 * unit)) as f64;
    let decimals = match value {
        _ if unit == 0 || value >= 100.0 || value.fract() == 0.0 => 0,
        _ if value >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.decimals$} {}", UNITS[unit])
}

/// A length of time in its two largest units.
pub fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if ms < 10_000 => format!("{:.1} s", ms as f64 / 1000.0),
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {:02} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes:02} min"),
        _ => format!("{} d {hours:02} h", grouped(days)),
    }
}

/// Epochs a second.
pub fn rate(per_second: f64) -> String {
    match per_second {
        rate if rate < 10.0 && rate.fract() != 0.0 => format!("{rate:.1}"),
        rate => grouped(rate.round() as u64),
    }
}

/// A moment, to the second, as people write it.
pub fn moment(unix_ms: u64) -> String {
    keymill::time::utc(unix_ms).replace('T', " ").replace('Z', " UTC")
}

/// What was run.
pub fn command(run: &Run) -> &'static str {
    match run.command {
        RunCommand::Keygen => "keygen",
        RunCommand::Repair => "repair",
    }
}

/// How a run ended; `is_running` if it has not.
pub fn end(run: &Run, is_running: bool) -> &'static str {
    match run.end {
        Some(RunEnd::Finished) => "finished",
        Some(RunEnd::Interrupted) => "stopped by a signal",
        Some(RunEnd::OutOfBudget) => "stopped at its memory budget",
        Some(RunEnd::Failed) => "failed",
        None if is_running => "running",
        None => "killed",
    }
}

/// A state of batches, and its short name in the style sheet and in JSON.
pub fn state(state: BatchState) -> (&'static str, &'static str) {
    match state {
        BatchState::Done => ("done", "done"),
        BatchState::Redone => ("redone after a crash", "redone"),
        BatchState::Repaired => ("damaged, and made anew", "repaired"),
        BatchState::NotDone => ("not done", "not_done"),
        BatchState::InProgress => ("in progress", "in_progress"),
        BatchState::Damaged => ("damaged", "damaged"),
    }
}
