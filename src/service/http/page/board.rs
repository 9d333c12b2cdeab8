//! The figures of a page. Each is put into the page and noted under its id in one call, so that the page and the events that
//! bring it up to date cannot say different things.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::drawing::escaped;

/// What an element shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Value {
    Text(String),
    /// Of a bar: how much, and of how much.
    Bar([u64; 2]),
    Marked {
        class: &'static str,
        text: &'static str,
    },
    /// Of a line that is drawn.
    Line {
        d: String,
    },
}

/// Figures by the ids of their elements.
pub(super) type Values = BTreeMap<String, Value>;

/// What has been put into a page.
#[derive(Default)]
pub(super) struct Board {
    values: Values,
    fixed: crc32fast::Hasher,
}

impl Board {
    /// Text that stays as it is: where it is another one, the page has to be fetched again.
    pub(super) fn fixed(&mut self, text: &str) -> String {
        self.fixed.update(text.as_bytes());
        self.fixed.update(b"\n");
        escaped(text)
    }

    /// A text.
    pub(super) fn text(&mut self, id: &str, text: impl Into<String>) -> String {
        let text = text.into();
        let html = format!("<span id=\"{id}\">{}</span>", escaped(&text));
        self.note(id, Value::Text(text));
        html
    }

    /// A bar that stands for a part of something.
    pub(super) fn bar(&mut self, id: &str, label: &str, [part, all]: [u64; 2]) -> String {
        // A bar of nothing would be one that says that something is going on.
        let all = all.max(1);
        self.note(id, Value::Bar([part, all]));
        let label = escaped(label);
        format!("<progress id=\"{id}\" aria-label=\"{label}\" max=\"{all}\" value=\"{part}\"></progress>")
    }

    /// A word that is marked.
    pub(super) fn badge(&mut self, id: &str, class: &'static str, text: &'static str) -> String {
        self.note(id, Value::Marked { class, text });
        format!("<span id=\"{id}\" class=\"{class}\">{text}</span>")
    }

    /// A line of a drawing.
    pub(super) fn line(&mut self, id: &str, class: &str, d: String) -> String {
        let html = format!("<path id=\"{id}\" class=\"{class}\" d=\"{d}\"/>");
        self.note(id, Value::Line { d });
        html
    }

    fn note(&mut self, id: &str, value: Value) {
        self.values.insert(id.to_owned(), value);
    }

    /// What tells pages apart that have other elements, or other fixed texts, and all figures.
    pub(super) fn finish(mut self) -> (u32, Values) {
        for id in self.values.keys() {
            self.fixed.update(id.as_bytes());
            self.fixed.update(b" ");
        }
        (self.fixed.finalize(), self.values)
    }
}
