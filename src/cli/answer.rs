//! What a command answers, described once: as lines for people, or as one JSON object.

use std::fmt;
use std::path::PathBuf;

use keymill::plan::{BatchIndex, KeyId};
use keymill::support::counted;
use keymill::{Epoch, Level, Plan};
use serde::{Serialize, Serializer};

use super::failure::Failure;
use super::messages;
use super::output::{hex_digits, print_json, print_lines};

/// Facts in the order in which they are told. Nested in another answer, only its fields count.
#[derive(Default)]
pub struct Answer<'a> {
    fields: Vec<(&'static str, Value<'a>)>,
    lines: Vec<String>,
}

/// The value of a field.
pub enum Value<'a> {
    Plain(serde_json::Value),
    Object(Answer<'a>),
    /// What there can be much of, made one by one while it is written.
    Each(Box<dyn Fn() -> Items<'a> + 'a>),
}

type Items<'a> = Box<dyn Iterator<Item = Value<'a>> + 'a>;

impl<'a> Answer<'a> {
    /// A fact that both have. Its label is its name; a null has no line.
    pub fn fact(self, name: &'static str, value: impl Into<Value<'a>>) -> Self {
        let value = value.into();
        let text = value.text();
        self.shown(name, value, text)
    }

    /// A fact that people are told in other words.
    pub fn shown(self, name: &'static str, value: impl Into<Value<'a>>, text: impl Into<Option<String>>) -> Self {
        self.field(name, value).line(&name.replace('_', " "), text)
    }

    /// A fact for programs.
    pub fn field(mut self, name: &'static str, value: impl Into<Value<'a>>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// All that another one has.
    pub fn and(mut self, other: Self) -> Self {
        self.fields.extend(other.fields);
        self.text(other.lines)
    }

    /// A line for people, if there is something to say.
    pub fn line(self, label: &str, text: impl Into<Option<String>>) -> Self {
        let line = text.into().map(|text| format!("{label:<15} {text}"));
        self.text(line)
    }

    /// A line for people who want to know more than what they came for.
    pub fn detail(self, label: &str, text: String) -> Self {
        self.line(label, messages::is_verbose().then_some(text))
    }

    /// Lines for people as they are.
    pub fn text(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.lines.extend(lines);
        self
    }

    /// What a key is, or would be.
    pub fn key(self, plan: &Plan) -> Self {
        let (scheme, stored, trim) = (plan.scheme(), plan.stored(), plan.trim());
        let (first, epochs) = (plan.activation_epoch(), plan.active_epochs());
        let (count, lifetime) = (stored.count(), scheme.log_lifetime());
        self.fact("scheme", scheme.id())
            .field("activation_epoch", first)
            .field("active_epochs", epochs)
            .line("asked for", format!("{} from {first}", counted(epochs, "epoch")))
            .field("stored_start", stored.start)
            .field("stored_end", stored.end)
            .line(
                "stored",
                format!("{}, {stored} of a lifetime of 2^{lifetime}", counted(count, "epoch")),
            )
            .shown("trim", trim, trim_as_text(trim))
    }

    /// Prints it in one form or the other.
    pub fn print(&self, as_json: bool) -> Result<(), Failure> {
        if as_json {
            print_json(self)
        } else {
            print_lines(&self.lines)
        }
    }
}

impl Serialize for Answer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.fields.iter().map(|(name, value)| (name, value)))
    }
}

impl fmt::Display for Answer<'_> {
    /// As JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl<'a> Value<'a> {
    /// A list.
    pub fn each<I>(items: I) -> Self
    where
        I: Iterator<Item: Into<Self>> + Clone + 'a,
    {
        Self::Each(Box::new(move || Box::new(items.clone().map(Into::into))))
    }

    fn text(&self) -> Option<String> {
        match self {
            Self::Plain(serde_json::Value::String(text)) => Some(text.clone()),
            Self::Plain(value) if !value.is_null() => Some(value.to_string()),
            _ => None,
        }
    }
}

