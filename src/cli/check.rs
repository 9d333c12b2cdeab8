//! `keymill check`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keymill::audit::{CheckReport, Damage, check};
use serde_json::json;

use super::failure::{self, Failure};
use super::output::{print_json, print_lines, say};
use crate::config::Settings;

/// Flags of check.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// The key directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Also compute every leaf again from the secret; takes as long as keygen.
    #[arg(long)]
    deep: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Checks, and prints what is damaged.
pub fn run(arguments: &CheckArguments, settings: &Settings) -> Result<ExitCode, Failure> {
    let report = check(&arguments.directory, arguments.deep, settings.threads)?;
    let printed = if arguments.json {
        print_json(&as_json(&report))
    } else {
        let lines = report.damage.iter().map(as_text);
        print_lines(lines.chain([summary(&report)]))
    };
    if let Some(file) = report.left_over.first() {
        let (count, file) = (report.left_over.len(), file.display());
        say(format_args!(
            "keymill: {count} layer files are left over from a trim, '{file}' first; the same 'keymill trim' again removes them"
        ));
    }
    if !report.damage.is_empty() {
        let directory = arguments.directory.display();
        say(format_args!(
            "keymill: 'keymill repair {directory}' mends layer files and checkpoints; for secret and ledger see above"
        ));
    }
    failure::answer(report.damage.is_empty(), printed)
}

fn as_text(damage: &Damage) -> String {
    if damage.nodes.is_none() {
        // The whole file, whose name the message has.
        return format!("damaged: {}", damage.what);
    }
    let file = damage.file.display();
    let level = damage.level.map(|level| format!(", level {level}"));
    let batch = damage.batch.map(|batch| format!(", batch {batch}"));
    let nodes = damage
        .nodes
        .as_ref()
        .map(|nodes| format!(", nodes {} to {}", nodes.start, nodes.end - 1));
    let place = [level, batch, nodes].map(Option::unwrap_or_default).concat();
    format!("damaged: {file}{place}: {}", damage.what)
}

fn summary(report: &CheckReport) -> String {
    let leaves = if report.deep { ", leaves computed again" } else { "" };
    let secret = if report.secret_present {
        ""
    } else {
        ", no usable secret"
    };
    let missing = match report.batches_missing {
        0 => String::new(),
        missing => format!(", {missing} without a checkpoint"),
    };
    let verdict = match report.damage.len() {
        0 => "clean".to_owned(),
        1 => "1 damaged place".to_owned(),
        count => format!("{count} damaged places"),
    };
    format!(
        "{verdict}: {} batches checked{missing}{leaves}{secret}",
        report.batches_checked
    )
}

fn as_json(report: &CheckReport) -> serde_json::Value {
    let damage: Vec<_> = report
        .damage
        .iter()
        .map(|damage| {
            json!({
                "file": damage.file.display().to_string(),
                "level": damage.level.map(|level| level.0),
                "batch": damage.batch.map(|batch| batch.0),
                "first_node": damage.nodes.as_ref().map(|nodes| nodes.start),
                "last_node": damage.nodes.as_ref().map(|nodes| nodes.end - 1),
                "what": damage.what,
            })
        })
        .collect();
    json!({
        "clean": report.damage.is_empty(),
        "batches_checked": report.batches_checked,
        "batches_missing": report.batches_missing,
        "secret_present": report.secret_present,
        "deep": report.deep,
        "left_over": report.left_over.iter().map(|file| file.display().to_string()).collect::<Vec<_>>(),
        "damage": damage,
    })
}
