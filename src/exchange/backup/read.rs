//! Reading a backup that a person has typed in: forgiving of everything but characters.

use zeroize::Zeroizing;

use super::error::{LineFault, Slip, TextFault};
use super::lines::{CHECK_DIGITS, GROUP_CHARACTERS, LINE_BYTES, WHOLE_BYTES, Whole, check};
use super::{Backup, VERSION, key_id_of, secret_name};
use crate::keydir::{Origin, Secret};
use crate::plan::Plan;
use crate::units::Level;

use keymill_xmss::scheme::{Parameter, Scheme};

/// A name that a line can have, and how many hex digits are its value; none if it is not hex.
type Form = (&'static str, Option<usize>);

pub(super) fn backup(text: &str) -> Result<Backup, TextFault> {
    let mut reader = Reader::new(text);
    reader.parsed("version", |value| {
        if value == VERSION {
            Ok(())
        } else {
            Err(format!(
                "text of version {value:.20} is not known here, only of version {VERSION}"
            ))
        }
    })?;
    let scheme = reader.parsed("scheme", |value| {
        Scheme::by_id(value).map_err(|error| error.to_string())
    })?;
    let activation_epoch = reader.parsed("activation", number)?;
    let epochs = reader.parsed("epochs", number)?;
    let plan = Plan::new(scheme, activation_epoch, epochs).map_err(|error| reader.wrong(&error))?;
    let trim = reader.parsed("trim", |value| value.parse().map(Level).map_err(|_| not_a_number()))?;
    let plan = plan.trimmed(trim).map_err(|error| reader.wrong(&error))?;
    let origin = reader.parsed("origin", origin_of)?;
    let bytes = reader.hex(secret_name(origin), 2 * LINE_BYTES)?;
    let mut secret = Zeroizing::new([0; 2 * LINE_BYTES]);
    secret.copy_from_slice(&bytes);
    let (secret, parameter) = match origin {
        Origin::Fresh | Origin::Seed => (Secret::Seed(*secret), None),
        Origin::PrfKey => (Secret::PrfKey(*secret), Some(reader.parameter(scheme)?)),
    };
    let fillers = match origin {
        Origin::PrfKey => reader.fillers(&plan)?,
        Origin::Fresh | Origin::Seed => None,
    };
    let key_id = key_id_of(&plan, origin, &secret, parameter, fillers.as_deref());
    if *reader.hex("key-id", LINE_BYTES)? != key_id.0 {
        return Err(reader.wrong(&"it does not follow from the lines before it"));
    }
    let public_key = reader.public_key(&plan)?;
    reader.end()?;
    Ok(Backup {
        plan,
        origin,
        secret,
        parameter,
        fillers,
        key_id,
        public_key,
    })
}

fn number(value: &str) -> Result<u64, String> {
    value.parse().map_err(|_| not_a_number())
}

fn not_a_number() -> String {
    "it is not a number that fits".to_owned()
}

fn origin_of(value: &str) -> Result<Origin, String> {
    let origins = [Origin::Fresh, Origin::Seed, Origin::PrfKey];
    let found = origins.into_iter().find(|origin| origin.to_string() == value);
    found.ok_or_else(|| "a secret is fresh, seed or prf-key".to_owned())
}

/// The numbered lines, one after the other.
struct Reader<'a> {
    rest: Option<&'a str>,
    row: usize,
    number: usize,
    name: &'static str,
    /// A line that was looked at and not taken yet.
    ahead: Option<Zeroizing<String>>,
    whole: Whole,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            rest: Some(text),
            row: 0,
            number: 0,
            name: "version",
            ahead: None,
            whole: Whole::new(),
        }
    }

    /// The next row that begins with a digit, without everything that does not count.
    fn row(&mut self) -> Option<Zeroizing<String>> {
        if let Some(row) = self.ahead.take() {
            return Some(row);
        }
        while let Some(rest) = self.rest {
            let (row, after) = split_row(rest);
            self.rest = after;
            self.row += 1;
            let row = without_blanks(row);
            if row.starts_with(|first: char| first.is_ascii_digit()) {
                return Some(row);
            }
        }
        None
    }

    /// The value of the next line, which is of one of these forms, and its name.
    fn next(&mut self, forms: &[Form]) -> Result<(&'static str, Zeroizing<String>), TextFault> {
        self.number += 1;
        self.name = forms.first().map_or("end", |(name, _)| name);
        let names = || forms.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" or ");
        let Some(row) = self.row() else {
            return Err(TextFault {
                row: None,
                number: self.number,
                name: names(),
                fault: "it is missing; the text ends before it".into(),
            });
        };
        let refuse = |fault| TextFault {
            row: Some(self.row),
            number: self.number,
            name: names(),
            fault,
        };
        let letters = row
            .find(|character: char| !character.is_ascii_digit())
            .unwrap_or(row.len());
        let (found, rest) = row.split_at(letters);
        if found.trim_start_matches('0') != self.number.to_string() {
            // Digits of the line may stand there when its name does not.
            let found = if found.len() > 3 { "?" } else { found };
            let what = format!("line {found} stands in its place; lines are missing, doubled, or in another order");
            return Err(refuse(what.into()));
        }
        let form = forms
            .iter()
            .find_map(|&(name, digits)| Some((name, digits, rest.strip_prefix(name)?)));
        let Some((name, digits, rest)) = form else {
            let what = "it does not have that name, or another line's text stands behind its number";
            return Err(refuse(what.into()));
        };
        self.name = name;
        let value = checked(self.number, name, digits, rest).map_err(|fault| self.refuse(fault))?;
        self.whole.add(self.number, name, &value);
        Ok((name, value))
    }

    fn refuse(&self, fault: LineFault) -> TextFault {
        TextFault {
            row: Some(self.row),
            number: self.number,
            name: self.name.to_owned(),
            fault,
        }
    }

    /// The line that was read last cannot be right.
    fn wrong(&self, what: &dyn std::fmt::Display) -> TextFault {
        self.refuse(what.to_string().into())
    }

    fn parsed<T>(&mut self, name: &'static str, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, TextFault> {
        let (_, value) = self.next(&[(name, None)])?;
        parse(&value).map_err(|what| self.wrong(&what))
    }

    /// So many bytes, over as many lines as they take.
    fn hex(&mut self, name: &'static str, bytes: usize) -> Result<Zeroizing<Vec<u8>>, TextFault> {
        let mut read = Zeroizing::new(Vec::with_capacity(bytes));
        while read.len() < bytes {
            let (_, value) = self.next(&[(name, Some(digits_left(bytes, read.len())))])?;
            let begin = read.len();
            read.resize(begin + value.len() / 2, 0);
            // They are known to be hex, and to fit.
            let _ = hex::decode_to_slice(&*value, &mut read[begin..]);
        }
        Ok(read)
    }

    fn values(&mut self, scheme: &Scheme, name: &'static str, bytes: usize) -> Result<Zeroizing<Vec<u8>>, TextFault> {
        let read = self.hex(name, bytes)?;
        scheme.check_canonical(&read).map_err(|error| self.wrong(&error))?;
        Ok(read)
    }

    fn parameter(&mut self, scheme: &Scheme) -> Result<Parameter, TextFault> {
        let read = self.values(scheme, "parameter", scheme.parameter_bytes())?;
        Ok(Parameter::of(&read))
    }

    /// Whether the next line that there is has this name.
    fn is_next(&mut self, name: &str) -> bool {
        self.ahead = self.row();
        let row = self
            .ahead
            .as_deref()
            .map(|row| row.trim_start_matches(|first: char| first.is_ascii_digit()));
        row.is_some_and(|row| row.starts_with(name))
    }

    fn fillers(&mut self, plan: &Plan) -> Result<Option<Vec<u8>>, TextFault> {
        if !self.is_next("fillers") {
            return Ok(None);
        }
        let bytes = plan.filler_count() * plan.scheme().digest_bytes();
        Ok(Some(self.values(plan.scheme(), "fillers", bytes)?.to_vec()))
    }

    fn public_key(&mut self, plan: &Plan) -> Result<Option<Vec<u8>>, TextFault> {
        if self.is_next("end") {
            return Ok(None);
        }
        let bytes = plan.scheme().public_key_bytes();
        Ok(Some(self.values(plan.scheme(), "public-key", bytes)?.to_vec()))
    }

    /// The last line, behind which there is no other.
    fn end(&mut self) -> Result<(), TextFault> {
        let whole = std::mem::replace(&mut self.whole, Whole::new()).finish();
        if *self.hex("end", WHOLE_BYTES)? != whole {
            return Err(self.wrong(&"the checksum of all lines does not fit, although each of them fits its own check"));
        }
        match self.row() {
            None => Ok(()),
            Some(_) => Err(self.wrong(&"there is another numbered line behind the last one")),
        }
    }
}

