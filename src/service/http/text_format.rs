//! The format that Prometheus had before OpenMetrics, version 0.0.4. What reads figures by hand or checks them takes it alone.

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The same figures. A counter is called there by the name of its value, a unit does not have a line, and the text has no
/// end mark.
pub(super) fn of_open_metrics(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut help = None;
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            help = described.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|typed| typed.split_once(' ')) {
            let (total, kind) = match kind {
                "counter" => ("_total", kind),
                "unknown" => ("", "untyped"),
                kind => ("", kind),
            };
            if let Some((_, described)) = help.take().filter(|(described, _)| *described == name) {
                out += &format!("# HELP {name}{total} {described}\n");
            }
            out += &format!("# TYPE {name}{total} {kind}\n");
        } else if !line.starts_with("# UNIT ") && line != "# EOF" {
            out += line;
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::of_open_metrics;

    #[test]
    fn counters_are_called_by_the_name_of_their_values_and_nothing_else_changes() {
        let open_metrics = "# HELP a Help.\n# TYPE a counter\na_total{b=\"# EOF\"} 1\n\
                            # HELP c_seconds Time.\n# TYPE c_seconds histogram\n# UNIT c_seconds seconds\nc_seconds_sum 0.5\n\
                            # HELP d D.\n# TYPE d unknown\nd 2\n# EOF\n";
        let expected = "# HELP a_total Help.\n# TYPE a_total counter\na_total{b=\"# EOF\"} 1\n\
                        # HELP c_seconds Time.\n# TYPE c_seconds histogram\nc_seconds_sum 0.5\n\
                        # HELP d D.\n# TYPE d untyped\nd 2\n";
        assert_eq!(of_open_metrics(open_metrics), expected);
    }
}
