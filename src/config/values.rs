//! The values of settings and flags, read from their text. An error says what would be right.

use keymill::Scheme;
use keymill::plan::{Level, MemoryRequest};

use super::ProgressStyle;

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
    number.ok_or_else(|| "expected a number like 1000 or 2^20".to_owned())
}

/// A number of bytes: 67108864, 64M, 1.5G is not one; K, M, G and T are powers of 1024.
fn parse_size(text: &str) -> Result<u64, String> {
    let trimmed = text.trim_end_matches("iB").trim_end_matches('B');
    let (digits, shift) = match trimmed.chars().last() {
        Some('K' | 'k') => (&trimmed[..trimmed.len() - 1], 10),
        Some('M' | 'm') => (&trimmed[..trimmed.len() - 1], 20),
        Some('G' | 'g') => (&trimmed[..trimmed.len() - 1], 30),
        Some('T' | 't') => (&trimmed[..trimmed.len() - 1], 40),
        _ => (trimmed, 0),
    };
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

/// A number of threads.
pub fn parse_threads(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|&threads| threads <= 1024);
    number.ok_or_else(|| "expected a number of threads from 0 to 1024".to_owned())
}

pub(super) fn parse_group(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|n| (1..=4096).contains(n));
    number.ok_or_else(|| "expected a number of batches from 1 to 4096".to_owned())
}

/// A level of the tree. Which of them a key can be trimmed to, its scheme decides.
pub fn parse_level(text: &str) -> Result<Level, String> {
    let number = text.parse().ok().map(Level);
    number.ok_or_else(|| "expected a level, a number from 0 to 10".to_owned())
}

/// What [`parse_progress`] reads.
pub const PROGRESS_STYLES: [&str; 5] = ["auto", "bar", "plain", "json", "none"];

/// A way to show progress.
pub fn parse_progress(text: &str) -> Result<ProgressStyle, String> {
    match text {
        "auto" => Ok(ProgressStyle::Auto),
        "bar" => Ok(ProgressStyle::Bar),
        "plain" => Ok(ProgressStyle::Plain),
        "json" => Ok(ProgressStyle::Json),
        "none" => Ok(ProgressStyle::None),
        _ => Err(format!("expected one of {}", PROGRESS_STYLES.join(", "))),
    }
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
