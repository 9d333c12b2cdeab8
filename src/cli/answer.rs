//! What a command answers, described once: as lines for people, or as one JSON object.

use std::fmt;
use std::path::Path;

use keymill::Plan;
use keymill::plan::Level;
use serde::{Serialize, Serializer};

use super::failure::Failure;
use super::messages;
use super::output::{print_json, print_lines};

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
            .line("asked for", format!("{epochs} epochs from {first}"))
            .field("stored_start", stored.start)
            .field("stored_end", stored.end)
            .line(
                "stored",
                format!("{count} epochs, {stored} of a lifetime of 2^{lifetime}"),
            )
            .shown("trim", trim.0, trim_as_text(trim))
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

    /// What is not always there.
    pub fn or_null(value: Option<impl Into<Self>>) -> Self {
        value.map_or(Self::Plain(serde_json::Value::Null), Into::into)
    }

    fn text(&self) -> Option<String> {
        match self {
            Self::Plain(serde_json::Value::String(text)) => Some(text.clone()),
            Self::Plain(value) if !value.is_null() => Some(value.to_string()),
            _ => None,
        }
    }
}

impl<T: Into<serde_json::Value>> From<T> for Value<'_> {
    fn from(value: T) -> Self {
        Self::Plain(value.into())
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

/// The name of a file or directory.
pub fn name(path: impl AsRef<Path>) -> String {
    path.as_ref().display().to_string()
}

/// The names of files or directories.
pub fn names(paths: &[impl AsRef<Path>]) -> Vec<String> {
    paths.iter().map(name).collect()
}

/// Rows of cells in columns as wide as their widest cell; numbers, from column `first_number` on, end below each other.
pub fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]], first_number: usize) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let padded = |row: &[String; COLUMNS]| {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
            if column < first_number {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(padded).collect()
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
            .field("epochs", 3)
            .shown("disk_bytes", 2048, "2 KiB".to_owned())
            .field(
                "left",
                Value::each(left.iter().map(|file| Answer::default().field("file", *file))),
            )
            .field("store", Value::or_null(None::<Answer<'_>>))
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
        let lines = table(
            &[
                row(["id", "kind", "bytes"]),
                row(["x", "longer", "7"]),
                row(["", "", ""]),
            ],
            2,
        );
        assert_eq!(lines, ["id  kind    bytes", "x   longer      7", ""]);
    }
}
