//! Figures in the text format that Prometheus and node_exporter's textfile collector read, version 0.0.4. The service writes
//! OpenMetrics, which that collector does not read.

use std::fmt::Write;

use keymill::support::visible;

/// What a figure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It goes up and down.
    Gauge,
    /// It only goes up while the process runs.
    Counter,
}

/// A label and its value.
pub type Label<'a> = (&'a str, &'a str);

/// Figures with the labels that all of them have.
pub struct Exposition {
    text: String,
    common: String,
}

impl Exposition {
    /// Nothing, with these labels for all that follows.
    pub fn new(common: &[Label<'_>]) -> Self {
        Self {
            text: String::new(),
            common: written(common),
        }
    }

    /// A figure that has one value; left out if that is not known.
    pub fn one(&mut self, kind: Kind, name: &str, help: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.each(kind, name, help, [([], value)]);
        }
    }

    /// A figure that has a value for each of these labels.
    pub fn each<'a, const N: usize>(
        &mut self,
        kind: Kind,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([Label<'a>; N], f64)>,
    ) {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in values {
            let own = written(&labels);
            let comma = if own.is_empty() || self.common.is_empty() {
                ""
            } else {
                ","
            };
            let _ = writeln!(self.text, "{name}{{{}{comma}{own}}} {value}", self.common);
        }
    }

    /// All of it.
    pub fn into_text(self) -> String {
        self.text
    }
}

fn written(labels: &[Label<'_>]) -> String {
    let label = |(name, value): &Label<'_>| {
        let value = visible(value).replace('\\', "\\\\").replace('"', "\\\"");
        format!("{name}=\"{value}\"")
    };
    labels.iter().map(label).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_ends_where_its_value_ends_whatever_that_is() {
        let mut figures = Exposition::new(&[("directory", "a\"b\\c\nd")]);
        figures.each(
            Kind::Counter,
            "x_total",
            "Help",
            [([("to", "disk")], 3.0), ([("to", "}")], 0.5)],
        );
        figures.one(Kind::Gauge, "y", "Help", Some(1e15));
        figures.one(Kind::Gauge, "z", "Help", None);
        assert_eq!(
            figures.into_text(),
            "# HELP x_total Help\n# TYPE x_total counter\n\
             x_total{directory=\"a\\\"b\\\\c\\\\nd\",to=\"disk\"} 3\n\
             x_total{directory=\"a\\\"b\\\\c\\\\nd\",to=\"}\"} 0.5\n\
             # HELP y Help\n# TYPE y gauge\ny{directory=\"a\\\"b\\\\c\\\\nd\"} 1000000000000000\n"
        );
    }
}
