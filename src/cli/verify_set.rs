//! `keymill verify-set`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keymill::sets::{SetFinding, SetReport, verify_set};
use serde_json::{Value, json};

use super::failure::{self, Failure};
use super::output::{print_json, print_lines};
use crate::config::{Settings, parse_threads};

/// Flags of verify-set.
#[derive(Debug, Args)]
pub struct VerifySetArguments {
    /// The directory of the set.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Threads, each with one key in memory; 0 is one a core.
    #[arg(long, value_name = "N", value_parser = parse_threads)]
    threads: Option<usize>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Verifies, and prints what is wrong.
pub fn run(arguments: &VerifySetArguments, settings: &Settings) -> Result<ExitCode, Failure> {
    let threads = settings.threads(arguments.threads)?;
    let report = verify_set(&arguments.directory, threads)?;
    let printed = if arguments.json {
        print_json(&json!({
            "faults": report.faults.iter().map(as_json).collect::<Vec<_>>(),
            "keys_checked": report.keys_checked,
            "sound": report.faults.is_empty() && report.unread.is_empty(),
            "unread": report.unread.iter().map(as_json).collect::<Vec<_>>(),
            "validators": report.validators,
            "warnings": report.warnings.iter().map(as_json).collect::<Vec<_>>(),
        }))
    } else {
        let faults = report.faults.iter().map(|finding| as_text("wrong", finding));
        let warnings = report.warnings.iter().map(|finding| as_text("warning", finding));
        let unread = report.unread.iter().map(|finding| as_text("not read", finding));
        print_lines(faults.chain(unread).chain(warnings).chain([summary(&report)]))
    };
    let unread = report.unread.len();
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

fn as_text(kind: &str, finding: &SetFinding) -> String {
    format!("{kind}: {}: {}", finding.path.display(), finding.what)
}

fn as_json(finding: &SetFinding) -> Value {
    json!({ "file": finding.path.display().to_string(), "what": finding.what })
}

fn summary(report: &SetReport) -> String {
    let verdict = match report.faults.len() {
        0 if report.unread.is_empty() => "sound".to_owned(),
        0 => "no fault in what was read".to_owned(),
        1 => "1 fault".to_owned(),
        count => format!("{count} faults"),
    };
    let (validators, keys) = (report.validators, report.keys_checked);
    format!("{verdict}: {validators} validators, {keys} keys checked")
}