fn digits_left(bytes: usize, read: usize) -> usize {
    2 * LINE_BYTES.min(bytes - read)
}

/// The first row of a text, whatever ends it, and what follows; none behind the last one.
fn split_row(text: &str) -> (&str, Option<&str>) {
    const ENDS: [char; 7] = ['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];
    let Some((row, after)) = text.split_once(ENDS) else {
        return (text, None);
    };
    let is_pair = text[row.len()..].starts_with("\r\n");
    (row, Some(if is_pair { &after[1..] } else { after }))
}

/// A row in lower case, without what people and programs put in or leave out, and with the hyphens that they make of one.
fn without_blanks(row: &str) -> Zeroizing<String> {
    // Nothing becomes longer, so that no copy is left behind by growing.
    let mut kept = Zeroizing::new(String::with_capacity(row.len()));
    for character in row.chars() {
        match character.to_ascii_lowercase() {
            ':' | '=' | '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' => {}
            blank if blank.is_whitespace() || blank.is_control() => {}
            '\u{2010}'..='\u{2015}' | '\u{2212}' => kept.push('-'),
            'x' if kept.ends_with('0') => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    kept
}

/// The value of a line that fits its check, from value and check.
fn checked(
    number: usize,
    name: &'static str,
    digits: Option<usize>,
    rest: &str,
) -> Result<Zeroizing<String>, LineFault> {
    let is_right = |value: &str, claimed: &str| {
        u32::from_str_radix(claimed, 16).is_ok_and(|claimed| claimed == check(number, name, value))
    };
    if let Some(digits) = digits {
        let wrong = rest
            .chars()
            .enumerate()
            .find(|(_, character)| !character.is_ascii_hexdigit());
        if let Some((place, found)) = wrong {
            return Err(LineFault::not_hex(place + 1, found));
        }
        let expected = digits + CHECK_DIGITS;
        if rest.len() != expected {
            let slip = slip_of_length(rest, expected, &is_right);
            return Err(LineFault::length(rest.len(), expected, slip));
        }
    }
    let split = rest
        .len()
        .checked_sub(CHECK_DIGITS)
        .and_then(|at| rest.split_at_checked(at));
    let (value, claimed) = split.ok_or_else(|| LineFault::check(Slip::Unknown))?;
    // A sign before it would pass for a number too.
    if claimed.bytes().all(|digit| digit.is_ascii_hexdigit()) && is_right(value, claimed) {
        return Ok(Zeroizing::new(value.to_owned()));
    }
    let right = format!("{:08x}", check(number, name, value));
    let slip = match right
        .bytes()
        .zip(claimed.bytes())
        .filter(|(right, claimed)| right != claimed)
        .count()
    {
        1 => Slip::InCheck,
        _ if digits.is_some() => slip_of_value(value, claimed, &is_right),
        _ => Slip::Unknown,
    };
    Err(LineFault::check(slip))
}

type IsRight<'a> = dyn Fn(&str, &str) -> bool + 'a;

const DIGITS: &str = "0123456789abcdef";

/// Looks for the one digit, or the two neighbours, that would make a value fit its check. CRC-32 leaves hardly a chance
/// that anything else does.
fn slip_of_value(value: &str, claimed: &str, is_right: &IsRight<'_>) -> Slip {
    let mut tried = Zeroizing::new(String::with_capacity(value.len()));
    for place in 0..value.len() {
        let group = place / GROUP_CHARACTERS + 1;
        for digit in DIGITS.chars() {
            spell(
                &mut tried,
                &[&value[..place], digit.encode_utf8(&mut [0]), &value[place + 1..]],
            );
            if is_right(&tried, claimed) {
                return Slip::Changed { group };
            }
        }
        if let (Some(first), Some(second)) = (value.get(place..place + 1), value.get(place + 1..place + 2)) {
            spell(&mut tried, &[&value[..place], second, first, &value[place + 2..]]);
            if is_right(&tried, claimed) {
                return Slip::Swapped { group };
            }
        }
    }
    Slip::Unknown
}

/// Looks for the one digit that is left out, or too many.
fn slip_of_length(rest: &str, expected: usize, is_right: &IsRight<'_>) -> Slip {
    let Some((value, claimed)) = rest.len().checked_sub(CHECK_DIGITS).map(|at| rest.split_at(at)) else {
        return Slip::Unknown;
    };
    let mut tried = Zeroizing::new(String::with_capacity(value.len() + 1));
    for place in 0..=value.len() {
        let group = place / GROUP_CHARACTERS + 1;
        if rest.len() + 1 == expected {
            for digit in DIGITS.chars() {
                spell(
                    &mut tried,
                    &[&value[..place], digit.encode_utf8(&mut [0]), &value[place..]],
                );
                if is_right(&tried, claimed) {
                    return Slip::LeftOut { group };
                }
            }
        }
        if rest.len() == expected + 1 && place < value.len() {
            spell(&mut tried, &[&value[..place], &value[place + 1..]]);
            if is_right(&tried, claimed) {
                return Slip::TooMany { group };
            }
        }
    }
    Slip::Unknown
}

fn spell(text: &mut String, parts: &[&str]) {
    text.clear();
    parts.iter().for_each(|part| text.push_str(part));
}
