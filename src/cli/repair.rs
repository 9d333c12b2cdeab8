//! `keymill repair`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keymill::CancelHandle;
use keymill::audit::{BatchSet, RepairReport, repair};
use keymill::text::Runs;
use serde::{Serialize, Serializer};
use serde_json::json;

use super::failure::Failure;
use super::keygen::stop_on_signals;
use super::messages::warn;
use super::output::{print_json, print_lines};
use super::process::keep_files_private;
use super::request::MachineArguments;
use crate::config::Settings;

/// Flags of repair.
#[derive(Debug, Args)]
pub struct RepairArguments {
    /// The key directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
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
    let report = repair(&arguments.directory, options, &cancel)?;
    if report
        .store_replaced
        .as_ref()
        .is_some_and(|replaced| !replaced.ledger_kept)
    {
        let directory = arguments.directory.display();
        warn(format_args!(
            "the ledger of signed epochs was in the checkpoint store that had to be replaced. \
             Signing now needs 'keymill ledger init {directory} --first-epoch N' with an epoch from which on none has \
             signed; if there is an export of the ledger, 'keymill ledger import' it first"
        ));
    }
    if arguments.json {
        print_json(&as_json(&report))?;
    } else {
        print_lines(as_text(&report))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn as_text(report: &RepairReport) -> Vec<String> {
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
        lines.push(format!("made anew: the checkpoint store: {}{old}", replaced.what));
    }
    for restored in &report.files_restored {
        let (file, level, what) = (restored.file.display(), restored.level, &restored.what);
        let old = moved("what stood there", &restored.moved_to);
        lines.push(format!("restored: {file}, level {level}: {what}{old}"));
    }
    if !report.batches_recomputed.is_empty() {
        let batches: Runs = report.batches_recomputed.iter().map(|batch| batch.0).collect();
        lines.push(format!("computed again: batches {batches}"));
    }
    for rewritten in &report.crown_rewritten {
        let (file, level, nodes) = (rewritten.file.display(), rewritten.level, rewritten.nodes);
        lines.push(format!(
            "written again: {file}, level {level}: {nodes} nodes above the batches"
        ));
    }
    if report.batch_records_renewed > 0 {
        let batches = report.batch_records_renewed;
        lines.push(format!("made anew: the checkpoints of {batches} sound batches"));
    }
    if !report.crown_records_renewed.is_empty() {
        let levels: Vec<String> = report.crown_records_renewed.iter().map(ToString::to_string).collect();
        lines.push(format!("made anew: the checksums of levels {}", levels.join(", ")));
    }
    if report.records_removed > 0 {
        let records = report.records_removed;
        lines.push(format!(
            "removed: {records} checkpoints of batches that the key does not have"
        ));
    }
    if report.batches_left > 0 {
        let batches = report.batches_left;
        lines.push(format!(
            "left for 'keymill keygen': {batches} batches that have no checkpoint"
        ));
    }
    lines.push(match report.did_something() {
        true => "repaired".to_owned(),
        false => "nothing to repair".to_owned(),
    });
    lines
}

/// The report as one JSON object, its fields in the order of the alphabet.
#[derive(Serialize)]
struct ReportObject<'a> {
    batch_records_renewed: u64,
    batches_left: u64,
    #[serde(serialize_with = "each_batch")]
    batches_recomputed: &'a BatchSet,
    crown_records_renewed: Vec<u8>,
    crown_rewritten: Vec<serde_json::Value>,
    files_restored: Vec<serde_json::Value>,
    records_removed: u64,
    repaired: bool,
    store_replaced: Option<serde_json::Value>,
}

/// Every batch by its number, without a list of them all.
fn each_batch<S: Serializer>(batches: &&BatchSet, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(batches.iter().map(|batch| batch.0))
}

fn as_json(report: &RepairReport) -> ReportObject<'_> {
    let restored = report.files_restored.iter().map(|restored| {
        json!({
            "file": restored.file.display().to_string(),
            "level": restored.level.0,
            "moved_to": restored.moved_to.as_ref().map(|path| path.display().to_string()),
            "what": restored.what,
        })
    });
    let rewritten = report.crown_rewritten.iter().map(|rewritten| {
        json!({
            "file": rewritten.file.display().to_string(),
            "level": rewritten.level.0,
            "nodes": rewritten.nodes,
        })
    });
    let store = report.store_replaced.as_ref().map(|replaced| {
        json!({
            "what": replaced.what,
            "moved_to": replaced.moved_to.as_ref().map(|path| path.display().to_string()),
            "ledger_kept": replaced.ledger_kept,
        })
    });
    let levels = report.crown_records_renewed.iter().map(|level| level.0);
    ReportObject {
        batch_records_renewed: report.batch_records_renewed,
        batches_left: report.batches_left,
        batches_recomputed: &report.batches_recomputed,
        crown_records_renewed: levels.collect(),
        crown_rewritten: rewritten.collect(),
        files_restored: restored.collect(),
        records_removed: report.records_removed,
        repaired: report.did_something(),
        store_replaced: store,
    }
}
