//! `keymill repair`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use keymill::audit::{RepairReport, repair};
use keymill::ledger::{self, LedgerCondition};
use keymill::support::{Runs, counted};
use keymill::{CancelHandle, KeyPlace, Reason};

use super::advice::advised;
use super::answer::{Answer, Value, fields};
use super::failure::Failure;
use super::keygen::stop_on_signals;
use super::messages::warn;
use super::passphrase::PassphraseArguments;
use super::process::keep_files_private;
use super::request::MachineArguments;
use super::shell::command;
use crate::config::Settings;

/// Flags of repair.
#[derive(Debug, Args)]
#[command(after_help = r"Examples:
  Compute again what check finds damaged:
    keymill repair key --threads 1")]
pub struct RepairArguments {
    /// The key directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArguments,
    #[command(flatten)]
    machine: MachineArguments,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Repairs, and prints what was done.
pub fn run(arguments: &RepairArguments, settings: &Settings) -> Result<ExitCode, Failure> {
    keep_files_private();
    let options = arguments.machine.settings(settings)?;
    let cancel = CancelHandle::default();
    stop_on_signals(&cancel).map_err(|error| Failure::machine(error.to_string()))?;
    let passphrase = arguments.passphrase.read()?;
    let report = repair(
        KeyPlace::new(&arguments.directory).passphrase(passphrase.as_ref()),
        options,
        &cancel,
    )?;
    if report
        .store_replaced
        .as_ref()
        .is_some_and(|replaced| !replaced.ledger_kept)
    {
        let begin = command("keymill ledger init {} --first-epoch N", &arguments.directory);
        warn(format_args!(
            "the ledger of signed epochs was in the checkpoint store that had to be replaced. \
             Signing now needs {begin} with an epoch from which on none has \
             signed; if there is an export of the ledger, 'keymill ledger import' it first"
        ));
    }
    answer(&report, what_is_wrong_with_the_ledger(&arguments.directory)).print(arguments.json)?;
    Ok(ExitCode::SUCCESS)
}

fn as_text(report: &RepairReport, ledger: Option<String>) -> Vec<String> {
    let mut lines = Vec::new();
    let moved = |what: &str, to: &Option<PathBuf>| match to {
        Some(path) => format!("; {what} is '{}' now", path.display()),
        None => String::new(),
    };
    if let Some(replaced) = &report.store_replaced {
        let mut old = moved("the old one", &replaced.moved_to);
        if replaced.ledger_kept {
            old.push_str("; its ledger of signed epochs is in the new one");
        }
        lines.push(format!("rebuilt: the checkpoint store: {}{old}", replaced.what));
    }
    for restored in &report.files_restored {
        let (file, what) = (restored.file.display(), &restored.what);
        let level = restored
            .level
            .map(|level| format!(", level {level}"))
            .unwrap_or_default();
        let old = moved("what stood there", &restored.moved_to);
        lines.push(format!("restored: {file}{level}: {what}{old}"));
    }
    if !report.batches_recomputed.is_empty() {
        let batches: Runs = report.batches_recomputed.iter().map(|batch| batch.0).collect();
        lines.push(format!("computed again: batches {batches}"));
    }
    for rewritten in &report.crown_rewritten {
        let (file, level, nodes) = (rewritten.file.display(), rewritten.level, rewritten.nodes);
        lines.push(format!(
            "written again: {file}, level {level}: {} above the batches",
            counted(nodes, "node")
        ));
    }
    for part in &report.parts_rewritten {
        lines.push(format!(
            "written again: {}: checksums, or levels that the layer files have too",
            part.display()
        ));
    }
    if report.batch_records_renewed > 0 {
        let batches = report.batch_records_renewed;
        lines.push(format!(
            "rebuilt: the checkpoints of {}",
            counted(batches, "sound batch")
        ));
    }
    if !report.crown_records_renewed.is_empty() {
        let levels: Vec<String> = report.crown_records_renewed.iter().map(ToString::to_string).collect();
        lines.push(format!("rebuilt: the checksums of levels {}", levels.join(", ")));
    }
    if report.records_removed > 0 {
        let records = report.records_removed;
        lines.push(format!(
            "removed: {} of batches that the key does not have",
            counted(records, "checkpoint")
        ));
    }
    if report.batches_left > 0 {
        let batches = report.batches_left;
        lines.push(format!(
            "left for 'keymill keygen': {} without a checkpoint",
            counted(batches, "batch")
        ));
    }
    lines.push(verdict(report, ledger));
    lines
}

/// A repair leaves the ledger and its mark as they are. What cannot be seen of them is not its matter.
fn what_is_wrong_with_the_ledger(directory: &Path) -> Option<String> {
    use LedgerCondition::{MarkDamaged, MarkMissing, WentBackwards};
    match ledger::show(directory) {
        Ok(status) if matches!(status.condition, WentBackwards | MarkMissing | MarkDamaged) => {
            Some(format!("{}{}", status.problem?, advised(&status.remedies)))
        }
        Err(error) if error.reason() == Reason::Damaged => Some(format!("{error}{}", advised(error.remedies()))),
        Ok(_) | Err(_) => None,
    }
}

fn verdict(report: &RepairReport, ledger: Option<String>) -> String {
    match ledger {
        None if report.did_something() => "repaired".to_owned(),
        None => "nothing to repair".to_owned(),
        Some(what) => {
            let rest = if report.did_something() {
                "repaired"
            } else {
                "layer files and checkpoints are whole"
            };
            format!("{rest}; but {what}")
        }
    }
}

fn answer(report: &RepairReport, ledger: Option<String>) -> Answer<'_> {
    let store = report.store_replaced.as_ref();
    let restored = report.files_restored.iter();
    let rewritten = report.crown_rewritten.iter();
    Answer::default()
        .field("repaired", report.did_something())
        .field(
            "store_replaced",
            store.map(|replaced| fields!(replaced; what, ledger_kept, moved_to)),
        )
        .field(
            "files_restored",
            Value::each(restored.map(|file| fields!(file; file, level, moved_to, what))),
        )
        .field("batches_recomputed", Value::each(report.batches_recomputed.iter()))
        .field(
            "crown_rewritten",
            Value::each(rewritten.map(|level| fields!(level; file, level, nodes))),
        )
        .field("parts_rewritten", Value::each(report.parts_rewritten.iter().cloned()))
        .and(fields!(report; batch_records_renewed, crown_records_renewed, records_removed, batches_left))
        .text(as_text(report, ledger))
}
