//! Prometheus's own checker, where it is installed.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::skip::skip;

/// Figures in the text format are taken, and are named as Prometheus has it.
#[track_caller]
pub fn check_figures(text: &str) {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]);
    if let Some(output) = output(command, text) {
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
    }
}

/// A file of Prometheus is one that promtool has nothing to say against: `words` are what it is asked to do.
#[track_caller]
pub fn check_file(words: &[&str], path: &Path) {
    let mut command = Command::new("promtool");
    command.args(words).arg(path);
    if let Some(output) = output(command, "") {
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
    }
}

fn output(mut command: Command, input: &str) -> Option<Output> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let Ok(mut running) = command.spawn() else {
        skip("there is no promtool");
        return None;
    };
    running.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Some(running.wait_with_output().unwrap())
}
