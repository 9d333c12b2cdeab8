//! `keymill check`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keymill::audit::{CheckReport, Damage, check};
use serde::Serialize;

use super::failure::{self, Failure};
use super::messages::{say, say_left_over};
use super::output::{print_json, print_lines};
use super::request::MachineArguments;
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
    #[command(flatten)]
    machine: MachineArguments,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Checks, and prints what is damaged.
pub fn run(arguments: &CheckArguments, settings: &Settings) -> Result<ExitCode, Failure> {
    let options = arguments.machine.settings(settings)?.into();
    let report = check(&arguments.directory, arguments.deep, options)?;
    let printed = if arguments.json {
        print_json(&as_json(&report))
    } else {
        let lines = report.damage.iter().map(as_text);
        let unlisted = report.damage_unlisted;
        let unlisted = (unlisted > 0).then(|| format!("damaged: {unlisted} more places, which are not listed"));
        print_lines(lines.chain(unlisted).chain([summary(&report)]))
    };
    say_left_over(&report.left_over);
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
    let verdict = match report.damage_count() {
        0 => "clean".to_owned(),
        1 => "1 damaged place".to_owned(),
        count => format!("{count} damaged places"),
    };
    format!(
        "{verdict}: {} batches checked{missing}{leaves}{secret}",
        report.batches_checked
    )
}

/// The report as one JSON object; its fields stand in the order of the alphabet, as in every object that is printed.
#[derive(Serialize)]
struct ReportObject<'a> {
    batches_checked: u64,
    batches_missing: u64,
    clean: bool,
    damage: Vec<DamageObject<'a>>,
    damage_unlisted: u64,
    deep: bool,
    left_over: Vec<String>,
    secret_present: bool,
}

#[derive(Serialize)]
struct DamageObject<'a> {
    batch: Option<u64>,
    file: String,
    first_node: Option<u64>,
    last_node: Option<u64>,
    level: Option<u8>,
    what: &'a str,
}

fn as_json(report: &CheckReport) -> ReportObject<'_> {
    let damage = report.damage.iter().map(|damage| DamageObject {
        batch: damage.batch.map(|batch| batch.0),
        file: damage.file.display().to_string(),
        first_node: damage.nodes.as_ref().map(|nodes| nodes.start),
        last_node: damage.nodes.as_ref().map(|nodes| nodes.end - 1),
        level: damage.level.map(|level| level.0),
        what: &damage.what,
    });
    ReportObject {
        batches_checked: report.batches_checked,
        batches_missing: report.batches_missing,
        clean: report.damage.is_empty(),
        damage: damage.collect(),
        damage_unlisted: report.damage_unlisted,
        deep: report.deep,
        left_over: report.left_over.iter().map(|file| file.display().to_string()).collect(),
        secret_present: report.secret_present,
    }
}
