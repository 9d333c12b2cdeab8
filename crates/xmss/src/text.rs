//! Names and texts from outside, as an error quotes them.

use std::fmt::{self, Display, Write};

/// The candidate most like `asked`, if any is like it at all.
pub fn nearest<'a>(asked: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Nothing that is much longer than a name is like one, and to compare it would take long.
    let asked: String = asked.chars().take(FOREIGN_CHARS_MAX).collect();
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&asked, candidate), candidate))
        .filter(|(similarity, _)| *similarity > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// As much of a text from outside as an error shows.
const FOREIGN_CHARS_MAX: usize = 80;

/// Text from outside within an error or a warning: its beginning, and how long it is if that is not all. What it does to a
/// terminal is the matter of the one place that prints (`visible`).
#[derive(Clone, Copy, Debug)]
pub struct Foreign<T>(pub T);

impl<T: Display> Display for Foreign<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cut = Cut {
            to: f,
            chars_left: FOREIGN_CHARS_MAX,
            bytes: 0,
        };
        write!(cut, "{}", self.0)?;
        match cut {
            Cut { chars_left: 1.., .. } => Ok(()),
            // What fits exactly has nothing behind it.
            Cut { bytes, to, .. } if bytes > 0 => write!(to, "... ({bytes} bytes more)"),
            _ => Ok(()),
        }
    }
}

/// Lets the first characters through, and counts the bytes of the others.
struct Cut<'a, 'b> {
    to: &'a mut fmt::Formatter<'b>,
    chars_left: usize,
    bytes: usize,
}

impl Write for Cut<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = text.char_indices().nth(self.chars_left);
        let (shown, rest) = text.split_at(end.map_or(text.len(), |(at, _)| at));
        self.chars_left -= shown.chars().count();
        self.bytes += rest.len();
        self.to.write_str(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_foreign_text_the_beginning_is_shown_and_how_much_follows() {
        let shown = |text: &str| Foreign(text).to_string();
        assert_eq!(shown(""), "");
        assert_eq!(shown(&"\u{e9}".repeat(80)), "\u{e9}".repeat(80));
        assert_eq!(
            shown(&"\u{e9}".repeat(90)),
            format!("{}... (20 bytes more)", "\u{e9}".repeat(80))
        );
        // However it is written.
        let pieces = format_args!("{}{}", "a".repeat(79), "bcd").to_string();
        assert_eq!(shown(&pieces), format!("{}b... (2 bytes more)", "a".repeat(79)));
        assert_eq!(Foreign(std::path::Path::new("a/b").display()).to_string(), "a/b");
    }
}
