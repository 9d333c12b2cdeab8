//! The files in tools/deploy that watch a service: Prometheus takes them, and what they name exists.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use crate::command_line::program::Place;
use crate::promtool::check_file;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

const ALERTS: &str = "tools/deploy/prometheus/alerts.yml";
const DASHBOARD: &str = "tools/deploy/prometheus/grafana-dashboard.json";

/// What every panel of the dashboard asks Prometheus for.
fn expressions() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .collect()
}

/// The names of figures in a text.
fn figures(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_figure = |word: &&str| word.starts_with("keymill_") || word.starts_with("lean_");
    words.filter(is_figure).map(str::to_owned).collect()
}

/// The figures that the tables of the documents have.
fn documented() -> BTreeSet<String> {
    let text = read("docs/SERVICE.md") + &read("docs/GUIDE.md");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| figures(row.split(" | ").next().unwrap())).collect()
}

/// The first words behind this mark in each line that has it.
fn listed<'a>(text: &'a str, mark: &str, end: char) -> BTreeSet<&'a str> {
    let behind = text.lines().filter_map(|line| line.trim_start().strip_prefix(mark));
    behind.map(|rest| rest.split(end).next().unwrap().trim()).collect()
}

#[test]
fn prometheus_takes_its_files_and_the_rules_say_what_they_are_to_say() {
    let at = |path: &str| root().join("tools/deploy").join(path);
    check_file(&["check", "config"], &at("prometheus/prometheus.yml"));
    check_file(&["test", "rules"], &at("prometheus/alerts-test.yml"));
    // Expressions of a dashboard are checked as if they were rules.
    let place = Place::new();
    let mut rules = "groups:\n- name: dashboard\n  rules:\n".to_owned();
    for (number, expression) in expressions().iter().enumerate() {
        let expression = expression.replace("$__rate_interval", "5m").replace("$instance", ".*");
        rules += &format!("  - record: panel:{number}\n    expr: {}\n", Value::String(expression));
    }
    place.file("dashboard.yml", rules);
    check_file(&["check", "rules"], &place.path("dashboard.yml"));
}

#[test]
fn every_figure_that_is_watched_is_one_that_there_is() {
    let documented = documented();
    let rules = read(ALERTS);
    let watched = expressions().join("\n") + &rules;
    let histogram = |name: &str| {
        let ends = ["_bucket", "_sum", "_count"];
        ends.iter().find_map(|end| name.strip_suffix(end)).map(str::to_owned)
    };
    let watched = figures(&watched);
    assert!(watched.len() > 20, "{watched:?}");
    for name in watched {
        let is_there = documented.contains(&name) || histogram(&name).is_some_and(|name| documented.contains(&name));
        assert!(is_there, "{name} is in no table of figures");
    }
}

#[test]
fn the_document_says_of_every_alert_what_to_do() {
    let (rules, document) = (read(ALERTS), read("docs/SERVICE.md"));
    let alerts = listed(&rules, "- alert:", '#');
    let rows: BTreeSet<_> = listed(&document, "| `", '`');
    let rows: BTreeSet<_> = rows.into_iter().filter(|name| name.starts_with("Keymill")).collect();
    assert!(alerts.len() > 10);
    assert_eq!(alerts, rows);
}

/// A flag that a file of tools/deploy gives to `serve` is one that it has.
#[test]
fn the_service_has_every_flag_that_is_given_to_it() {
    let help = Place::new().run("serve --help").exits(0);
    let help = help.text();
    for path in [
        "tools/deploy/keymill.service",
        "tools/deploy/service/compose.yaml",
        "tools/deploy/service/kubernetes.yaml",
    ] {
        let text = read(path);
        let lines = text.lines().map(str::trim);
        let given = lines.filter(|line| line.starts_with("- --") || line.starts_with("ExecStart="));
        let flags: Vec<_> = given
            .flat_map(|line| line.split(' '))
            .filter(|word| word.starts_with("--"))
            .collect();
        assert!(flags.len() > 1, "{path}");
        for flag in flags {
            assert!(help.split_whitespace().any(|word| word == flag), "{path}: {flag}");
        }
    }
}
