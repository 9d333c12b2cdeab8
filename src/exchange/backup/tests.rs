//! The text of a backup, as people type it.

use super::error::Slip;
use super::read::backup;
use super::{Backup, key_id_of};
use crate::keydir::{Origin, Secret};
use crate::plan::Plan;
use crate::units::Level;
use keymill_xmss::scheme::Parameter;
use keymill_xmss::scheme::Scheme;

struct Case {
    scheme: &'static str,
    interval: (u64, u64),
    trim: u8,
    origin: Origin,
    with_fillers: bool,
    is_finished: bool,
}

const LONG: &str = "leansig-p2-l18-top-v64-w8";
const TINY: &str = "leansig-p1-l8-abort-v4-w8";

const CASES: [Case; 5] = [
    Case {
        scheme: LONG,
        interval: (5000, 1000),
        trim: 0,
        origin: Origin::Fresh,
        with_fillers: false,
        is_finished: true,
    },
    Case {
        scheme: TINY,
        interval: (0, 256),
        trim: 3,
        origin: Origin::Seed,
        with_fillers: false,
        is_finished: true,
    },
    Case {
        scheme: TINY,
        interval: (100, 20),
        trim: 0,
        origin: Origin::Seed,
        with_fillers: false,
        is_finished: false,
    },
    Case {
        scheme: LONG,
        interval: (0, 2048),
        trim: 10,
        origin: Origin::PrfKey,
        with_fillers: false,
        is_finished: true,
    },
    Case {
        scheme: TINY,
        interval: (100, 20),
        trim: 0,
        origin: Origin::PrfKey,
        with_fillers: true,
        is_finished: false,
    },
];

/// Bytes that are canonical elements and differ from each other.
fn elements(bytes: usize) -> Vec<u8> {
    (0..bytes)
        .map(|i| if i % 4 == 3 { 0x10 } else { 0x31 ^ (i * 7) as u8 })
        .collect()
}

impl Case {
    fn backup(&self) -> Backup {
        let scheme = Scheme::by_id(self.scheme).unwrap();
        let plan = Plan::new(scheme, self.interval.0, self.interval.1).unwrap();
        let plan = plan.trimmed(Level(self.trim)).unwrap();
        let bytes = std::array::from_fn(|i| 0xa7 ^ (i * 5) as u8);
        let (secret, parameter) = match self.origin {
            Origin::PrfKey => (Secret::PrfKey(bytes), Some(Parameter::of(&elements(20)))),
            _ => (Secret::Seed(bytes), None),
        };
        let fillers = self
            .with_fillers
            .then(|| elements(plan.filler_count() * scheme.digest_bytes()));
        Backup {
            key_id: key_id_of(&plan, self.origin, &secret, parameter, fillers.as_deref()),
            public_key: self.is_finished.then(|| elements(scheme.digest_bytes() + 20)),
            origin: self.origin,
            plan,
            secret,
            parameter,
            fillers,
        }
    }
}

fn texts() -> Vec<String> {
    CASES.iter().map(|case| case.backup().to_text().to_string()).collect()
}

#[track_caller]
fn is_same(changed: &str, text: &str, case: &str) {
    let read = Backup::parse(changed).unwrap_or_else(|error| panic!("{case}: {error}\n{changed}"));
    assert_eq!(*read.to_text(), text, "{case}");
}

/// The number of the line that a row is, if it is one.
fn number_of(row: &str) -> Option<usize> {
    row.split_whitespace().next()?.parse().ok()
}

#[test]
fn a_text_says_what_the_key_was_made_from() {
    for case in CASES {
        let backup = case.backup();
        let read = Backup::parse(&backup.to_text()).unwrap();
        assert_eq!(read.plan(), backup.plan());
        assert_eq!(read.origin(), backup.origin());
        assert!(read.secret().is_same_as(backup.secret()));
        assert_eq!(
            (read.parameter(), read.fillers()),
            (backup.parameter(), backup.fillers())
        );
        assert_eq!(
            (read.key_id(), read.public_key()),
            (backup.key_id(), backup.public_key())
        );
    }
}