/// What each type is in JSON.
macro_rules! plain {
    ($($type:ty: |$value:pat_param| $json:expr),* $(,)?) => {$(
        impl From<$type> for Value<'_> {
            fn from($value: $type) -> Self {
                Self::Plain($json.into())
            }
        }
    )*};
}

plain!(
    bool: |value| value,
    u8: |value| value,
    u16: |value| value,
    u32: |value| value,
    u64: |value| value,
    usize: |value| value,
    f64: |value| value,
    &str: |value| value,
    String: |value| value,
    serde_json::Value: |value| value,
    PathBuf: |path| path.display().to_string(),
    [u8; 32]: |digest| hex_digits(digest),
    KeyId: |id| id.to_string(),
    Level: |Level(level)| level,
    BatchIndex: |BatchIndex(batch)| batch,
    Epoch: |Epoch(epoch)| epoch
);

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Plain(serde_json::Value::Null), Into::into)
    }
}

impl<'a, T: Into<Value<'a>> + Clone + 'a> From<Vec<T>> for Value<'a> {
    fn from(values: Vec<T>) -> Self {
        Self::each(values.into_iter())
    }
}

impl<'a> From<Answer<'a>> for Value<'a> {
    fn from(answer: Answer<'a>) -> Self {
        Self::Object(answer)
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(value) => value.serialize(serializer),
            Self::Object(answer) => answer.serialize(serializer),
            Self::Each(items) => serializer.collect_seq(items()),
        }
    }
}

/// An answer of some parts of a record, each under its own name.
macro_rules! fields {
    ($record:expr; $($name:ident $(($($none:tt)*))?),* $(,)?) => {
        $crate::cli::answer::Answer::default()
            $(.field(stringify!($name), Clone::clone(&$record.$name $(($($none)*))?)))*
    };
}
pub(super) use fields;

/// Rows of cells in columns as wide as their widest cell; numbers, from column `first_number` on, end below each other.
pub fn table<const COLUMNS: usize>(
    header: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
    first_number: usize,
) -> Vec<String> {
    let mut all = vec![header.map(str::to_owned)];
    all.extend(rows);
    let width = |column: usize| all.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let padded = |row: &[String; COLUMNS]| {
        let cells = row.iter().zip(widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| {
            if column < first_number {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all.iter().map(padded).collect()
}

/// A trim for people: what it leaves out, and what that costs.
fn trim_as_text(trim: Level) -> String {
    match trim.0 {
        0 => "0, every level is stored".to_owned(),
        1 => "1, level 0 is not stored; a path computes 2 leaves".to_owned(),
        level => format!(
            "{level}, levels 0 to {} are not stored; a path computes {} leaves",
            level - 1,
            1 << level
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_every_fact_and_the_text_those_that_are_for_people() {
        let left = ["a", "b"];
        let answer = Answer::default()
            .fact("state", "done")
            .fact("key_id", None::<String>)
            .field("epochs", 3_u64)
            .shown("disk_bytes", 2048_u64, "2 KiB".to_owned())
            .field(
                "left",
                Value::each(left.iter().map(|file| Answer::default().field("file", *file))),
            )
            .field("store", None::<Answer<'_>>)
            .text(["all is well".to_owned()]);
        assert_eq!(
            answer.to_string(),
            r#"{"state":"done","key_id":null,"epochs":3,"disk_bytes":2048,"left":[{"file":"a"},{"file":"b"}],"store":null}"#
        );
        assert_eq!(
            answer.lines,
            ["state           done", "disk bytes      2 KiB", "all is well"]
        );
    }

    #[test]
    fn a_table_has_its_columns_below_each_other() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        let lines = table(["id", "kind", "bytes"], [row(["x", "longer", "7"]), row([""; 3])], 2);
        assert_eq!(lines, ["id  kind    bytes", "x   longer      7", ""]);
    }
}
