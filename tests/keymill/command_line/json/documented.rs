//! What docs/JSON.md says of each command, and the comparison of an answer with it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Documented, and not brought about here.
const NOT_SHOWN: [(&str, &str); 1] = [
    // src/cli/report/tests.rs has it.
    ("report --json", "history_damage"),
];

/// What the objects of a command may hold: the types of each field, by its path.
pub(super) type Fields = BTreeMap<String, BTreeSet<String>>;

/// The tables of docs/JSON.md, by what is typed.
pub(super) fn documented() -> BTreeMap<String, Fields> {
    let text = include_str!("../../../../docs/JSON.md");
    let mut sections = BTreeMap::new();
    let mut names: Vec<String> = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            // Several commands can print the same.
            let commands = title.split(", ");
            let name = |command: &str| command.trim_matches('`').trim_start_matches("keymill ").to_owned();
            names = commands.map(name).collect();
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, field, types, _, _] = cells[..] else {
            continue;
        };
        if let Some(field) = field.strip_prefix('`') {
            for name in &names {
                let fields: &mut Fields = sections.entry(name.clone()).or_default();
                note(fields, field.trim_end_matches('`'), types);
            }
        }
    }
    // The tables that say how to read the others.
    sections.retain(|name, _| name != "JSON");
    sections
}

fn note(fields: &mut Fields, field: &str, types: &str) {
    for one in types.split(" or ") {
        let kinds = fields.entry(field.to_owned()).or_default();
        match one.strip_prefix("array of ") {
            Some(element) => {
                kinds.insert("array".to_owned());
                note(fields, &format!("{field}[]"), element.trim_end_matches('s'));
            }
            None => {
                kinds.insert(one.to_owned());
            }
        }
    }
    // What it stands in.
    let above = match field.strip_suffix("[]") {
        Some(array) => (array, "array"),
        None => match field.rsplit_once('.') {
            Some((object, _)) => (object, "object"),
            None => return,
        },
    };
    if !fields.contains_key(above.0) {
        note(fields, above.0, above.1);
    }
}

/// What was seen of the objects of a command, and what is wrong with them.
pub(super) struct Comparison<'a> {
    pub(super) name: &'a str,
    pub(super) fields: &'a Fields,
    pub(super) seen: BTreeSet<(String, String)>,
    pub(super) problems: BTreeSet<String>,
}

impl Comparison<'_> {
    /// Compares a value with what is documented.
    pub(super) fn look_at(&mut self, path: &str, value: &Value) {
        if !path.is_empty() {
            self.look_at_type(path, value);
        }
        let below = |key: &str| {
            if path.is_empty() {
                key.to_owned()
            } else {
                format!("{path}.{key}")
            }
        };
        match value {
            Value::Array(elements) => {
                for element in elements {
                    self.look_at(&format!("{path}[]"), element);
                }
            }
            Value::Object(object) => {
                let has_free_keys = self.fields.contains_key(&below("*"));
                for (key, value) in object {
                    self.look_at(&below(if has_free_keys { "*" } else { key }), value);
                }
                let own = self.fields.keys().filter_map(|field| match path {
                    "" => Some(field.as_str()),
                    _ => field.strip_prefix(path)?.strip_prefix('.'),
                });
                for key in own.filter(|key| !key.contains(['.', '[', '*']) && !object.contains_key(*key)) {
                    self.problems.insert(format!(
                        "docs/JSON.md has {}, and it does not always come out",
                        below(key)
                    ));
                }
            }
            _ => {}
        }
    }

    fn look_at_type(&mut self, path: &str, value: &Value) {
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_u64() => "integer",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let is_hex = |text: &str| text.len().is_multiple_of(2) && text.chars().all(|digit| digit.is_ascii_hexdigit());
        let Some(types) = self.fields.get(path) else {
            self.problems
                .insert(format!("{path} ({kind}) came out and is not in docs/JSON.md"));
            return;
        };
        let fits = |a_type: &&String| match a_type.as_str() {
            "hex" => value.as_str().is_some_and(is_hex),
            "number" => value.is_number(),
            other => other == kind,
        };
        match types.iter().find(fits) {
            Some(fitting) => {
                self.seen.insert((path.to_owned(), fitting.clone()));
            }
            None => {
                self.problems.insert(format!(
                    "{path} came out as {kind}, and docs/JSON.md says {types:?}: {value}"
                ));
            }
        }
    }

    /// Looks for what never came out.
    pub(super) fn look_for_all(&mut self) {
        for (field, types) in self.fields {
            for a_type in types.iter().filter(|a_type| *a_type != "null") {
                let is_seen = self.seen.contains(&(field.clone(), a_type.clone()));
                if !is_seen && !NOT_SHOWN.contains(&(self.name, field)) {
                    let problem = format!(
                        "{field} never came out as {a_type}; if it can, add a case to \
                         tests/keymill/command_line/json.rs, else mend docs/JSON.md"
                    );
                    self.problems.insert(problem);
                }
            }
        }
    }
}
