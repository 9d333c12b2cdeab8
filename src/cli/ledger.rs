//! `keymill ledger`: which epochs are spent.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use keymill::ledger::{Export, LedgerCondition, LedgerStatus, import, init, show};
use keymill::time::utc;
use serde_json::json;

use super::failure::{self, Failure};
use super::output::{OutArguments, line, print_json, print_lines, say};
use super::process::keep_files_private;
use crate::config::parse_count;

/// Flags of ledger.
#[derive(Debug, Args)]
pub struct LedgerArguments {
    #[command(subcommand)]
    command: LedgerCommand,
}

#[derive(Debug, Subcommand)]
enum LedgerCommand {
    /// Say from which epoch on a key is unused, so that it may sign.
    ///
    /// A key made from a given seed or PRF key needs it once, and so does one whose ledger is lost or went backwards. A
    /// key made from fresh randomness needs it never.
    Init {
        /// The key directory.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// No epoch from this one on has ever signed, here or anywhere else, but for those that the ledger lists.
        #[arg(long, value_name = "N", value_parser = parse_count)]
        first_epoch: u64,
    },
    /// Show what the ledger says; exit code 1 if the key cannot sign by it.
    Show {
        /// The key directory.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Print the ledger as JSON, for another copy of the key.
    Export {
        /// The key directory.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        #[command(flatten)]
        out: OutArguments,
    },
    /// Add what another copy of the key has exported; exit code 1 if an epoch has signed two messages.
    ///
    /// Nothing is forgotten or overwritten. A key without a known history has none afterwards either: then run 'ledger
    /// init'.
    Import {
        /// The key directory.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// The file that 'keymill ledger export' wrote.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Does what was asked with the ledger.
pub fn run(arguments: &LedgerArguments) -> Result<ExitCode, Failure> {
    keep_files_private();
    match &arguments.command {
        LedgerCommand::Init { directory, first_epoch } => {
            init(directory, *first_epoch)?;
            print_lines([format!("epochs from {first_epoch} on may sign")])?;
            Ok(ExitCode::SUCCESS)
        }
        LedgerCommand::Show { directory, json } => run_show(directory, *json),
        LedgerCommand::Export { directory, out } => run_export(directory, out),
        LedgerCommand::Import { directory, file } => run_import(directory, file),
    }
}

fn run_show(directory: &Path, json: bool) -> Result<ExitCode, Failure> {
    let status = show(directory)?;
    let printed = match json {
        true => print_json(&as_json(&status)),
        false => print_lines(as_text(&status)),
    };
    failure::answer(status.condition == LedgerCondition::Sound, printed)
}

fn run_export(directory: &Path, out: &OutArguments) -> Result<ExitCode, Failure> {
    let export = Export::open(directory)?;
    out.write(|writer| {
        for text in export.lines()? {
            line(writer, text?)?;
        }
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn run_import(directory: &Path, file: &Path) -> Result<ExitCode, Failure> {
    let text =
        std::fs::read(file).map_err(|error| Failure::usage(format!("'{}' cannot be read: {error}", file.display())))?;
    let report = import(directory, file, &text)?;
    for conflict in &report.conflicts {
        say(format_args!(
            "keymill: epoch {} has signed two messages, of digests {} here and {} there: its one-time key is given \
             away. The ledger keeps the first",
            conflict.epoch,
            hex::encode(conflict.ours),
            hex::encode(conflict.theirs)
        ));
    }
    if let Some(first_epoch) = report.raised_to {
        say(format_args!(
            "keymill: epochs below {first_epoch} sign no more, for the file does not know whether they are unused"
        ));
    }
    if !report.initialised {
        say(format_args!(
            "keymill: from where the key is unused is still not known; 'keymill ledger init {} --first-epoch N' says it",
            directory.display()
        ));
    }
    let mut summary = format!("{} epochs added, {} known before", report.added, report.known);
    if !report.conflicts.is_empty() {
        summary += &format!(", {} signed twice", report.conflicts.len());
    }
    failure::answer(report.conflicts.is_empty(), print_lines([summary]))
}

fn name(condition: LedgerCondition) -> &'static str {
    match condition {
        LedgerCondition::Sound => "sound",
        LedgerCondition::NoHistory => "no-history",
        LedgerCondition::WentBackwards => "went-backwards",
        LedgerCondition::MarkMissing => "mark-missing",
        LedgerCondition::MarkDamaged => "mark-damaged",
    }
}

fn as_json(status: &LedgerStatus) -> serde_json::Value {
    json!({
        "state": name(status.condition),
        "problem": status.problem,
        "key_id": status.manifest.key_id().to_string(),
        "first_epoch": status.first_epoch,
        "spent": status.spent,
        "highest": status.highest,
        "last_signed_unix_ms": status.last_unix_ms,
        "marked": status.marked,
        "writer": status.writer,
    })
}

fn as_text(status: &LedgerStatus) -> Vec<String> {
    let shown = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
    let unknown = || "not known".to_owned();
    let mut lines = vec![
        format!("state           {}", name(status.condition)),
        format!("key id          {}", status.manifest.key_id()),
        format!(
            "unused from     {}",
            status.first_epoch.map_or_else(unknown, |epoch| epoch.to_string())
        ),
        format!("spent           {}", status.spent),
        format!(
            "highest spent   {}",
            shown(status.highest.map(|epoch| epoch.to_string()))
        ),
        format!("last spent at   {}", shown(status.last_unix_ms.map(utc))),
    ];
    if let Some(writer) = &status.writer {
        lines.push(format!("writer          {writer}"));
    }
    if let Some(problem) = &status.problem {
        lines.push(format!("problem         {problem}"));
    }
    lines
}
