//! Small helpers for text that people type or read, and for text of others that people are shown.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::ops::Range;

pub use keymill_xmss::text::{Foreign, nearest};

/// Runs that are named one by one; more would not be read.
const RUNS_MAX: usize = 20;

/// A text without the byte-order mark that some editors put before it (U+FEFF in UTF-8).
pub fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The same of bytes that are perhaps no text.
pub fn bytes_without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// What is wrong with a text that is not TOML, or other TOML than it has to be: the line, and no more of the text than an error
/// shows.
pub fn toml_fault(error: &toml::de::Error, text: &str) -> String {
    let what = Foreign(error.message());
    match error.span() {
        Some(span) => {
            let before = text.get(..span.start).unwrap_or(text);
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            format!("line {line}, column {column}: {what}")
        }
        None => what.to_string(),
    }
}

/// The same of JSON.
pub fn json_fault(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let what = Foreign(text.strip_suffix(&place).unwrap_or(&text));
    match error.line() {
        0 => what.to_string(),
        line => format!("line {line}, column {}: {what}", error.column()),
    }
}

/// Whether a character is not seen but obeyed: by a terminal (C0, DEL, C1), or by whatever lays the line out (directions,
/// ends of lines, joints and tags that have no width).
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// So many of something, whose name is given for one of it: "1 epoch", "2 batches".
pub fn counted(count: u64, noun: &str) -> String {
    let several = match noun.strip_suffix('y') {
        _ if count == 1 => noun.to_owned(),
        Some(stem) if !stem.ends_with(['a', 'e', 'o']) => format!("{stem}ies"),
        _ if noun.ends_with("tch") => format!("{noun}es"),
        _ => format!("{noun}s"),
    };
    format!("{count} {several}")
}

/// Text with its hidden characters as escapes, so that it can be shown whatever wrote it: one line, in the order in which it
/// stands there.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_hidden(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown.into()
}

/// The same within the text of a JSON value, where only strings can have such characters.
pub fn visible_json(text: &str) -> Cow<'_, str> {
    let is_left = |character: char| is_hidden(character) && character != '\n';
    if !text.contains(is_left) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_left(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(character);
        }
    }
    shown.into()
}

/// A text as long as a message may be at most: of a longer one, beginning and end.
pub fn bounded(text: &str, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return text.into();
    }
    let tail = bytes_max / 4;
    // Room for what is said in between.
    let head = bytes_max - tail - 64;
    let head = text.floor_char_boundary(head);
    let tail = text.ceil_char_boundary(text.len() - tail);
    format!(
        "{} [... {} bytes are left out ...] {}",
        &text[..head],
        tail - head,
        &text[tail..]
    )
    .into()
}

/// Numbers in ascending order, for people: "3 to 17, 40", and how many more there are behind the first runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    named: Vec<Range<u64>>,
    more: u64,
}

impl Runs {
    /// Adds numbers, none of which is below those before.
    pub fn add(&mut self, run: Range<u64>) {
        let is_full = self.named.len() == RUNS_MAX;
        match self.named.last_mut() {
            Some(last) if self.more == 0 && run.start <= last.end => last.end = last.end.max(run.end),
            _ if is_full => self.more += run.end - run.start,
            _ => self.named.push(run),
        }
    }
}

impl FromIterator<u64> for Runs {
    fn from_iter<I: IntoIterator<Item = u64>>(numbers: I) -> Self {
        numbers.into_iter().map(|number| number..number + 1).collect()
    }
}

impl FromIterator<Range<u64>> for Runs {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(numbers: I) -> Self {
        let mut runs = Self::default();
        numbers.into_iter().for_each(|run| runs.add(run));
        runs
    }
}

impl fmt::Display for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, run) in self.named.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            match run.end - run.start {
                1 => write!(f, "{}", run.start)?,
                _ => write!(f, "{} to {}", run.start, run.end - 1)?,
            }
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left_in_what_is_shown() {
        for number in 0..=0x10_ffff {
            let Some(character) = char::from_u32(number) else {
                continue;
            };
            let text = format!("a{character}z");
            let shown = visible(&text);
            assert!(!shown.contains(is_hidden), "{number:x}");
            assert_eq!(shown == text, !is_hidden(character), "{number:x}");
            // Once is enough: what is shown is shown as it is.
            assert_eq!(visible(&shown), shown, "{number:x}");
        }
        let obeyed = [
            0x00, 0x07, 0x0a, 0x1b, 0x7f, 0x80, 0x9b, 0x9f, 0x202a, 0x202e, 0x2066, 0x2069, 0xfeff,
        ];
        assert!(obeyed.into_iter().filter_map(char::from_u32).all(is_hidden));
        assert!(!"ordinary text, 'quoted'; \u{e9}\u{4e2d}\u{1f511}".contains(is_hidden));
    }

    #[test]
    fn what_json_says_is_the_same_when_it_is_visible() {
        let value: String = (0..0x11_0000)
            .filter_map(char::from_u32)
            .filter(|&c| is_hidden(c))
            .collect();
        let text = serde_json::json!({ &value: [&value] }).to_string();
        let shown = visible_json(&text);
        assert!(!shown.contains(is_hidden));
        let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(read, serde_json::json!({ &value: [&value] }));
    }

    #[test]
    fn one_of_a_thing_is_called_by_the_name_of_one() {
        for (noun, several) in [
            ("epoch", "epochs"),
            ("batch", "batches"),
            ("entry", "entries"),
            ("key", "keys"),
            ("damaged place", "damaged places"),
        ] {
            let several = several.to_owned();
            assert_eq!(counted(1, noun), format!("1 {noun}"));
            assert_eq!(counted(0, noun), format!("0 {several}"));
            assert_eq!(counted(12, noun), format!("12 {several}"));
        }
    }

    #[test]
    fn a_text_that_is_too_long_keeps_its_beginning_and_its_end() {
        for length in [0, 100, 2000] {
            let text = "x".repeat(length);
            assert_eq!(bounded(&text, 2000), text);
        }
        for unit in ["x", "\u{e9}", "\u{1f511}"] {
            let text = format!("first{}last", unit.repeat(1 << 20));
            let shown = bounded(&text, 2000);
            assert!(shown.len() <= 2000, "{}", shown.len());
            assert!(shown.starts_with("first") && shown.ends_with("last") && shown.contains("left out"));
        }
    }

    #[test]
    fn numbers_are_named_as_runs_and_those_behind_the_first_runs_are_counted() {
        let text = |numbers: &[u64]| numbers.iter().copied().collect::<Runs>().to_string();
        assert_eq!(text(&[]), "");
        assert_eq!(text(&[7]), "7");
        assert_eq!(text(&[3, 4, 5, 9, 11, 12]), "3 to 5, 9, 11 to 12");
        let every_second = (0..2_000_000).step_by(2).collect::<Runs>().to_string();
        assert!(every_second.starts_with("0, 2, 4, "), "{every_second}");
        assert!(every_second.ends_with(", 38 and 999980 more"), "{every_second}");
        let joined: Runs = [0..4, 2..6, 6..7, 9..10].into_iter().collect();
        assert_eq!(joined.to_string(), "0 to 6, 9");
    }
}
