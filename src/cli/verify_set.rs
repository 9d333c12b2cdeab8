//! `keymill verify-set`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keymill::sets::{Findings, SetFinding, SetReport, verify_set};
use serde_json::{Value, json};

use super::failure::{self, Failure};
use super::output::{print_json, print_lines};
use super::request::MachineArguments;
use crate::config::Settings;

/// Flags of verify-set.
#[derive(Debug, Args)]
pub struct VerifySetArguments {
    /// The directory of the set.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    machine: MachineArguments,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Verifies, and prints what is wrong.
pub fn run(arguments: &VerifySetArguments, settings: &Settings) -> Result<ExitCode, Failure> {
    let machine = arguments.machine.settings(settings)?;
    let report = verify_set(&arguments.directory, machine.threads, machine.memory)?;
    let printed = match arguments.json {
        true => print_json(&as_json(&report)),
        false => print_lines(as_text(&report)),
    };
    let unread = report.unread.count();
    if unread > 0 {
        printed?;
        let files = if unread == 1 {
            "1 file".to_owned()
        } else {
            format!("{unread} files")
        };
        return Err(Failure::machine(format!(
            "{files} could not be read, so nothing is known of what is in them; run the same command again when the cause \
             is gone"
        )));
    }
    failure::answer(report.faults.is_empty(), printed)
}

fn as_text(report: &SetReport) -> Vec<String> {
    let kinds = [
        ("wrong", &report.faults),
        ("not read", &report.unread),
        ("warning", &report.warnings),
    ];
    let mut lines = Vec::new();
    for (kind, findings) in kinds {
        lines.extend(findings.listed.iter().map(|finding| line(kind, finding)));
        if findings.unlisted > 0 {
            lines.push(format!("{kind}: {} more, which are not listed", findings.unlisted));
        }
    }
    if report.keys_not_compared > 0 {
        lines.push(format!(
            "not known: of {} keys there is no secret to be read here, so whether they share one-time keys with others cannot \
             be seen",
            report.keys_not_compared
        ));
    }
    lines.push(summary(report));
    lines
}

fn line(kind: &str, finding: &SetFinding) -> String {
    format!("{kind}: {}: {}", finding.path.display(), finding.what)
}

fn as_json(report: &SetReport) -> Value {
    let listed = |findings: &Findings| {
        let findings = findings.listed.iter();
        let objects =
            findings.map(|finding| json!({ "file": finding.path.display().to_string(), "what": finding.what }));
        objects.collect::<Vec<_>>()
    };
    json!({
        "faults": listed(&report.faults),
        "faults_unlisted": report.faults.unlisted,
        "keys_checked": report.keys_checked,
        "keys_not_compared": report.keys_not_compared,
        "sound": report.faults.is_empty() && report.unread.is_empty(),
        "unread": listed(&report.unread),
        "unread_unlisted": report.unread.unlisted,
        "validators": report.validators,
        "warnings": listed(&report.warnings),
        "warnings_unlisted": report.warnings.unlisted,
    })
}

fn summary(report: &SetReport) -> String {
    let verdict = match report.faults.count() {
        0 if report.unread.is_empty() => "sound".to_owned(),
        0 => "no fault in what was read".to_owned(),
        1 => "1 fault".to_owned(),
        count => format!("{count} faults"),
    };
    let (validators, keys) = (report.validators, report.keys_checked);
    format!("{verdict}: {validators} validators, {keys} keys checked")
}
