//! The values of settings and flags, read from their text. An error says what would be right.

use std::ops::RangeInclusive;
use std::str::FromStr;

use keymill::{Level, MemoryRequest, Scheme};

/// A scheme by identifier or upstream name. The error says what would be right.
pub fn parse_scheme(text: &str) -> Result<&'static Scheme, String> {
    Scheme::by_id(text).map_err(|error| {
        let hint = error.nearest.map(|n| format!(", did you mean '{n}'?"));
        let hint = hint.unwrap_or_default();
        format!("expected a scheme; 'keymill schemes' lists them all{hint}")
    })
}

/// A number of epochs: 1000 or 2^20.
pub fn parse_count(text: &str) -> Result<u64, String> {
    let number = match text.strip_prefix("2^") {
        Some(exponent) => {
            let exponent = exponent.parse::<u32>().ok();
            exponent.and_then(|exponent| 1u64.checked_shl(exponent))
        }
        None => text.parse().ok(),
    };
    number.ok_or_else(|| "expected a number like 1000 or 2^20, below 2^64".to_owned())
}

/// A number of bytes: 67108864, 64M, 1.5G is not one; K, M, G and T are powers of 1024.
fn parse_size(text: &str) -> Result<u64, String> {
    const UNITS: [([char; 2], u32); 4] = [(['K', 'k'], 10), (['M', 'm'], 20), (['G', 'g'], 30), (['T', 't'], 40)];
    let trimmed = text.trim_end_matches("iB").trim_end_matches('B');
    let in_unit = |(letters, shift)| Some((trimmed.strip_suffix(letters)?, shift));
    let (digits, shift) = UNITS.into_iter().find_map(in_unit).unwrap_or((trimmed, 0));
    let number = digits.trim().parse::<u64>().ok();
    number
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| "expected a size like 67108864, 64M or 1G".to_owned())
}

/// A memory budget: auto, a size, or 0 for none.
pub fn parse_memory(text: &str) -> Result<MemoryRequest, String> {
    match text {
        "auto" => Ok(MemoryRequest::Auto),
        _ => match parse_size(text) {
            Ok(0) => Ok(MemoryRequest::NoLimit),
            Ok(bytes) => Ok(MemoryRequest::AtMost(bytes)),
            Err(wanted) => Err(format!("{wanted}, or auto")),
        },
    }
}

fn parse_number<T: FromStr + PartialOrd>(text: &str, range: RangeInclusive<T>, wanted: &str) -> Result<T, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("expected {wanted}"))
}

/// A number of threads.
pub fn parse_threads(text: &str) -> Result<usize, String> {
    parse_number(text, 0..=1024, "a number of threads from 0 to 1024")
}

pub(super) fn parse_group(text: &str) -> Result<usize, String> {
    if text == "auto" {
        return Ok(0);
    }
    parse_number(text, 1..=4096, "auto, or a number of batches from 1 to 4096")
}

/// A level of the tree. Which of them a key can be trimmed to, its scheme decides.
pub fn parse_level(text: &str) -> Result<Level, String> {
    parse_number(text, 0..=u8::MAX, "a level, a number from 0 to 10").map(Level)
}

/// How a job shows itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressStyle {
    Auto,
    Bar,
    Plain,
    Json,
    None,
}

/// What [`parse_progress`] reads.
pub const PROGRESS_STYLES: [(&str, ProgressStyle); 5] = [
    ("auto", ProgressStyle::Auto),
    ("bar", ProgressStyle::Bar),
    ("plain", ProgressStyle::Plain),
    ("json", ProgressStyle::Json),
    ("none", ProgressStyle::None),
];

/// A way to show progress.
pub fn parse_progress(text: &str) -> Result<ProgressStyle, String> {
    let style = PROGRESS_STYLES.into_iter().find(|(name, _)| *name == text);
    let names = || PROGRESS_STYLES.map(|(name, _)| name).join(", ");
    style
        .map(|(_, style)| style)
        .ok_or_else(|| format!("expected one of {}", names()))
}

pub(super) fn parse_log_level(text: &str) -> Result<tracing::Level, String> {
    text.parse()
        .map_err(|_| "expected one of error, warn, info, debug, trace".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_sizes_read_as_documented_and_never_overflow() {
        assert_eq!(parse_count("2^32"), Ok(1 << 32));
        assert_eq!(parse_count("1000"), Ok(1000));
        for wrong in ["", "2^64", "2^-1", "-1", "1e3", "2^"] {
            assert!(parse_count(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_size("64M"), Ok(64 << 20));
        assert_eq!(parse_size("64MiB"), Ok(64 << 20));
        assert_eq!(parse_memory("64M"), Ok(MemoryRequest::AtMost(64 << 20)));
        assert_eq!(parse_memory("0"), Ok(MemoryRequest::NoLimit));
        assert_eq!(parse_memory("auto"), Ok(MemoryRequest::Auto));
        for wrong in ["", "M", "99999999999T", "1.5G"] {
            assert!(parse_size(wrong).is_err() && parse_memory(wrong).is_err(), "{wrong}");
        }
    }
}
