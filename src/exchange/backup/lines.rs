//! The lines of a backup: a number, a name, a value, and a check.

use sha3::{Digest, Sha3_256};
use zeroize::{Zeroize, Zeroizing};

/// Bytes of hex that stand in a line.
pub(super) const LINE_BYTES: usize = 16;
/// Characters between two blanks.
pub(super) const GROUP_CHARACTERS: usize = 4;
/// Hex digits of the check of a line.
pub(super) const CHECK_DIGITS: usize = 8;
/// Bytes of the checksum of all lines.
pub(super) const WHOLE_BYTES: usize = 8;
const WHOLE_DOMAIN: &[u8] = b"keymill/1 backup";
/// Far more than the longest text has, so that no copy of a secret is left behind by growing: it has 66 fillers.
const TEXT_BYTES: usize = 32 << 10;
const NAME_COLUMNS: usize = 12;
const VALUE_COLUMNS: usize = 40;

/// What a line is checked with: CRC-32 of number, name and value, with a blank between them.
pub(super) fn check(number: usize, name: &str, value: &str) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in [&number.to_string(), " ", name, " ", value] {
        hasher.update(part.as_bytes());
    }
    hasher.finalize()
}

/// The checksum of all lines before the last.
pub(super) struct Whole(Sha3_256);

impl Whole {
    pub(super) fn new() -> Self {
        Self(Sha3_256::new_with_prefix(WHOLE_DOMAIN))
    }

    pub(super) fn add(&mut self, number: usize, name: &str, value: &str) {
        for part in [&number.to_string(), " ", name, " ", value, "\n"] {
            self.0.update(part.as_bytes());
        }
    }

    pub(super) fn finish(self) -> [u8; WHOLE_BYTES] {
        let digest = self.0.finalize();
        std::array::from_fn(|i| digest[i])
    }
}

/// The text that is being written.
pub(super) struct Writer {
    text: Zeroizing<String>,
    number: usize,
    whole: Whole,
}

impl Writer {
    pub(super) fn new(description: &str) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(TEXT_BYTES));
        text.push_str(description);
        Self {
            text,
            number: 0,
            whole: Whole::new(),
        }
    }

    /// Lines of up to 16 bytes in hex; none for no bytes.
    pub(super) fn hex(&mut self, name: &str, bytes: &[u8]) {
        for part in bytes.chunks(LINE_BYTES) {
            let mut digits = [0; 2 * LINE_BYTES];
            let digits = &mut digits[..2 * part.len()];
            // It has room for them.
            let _ = hex::encode_to_slice(part, digits);
            self.numbered(name, std::str::from_utf8(digits).unwrap_or_default(), GROUP_CHARACTERS);
            digits.zeroize();
        }
    }

    pub(super) fn line(&mut self, name: &str, value: &str) {
        self.numbered(name, value, usize::MAX);
    }

    fn numbered(&mut self, name: &str, value: &str, group: usize) {
        self.number += 1;
        self.whole.add(self.number, name, value);
        self.text
            .push_str(&format!("{:>3}  {name:<NAME_COLUMNS$}", self.number));
        let begun = self.text.len();
        push_groups(&mut self.text, value, group);
        let columns = self.text.len() - begun;
        self.text
            .extend(std::iter::repeat_n(' ', VALUE_COLUMNS.saturating_sub(columns)));
        self.text.push_str("= ");
        let check = format!("{:08x}", check(self.number, name, value));
        push_groups(&mut self.text, &check, GROUP_CHARACTERS);
        self.text.push('\n');
    }

    /// The text, with its last line.
    pub(super) fn end(mut self) -> Zeroizing<String> {
        let whole = std::mem::replace(&mut self.whole, Whole::new()).finish();
        self.hex("end", &whole);
        self.text
    }
}

fn push_groups(text: &mut String, value: &str, group: usize) {
    for (place, character) in value.chars().enumerate() {
        if place > 0 && place % group == 0 {
            text.push(' ');
        }
        text.push(character);
    }
}
