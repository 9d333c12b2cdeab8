//! What is wrong with a backup's text, without a digit of it.

use std::fmt;

/// A text is not a backup, or not as it was printed.
#[derive(Debug)]
pub(super) struct TextFault {
    /// The row of the text, from 1; none if the text ends too early.
    pub(super) row: Option<usize>,
    /// The number that the line has in a backup.
    pub(super) number: usize,
    /// What the line is called, or could be.
    pub(super) name: String,
    pub(super) fault: LineFault,
}

impl fmt::Display for TextFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(row) = self.row {
            write!(f, "row {row}, ")?;
        }
        let LineFault { what, slip } = &self.fault;
        write!(f, "line {} ({}): {what}{slip}", self.number, self.name)
    }
}

/// What is wrong with a line.
#[derive(Debug)]
pub(super) struct LineFault {
    pub(super) what: String,
    pub(super) slip: Slip,
}

impl<T: Into<String>> From<T> for LineFault {
    fn from(what: T) -> Self {
        let (what, slip) = (what.into(), Slip::Unknown);
        Self { what, slip }
    }
}

impl LineFault {
    /// A character that hex does not have; which one, from 1, blanks not counted.
    pub(super) fn not_hex(place: usize, found: char) -> Self {
        // What letters are taken for digits by those who type.
        let hint = match found {
            'o' => "; it is the letter o, perhaps a 0",
            'l' | 'i' => "; it is a letter, perhaps a 1",
            's' => "; it is the letter s, perhaps a 5",
            _ => "",
        };
        format!("character {place} of its digits is not a hex digit{hint}").into()
    }

    /// Characters are missing, or too many.
    pub(super) fn length(found: usize, expected: usize, slip: Slip) -> Self {
        let amount = if found < expected {
            format!("{} too few", expected - found)
        } else {
            format!("{} too many", found - expected)
        };
        let what = format!("it has {found} digits, its check among them, and should have {expected}: {amount}");
        Self { what, slip }
    }

    /// It does not fit its check.
    pub(super) fn check(slip: Slip) -> Self {
        let what = "it does not fit its check, the 8 digits at its end".to_owned();
        Self { what, slip }
    }
}

/// What a fault seems to come from: in which of the groups of four of the value, from 1. It says where and not which digits,
/// since those are secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slip {
    /// One character is another one.
    Changed { group: usize },
    /// Two neighbours are swapped, of which the first one is in this group.
    Swapped { group: usize },
    /// One character is left out.
    LeftOut { group: usize },
    /// One character is too many.
    TooMany { group: usize },
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