#[test]
fn no_row_is_too_wide_for_paper() {
    for text in texts() {
        assert!(text.lines().all(|row| row.chars().count() <= 88), "{text}");
    }
}

#[test]
fn blanks_capitals_prefixes_and_line_ends_do_not_matter() {
    for text in texts() {
        let only_lines: String = text
            .lines()
            .filter(|row| number_of(row).is_some())
            .map(|row| format!("{row}\n"))
            .collect();
        let prefixed: String = only_lines
            .lines()
            .map(|row| {
                if row.contains("scheme") || row.contains("origin") {
                    format!("{row}\n")
                } else {
                    format!("{}\n", row.replace("  ", " ").replace(" = ", " = 0x"))
                }
            })
            .collect();
        for (changed, case) in [
            (text.to_uppercase(), "capitals"),
            (text.replace('\n', "\r\n"), "CR LF"),
            (text.replace('\n', "\r"), "CR"),
            (text.replace('\n', "\u{2028}"), "line separators"),
            (text.replace('\n', "\n\n\n"), "empty rows"),
            (text.replace(' ', "\u{a0}"), "blanks that do not break"),
            (text.replace(' ', " \t \u{200b}"), "more blanks"),
            (text.replace([' ', '='], ""), "no blanks"),
            (text.replace("  ", " : "), "colons"),
            (text.replace('-', "\u{2011}"), "hyphens that do not break"),
            (format!("\u{feff}{text}"), "a byte order mark"),
            (text.trim_end().to_owned(), "no end of the last row"),
            (format!("{text}\n\nkept in the safe\n"), "words behind it"),
            (only_lines, "no words before it"),
            (prefixed, "0x"),
        ] {
            is_same(&changed, &text, case);
        }
    }
}

#[test]
fn each_character_that_is_changed_is_harmless_or_names_its_line() {
    for text in texts() {
        let rows: Vec<&str> = text.split_inclusive('\n').collect();
        let mut at = 0;
        for (index, row) in rows.iter().enumerate() {
            let number = number_of(row);
            for (place, character) in row.char_indices() {
                for other in ['0', '7', 'a', 'o', 'z', '-', ' ', '\n', '\u{e9}', ':'] {
                    if other == character {
                        continue;
                    }
                    let place = at + place;
                    let mut changed = text.clone();
                    changed.replace_range(place..=place, other.encode_utf8(&mut [0; 4]));
                    let case = format!("character {place} of row {}: {other:?}", index + 1);
                    match backup(&changed) {
                        Ok(read) => assert_eq!(*read.to_text(), text, "{case}"),
                        Err(error) => {
                            // Behind the end of a row there is the next one. Words may become a line.
                            let next = rows.get(index + 1).and_then(|row| number_of(row));
                            let named = [number, next]
                                .into_iter()
                                .flatten()
                                .any(|number| number == error.number);
                            assert!(named || error.row == Some(index + 1), "{case}: {error}");
                        }
                    }
                }
            }
            at += row.len();
        }
    }
}

#[test]
fn lines_that_are_left_out_doubled_or_swapped_are_named() {
    for text in texts() {
        let rows: Vec<&str> = text.lines().collect();
        let refused = |rows: &[&str], number: usize, case: &str| {
            let error = backup(&rows.join("\n")).err();
            let error = error.unwrap_or_else(|| panic!("{case} is taken"));
            let is_last = number == rows.iter().filter_map(|row| number_of(row)).max().unwrap() + 1;
            let expected = if is_last { number - 1 } else { number };
            assert!(error.number == number || error.number == expected, "{case}: {error}");
        };
        for (index, row) in rows.iter().enumerate() {
            let Some(number) = number_of(row) else {
                continue;
            };
            let mut without = rows.clone();
            without.remove(index);
            refused(&without, number, &format!("no line {number}"));
            let mut doubled = rows.clone();
            doubled.insert(index, row);
            refused(&doubled, number + 1, &format!("two lines {number}"));
            for other in index + 1..rows.len() {
                let mut swapped = rows.clone();
                swapped.swap(index, other);
                refused(
                    &swapped,
                    number,
                    &format!("line {number} and row {} swapped", other + 1),
                );
            }
        }
    }
}

