//! `keymill report`.

mod page;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keymill::audit::{BatchMap, BatchState, KeyReport, Run, RunCommand, RunEnd, StateCounts, report};
use keymill::keydir::KeyState;
use serde_json::{Value, json};

use super::failure::Failure;
use super::output::{OutArguments, json_line, line};

/// Flags of report.
#[derive(Debug, Args)]
pub struct ReportArguments {
    /// The key directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Print one JSON object instead of a page.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    out: OutArguments,
}

/// Writes the page, or what it draws.
pub fn run(arguments: &ReportArguments) -> Result<ExitCode, Failure> {
    arguments.out.check()?;
    let report = report(&arguments.directory)?;
    let json = as_json(&report);
    arguments.out.write(|writer| {
        if arguments.json {
            json_line(writer, &json)
        } else {
            line(writer, page::html(&report, &json).trim_end())
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

fn as_json(report: &KeyReport) -> Value {
    let (history, map) = (&report.history, &report.map);
    let state = match (report.state, &report.writer) {
        (KeyState::Sealed, _) => "sealed",
        (KeyState::Generating, Some(_)) => "generating",
        (KeyState::Generating, None) => "interrupted",
    };
    json!({
        "drawn_unix_ms": report.drawn_unix_ms,
        "key_id": report.key_id,
        "scheme": report.plan.scheme().id(),
        "state": state,
        "writer": report.writer,
        "public_key": report.public_key.as_ref().map(hex::encode),
        "stored_start": report.plan.stored().start,
        "stored_end": report.plan.stored().end,
        "disk_bytes": report.disk_bytes,
        "epochs_per_second": mean_rate(report),
        "history_damage": report.history_damage,
        "runs": history.runs.iter().map(|run| run_as_json(run, report)).collect::<Vec<_>>(),
        "samples": history.samples,
        "first_batch": map.batches.start,
        "batches": map.batches.end - map.batches.start,
        "batch_states": counts_as_json(&map.total),
        "cell_batches": map.cell_batches,
        "cells": cells_as_json(map),
        "redone": history.redone.ranges(),
        "found_damaged": history.damaged.ranges(),
    })
}

fn run_as_json(run: &Run, report: &KeyReport) -> Value {
    json!({
        "number": run.number,
        "runs": run.runs,
        "command": run_command(run),
        "started_unix_ms": run.started_unix_ms,
        "seen_unix_ms": run.seen_unix_ms,
        "end": run_end(run, report),
        "epochs": run.epochs,
        "peak_bytes": run.peak_bytes,
        "written_bytes": run.written_bytes,
    })
}

fn counts_as_json(counts: &StateCounts) -> Value {
    let entry = |state: BatchState| (state_name(state).0.to_owned(), counts.of(state).into());
    Value::Object(BatchState::ALL.into_iter().map(entry).collect())
}

/// The map, with neighbouring cells that hold the same as one entry.
fn cells_as_json(map: &BatchMap) -> Value {
    let alike = map.cells.chunk_by(|before, after| before == after);
    alike
        .map(|cells| {
            let mut entry = counts_as_json(&cells[0]);
            entry["cells"] = cells.len().into();
            entry
        })
        .collect()
}

/// What the badge of the page says.
fn state(report: &KeyReport) -> &'static str {
    match report.state {
        _ if report.is_running() => "running",
        KeyState::Sealed => "sealed",
        KeyState::Generating => "interrupted",
    }
}

fn run_command(run: &Run) -> &'static str {
    match run.command {
        RunCommand::Keygen => "keygen",
        RunCommand::Repair => "repair",
    }
}

fn run_end(run: &Run, report: &KeyReport) -> &'static str {
    match run.end {
        Some(RunEnd::Finished) => "finished",
        Some(RunEnd::Interrupted) => "stopped by a signal",
        Some(RunEnd::OutOfBudget) => "stopped at its memory budget",
        Some(RunEnd::Failed) => "failed",
        None if report.is_running() && report.history.runs.last() == Some(run) => "running",
        None => "killed",
    }
}

/// The field of a state in JSON, and its name for people.
fn state_name(state: BatchState) -> (&'static str, &'static str) {
    match state {
        BatchState::Done => ("done", "done"),
        BatchState::Redone => ("redone", "redone after a crash"),
        BatchState::Repaired => ("repaired", "damaged, and rebuilt"),
        BatchState::NotDone => ("not_done", "not done"),
        BatchState::InProgress => ("in_progress", "in progress"),
        BatchState::Damaged => ("damaged", "damaged"),
    }
}

/// Runs that ended before there was nothing left to do. Of those in one entry, each but the last was followed by another.
fn ended_early(report: &KeyReport) -> u64 {
    let of_entry = |run: &Run| {
        let last_ended_early = !matches!(run_end(run, report), "finished" | "running");
        run.runs.saturating_sub(1).saturating_add(last_ended_early.into())
    };
    report.history.runs.iter().map(of_entry).fold(0, u64::saturating_add)
}

/// Epochs a second over all the time in which runs committed. A clock that was set back stands still here.
fn mean_rate(report: &KeyReport) -> Option<f64> {
    let (mut epochs, mut worked_ms) = (0_u64, 0_u64);
    for samples in report.history.samples.chunk_by(|before, after| before.run == after.run) {
        let first_ms = samples[0].unix_ms;
        let ms = samples
            .iter()
            .map(|sample| sample.unix_ms.saturating_sub(first_ms))
            .max();
        worked_ms = worked_ms.saturating_add(ms.unwrap_or(0));
        epochs = epochs.saturating_add(samples.last().map_or(0, |last| last.run_epochs));
    }
    (epochs > 0).then(|| epochs as f64 * 1e3 / worked_ms.max(1) as f64)
}
