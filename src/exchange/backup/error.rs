//! What is wrong with a backup's text, without a digit of it.

use std::fmt;

use crate::text::Foreign;

/// A text is not a backup, or not as it was printed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}line {number} ({name}): {fault}", Row(*.row))]
pub struct BackupTextError {
    /// The row of the text, from 1; none if the text ends too early.
    pub row: Option<usize>,
    /// The number that the line has in a backup.
    pub number: usize,
    /// What the line is called, or could be.
    pub name: String,
    /// What is wrong with it.
    pub fault: LineFault,
}

struct Row(Option<usize>);

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(row) => write!(f, "row {row}, "),
            None => Ok(()),
        }
    }
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// The text ends before it.
    #[error("it is missing; the text ends before it")]
    Missing,
    /// Another one stands here.
    #[error("line {} stands in its place; lines are missing, doubled, or in another order", Foreign(.found))]
    OtherNumber {
        /// The number that was found.
        found: String,
    },
    /// It is called something else.
    #[error("it does not have that name, or another line's text stands behind its number")]
    OtherName,
    /// A character that hex does not have.
    #[error("character {place} of its digits is no hex digit{}", hint(*.found))]
    NotHex {
        /// Which one, from 1, blanks not counted.
        place: usize,
        /// What stands there.
        found: char,
    },
    /// Characters are missing, or too many.
    #[error("it has {found} digits, its check among them, and should have {expected}: {}{slip}", amount(*.found, *.expected))]
    Length {
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
        /// What it seems to come from.
        slip: Slip,
    },
    /// It does not fit its check.
    #[error("it does not fit its check, the 8 digits at its end{slip}")]
    Check {
        /// What it seems to come from.
        slip: Slip,
    },
    /// It fits its check and cannot be right.
    #[error("{0}")]
    Value(String),
}

/// What a fault seems to come from. It says where and not which digits, since those are secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slip {
    /// One character of the value is another one.
    Changed {
        /// Which of its groups of four, from 1.
        group: usize,
    },
    /// Two neighbours of the value are swapped.
    Swapped {
        /// Which of its groups of four the first of them is in, from 1.
        group: usize,
    },
    /// One character of the value is left out.
    LeftOut {
        /// Which of its groups of four, from 1.
        group: usize,
    },
    /// One character of the value is too many.
    TooMany {
        /// Which of its groups of four, from 1.
        group: usize,
    },
    /// The value may be right, and the check be wrong by one digit.
    InCheck,
    /// Nothing that simple.
    Unknown,
}

impl fmt::Display for Slip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { group } => write!(f, "; look at group {group}: one character seems to be wrong"),
            Self::Swapped { group } => write!(f, "; look at group {group}: two neighbours seem to be swapped"),
            Self::LeftOut { group } => write!(f, "; look at group {group}: a character seems to be left out"),
            Self::TooMany { group } => write!(f, "; look at group {group}: a character seems to be too many"),
            Self::InCheck => write!(f, "; one digit of the check itself seems to be wrong"),
            Self::Unknown => Ok(()),
        }
    }
}

fn amount(found: usize, expected: usize) -> String {
    match found < expected {
        true => format!("{} too few", expected - found),
        false => format!("{} too many", found - expected),
    }
}

/// What letters are taken for digits by those who type.
fn hint(found: char) -> &'static str {
    match found {
        'o' => "; it is the letter o, perhaps a 0",
        'l' | 'i' => "; it is a letter, perhaps a 1",
        's' => "; it is the letter s, perhaps a 5",
        _ => "",
    }
}