#[test]
fn a_text_that_is_cut_is_refused() {
    for text in texts() {
        let whole = text.trim_end().len();
        for length in 0..whole {
            assert!(Backup::parse(&text[..length]).is_err(), "{length} bytes of it");
        }
    }
}

#[test]
fn a_slip_of_the_fingers_is_placed_without_a_word_of_the_secret() {
    let text = &texts()[0];
    let row = text.lines().find(|row| row.contains("seed")).unwrap();
    let digits = row.split_once("seed").unwrap().1.split_once('=').unwrap().0.trim();
    let number = number_of(row).unwrap();
    let third = digits.split(' ').nth(2).unwrap();
    let typed = |group: String| row.replacen(third, &group, 1);
    let (a, b, c, d) = (&third[..1], &third[1..2], &third[2..3], &third[3..]);
    assert!(b != c && c != "0", "the secret of this test does not serve it");
    let slip_of = |row: &str, changed: String| {
        let error = backup(&text.replace(row, &changed)).unwrap_err();
        assert_eq!(error.number, number);
        let said = error.to_string();
        let shown = digits.split(' ').any(|group| said.contains(group));
        assert!(!shown, "{said}");
        error.fault.slip
    };
    assert_eq!(slip_of(row, typed(format!("{a}{b}0{d}"))), Slip::Changed { group: 3 });
    assert_eq!(slip_of(row, typed(format!("{a}{c}{b}{d}"))), Slip::Swapped { group: 3 });
    assert_eq!(slip_of(row, typed(format!("{a}{b}{d}"))), Slip::LeftOut { group: 3 });
    assert_eq!(
        slip_of(row, typed(format!("{a}{b}{c}{d}0"))),
        Slip::TooMany { group: 4 }
    );
    let check = row.split_once("= ").unwrap().1;
    let last = if check.ends_with('0') { '1' } else { '0' };
    assert_eq!(slip_of(row, format!("{}{last}", &row[..row.len() - 1])), Slip::InCheck);
    let letter = Backup::parse(&text.replace(row, &typed(format!("{a}{b}o{d}")))).unwrap_err();
    let said = letter.to_string();
    assert!(
        said.contains("character 11 of its digits") && said.contains("the letter o"),
        "{said}"
    );
    let short = Backup::parse(&text.replace(row, &typed(a.to_owned()))).unwrap_err();
    assert!(short.to_string().contains("3 too few"), "{short}");
}

/// The line of a backup with this name.
fn line<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines()
        .find(|row| row.contains(name) && number_of(row).is_some())
        .unwrap()
}

#[test]
fn a_line_of_another_backup_is_refused_although_it_fits_its_own_check() {
    let text = &texts()[0];
    let other = Case { trim: 5, ..CASES[0] }.backup().to_text();
    let mixed = text.replace(line(text, "trim"), line(&other, "trim"));
    let error = backup(&mixed).unwrap_err();
    assert!(
        error.name == "end" && error.to_string().contains("checksum of all lines"),
        "{error}"
    );
    let other = Case {
        interval: (5000, 1001),
        ..CASES[0]
    }
    .backup()
    .to_text();
    let mixed = text.replace(line(text, "epochs"), line(&other, "epochs"));
    let error = backup(&mixed).unwrap_err();
    assert!(
        error.name == "key-id" && error.to_string().contains("does not follow"),
        "{error}"
    );
}

/// The form must never change: what is on paper stays there.
#[test]
fn the_text_is_this_one() {
    let text = CASES[0].backup().to_text();
    let lines: Vec<&str> = text.lines().filter(|row| number_of(row).is_some()).collect();
    assert_eq!(
        lines.join("\n"),
        include_str!("../../../tests/fuzz/corpus/backup_text/fresh").trim_end()
    );
}
