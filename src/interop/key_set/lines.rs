//! The lines of a manifest, one field each.

use std::io::BufRead;

use crate::text::Foreign;
use keymill_xmss::scheme::Scheme;

/// Longer than any line of a manifest. What is longer is read no further.
const LINE_BYTES_MAX: u64 = 1024;

/// A manifest is not in the form that hash-sig-cli and ethlambda give it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    /// A line is wrong.
    #[error("line {number}: {what}")]
    Line {
        /// Counted from 1.
        number: u64,
        /// What is wrong.
        what: String,
    },
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
}

/// The lines that say something, with their numbers.
pub(super) struct Lines<R> {
    from: R,
    /// Of the line that was read last, also if it was only looked at.
    pub(super) number: u64,
    next: Option<String>,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(from: R) -> Self {
        Self {
            from,
            number: 0,
            next: None,
        }
    }

    pub(super) fn wrong(&self, what: String) -> ManifestError {
        let number = self.number;
        ManifestError::Line { number, what }
    }

    /// The next line that says something, without its end; none at the end of the text.
    pub(super) fn peek(&mut self) -> Result<Option<&str>, ManifestError> {
        while self.next.is_none() {
            let mut line = Vec::new();
            let read = std::io::Read::take(&mut self.from, LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            let line = line
                .strip_suffix(b"\n")
                .and_then(|line| String::from_utf8(line.to_vec()).ok());
            let line = line.ok_or_else(|| self.wrong("it is too long, not text, or its end is missing".to_owned()))?;
            if !line.is_empty() && !line.starts_with('#') {
                self.next = Some(line);
            }
        }
        Ok(self.next.as_deref())
    }

    /// Whether the next line begins so.
    pub(super) fn next_begins(&mut self, beginning: &str) -> Result<bool, ManifestError> {
        Ok(self.peek()?.is_some_and(|line| line.starts_with(beginning)))
    }

    fn take(&mut self, expected: &str) -> Result<String, ManifestError> {
        self.peek()?;
        match self.next.take() {
            Some(line) => Ok(line),
            None => Err(self.wrong(format!("the text ends where '{expected}' has to stand"))),
        }
    }

    pub(super) fn heading(&mut self, heading: &str) -> Result<(), ManifestError> {
        let line = self.take(heading)?;
        if line == heading {
            Ok(())
        } else {
            Err(self.wrong(format!("'{}' stands where '{heading}' has to", Foreign(&line))))
        }
    }

    /// The value of a field that has to come next.
    pub(super) fn field(&mut self, bullet: &str, name: &str) -> Result<String, ManifestError> {
        let expected = format!("{bullet}{name}: ");
        let line = self.take(&expected)?;
        match line.strip_prefix(&expected) {
            Some(value) => Ok(value.to_owned()),
            None => Err(self.wrong(format!("'{}' stands where '{expected}' has to", Foreign(&line)))),
        }
    }

    /// A field that has one possible value.
    pub(super) fn field_with(&mut self, name: &str, expected: &str) -> Result<(), ManifestError> {
        let found = self.field("", name)?;
        self.value(name, &found, expected)
    }

    /// Refuses a value of the field that was read last, unless it is the expected one.
    pub(super) fn value(&self, name: &str, found: &str, expected: &str) -> Result<(), ManifestError> {
        if found == expected {
            return Ok(());
        }
        Err(self.wrong(format!("{name} is '{}', it has to be '{expected}'", Foreign(found))))
    }

    pub(super) fn public_key(&self, text: &str, scheme: &Scheme) -> Result<Vec<u8>, ManifestError> {
        let digits = text
            .strip_prefix("0x")
            .filter(|digits| !digits.bytes().any(|byte| byte.is_ascii_uppercase()));
        let bytes = digits.and_then(|digits| hex::decode(digits).ok());
        bytes
            .filter(|bytes| bytes.len() == scheme.public_key_bytes())
            .ok_or_else(|| {
                let digits = 2 * scheme.public_key_bytes();
                self.wrong(format!(
                    "'{}' is not 0x and {digits} hex digits in lower case",
                    Foreign(text)
                ))
            })
    }
}
