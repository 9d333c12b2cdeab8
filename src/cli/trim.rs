//! `keymill trim`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keymill::plan::Level;
use keymill::trim::{TrimReport, trim};
use serde_json::json;

use super::failure::Failure;
use super::output::{print_json, print_lines};
use super::process::keep_files_private;
use crate::config::parse_level;

/// Flags of trim.
#[derive(Debug, Args)]
pub struct TrimArguments {
    /// The key directory; its key has to be finished.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Lowest level to keep, at most 10. A path then computes 2^L leaves from the secret. No flag takes this back.
    #[arg(long, value_name = "L", value_parser = parse_level)]
    level: Level,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Trims, and prints what was compared and deleted.
pub fn run(arguments: &TrimArguments) -> Result<ExitCode, Failure> {
    keep_files_private();
    let report = trim(&arguments.directory, arguments.level)?;
    match arguments.json {
        true => print_json(&as_json(&report))?,
        false => print_lines(as_text(&report))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(report: &TrimReport) -> serde_json::Value {
    let blocks = report
        .blocks_compared
        .iter()
        .map(|block| json!({ "first": block.start, "end": block.end }));
    let removed = report.files_removed.iter().map(|file| file.display().to_string());
    json!({
        "trim_before": report.before.0,
        "trim": report.level.0,
        "blocks_compared": blocks.collect::<Vec<_>>(),
        "files_removed": removed.collect::<Vec<_>>(),
    })
}

fn as_text(report: &TrimReport) -> Vec<String> {
    let level = report.level;
    let mut lines = Vec::new();
    if !report.blocks_compared.is_empty() {
        let blocks: Vec<String> = report.blocks_compared.iter().map(ToString::to_string).collect();
        lines.push(format!(
            "compared: the secret is this key's, and the epochs {} computed from it lead to level {level} and the root",
            blocks.join(", ")
        ));
    }
    if let [first, .., last] | [first @ last] = &report.files_removed[..] {
        let (count, first, last) = (report.files_removed.len(), first.display(), last.display());
        lines.push(match count {
            1 => format!("deleted: {first}"),
            _ => format!("deleted: {count} layer files, {first} to {last}"),
        });
    }
    lines.push(match report.before == level {
        true if level == Level(0) => "the key is not trimmed: every level is stored".to_owned(),
        true => format!("the key was trimmed to level {level} already"),
        false => format!("trimmed to level {level}"),
    });
    lines
}
