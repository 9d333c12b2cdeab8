//! `keymill report`.

mod page;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keymill::KeyState;
use keymill::audit::{BatchState, KeyReport, Run, RunCommand, RunEnd, StateCounts, report};
use serde_json::json;

use super::answer::{Answer, Value, fields};
use super::failure::Failure;
use super::output::{OutArguments, hex_digits, json_line, line};
use super::status::state_name;

/// Flags of report.
#[derive(Debug, Args)]
#[command(after_help = r"Examples:
  Draw the history of a key:
    keymill report key --out key.html
  The same as JSON:
    keymill report key --json")]
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
    let answer = answer(&report);
    arguments.out.write(|writer| {
        if arguments.json {
            json_line(writer, &answer)
        } else {
            line(writer, page::html(&report, &answer).trim_end())
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

fn answer(report: &KeyReport) -> Answer<'_> {
    let (history, map, stored) = (&report.history, &report.map, report.plan.stored());
    let run = |run: &Run| {
        fields!(run; number, runs, started_unix_ms, seen_unix_ms, epochs, peak_bytes, written_bytes)
            .field("command", run_command(run))
            .field("end", run_end(run, report))
    };
    // Neighbouring cells that hold the same are one entry.
    let alike: Vec<_> = map.cells.chunk_by(|before, after| before == after).collect();
    let cells = |alike: &[StateCounts]| counts(&alike[0]).field("cells", alike.len());
    fields!(report; drawn_unix_ms, key_id, writer, disk_bytes, history_damage)
        .field("scheme", report.plan.scheme().id())
        .field("state", state_name(report.state, report.writer.as_ref()))
        .field("public_key", report.public_key.as_ref().map(hex_digits))
        .field("stored_start", stored.start)
        .field("stored_end", stored.end)
        .field("epochs_per_second", mean_rate(report))
        .field("runs", Value::each(history.runs.iter().map(run)))
        .field(
            "samples",
            Value::each(history.samples.iter().map(|sample| json!(sample))),
        )
        .field("first_batch", map.batches.start)
        .field("batches", map.batches.end - map.batches.start)
        .field("batch_states", counts(&map.total))
        .field("cell_batches", map.cell_batches)
        .field("cells", Value::each(alike.into_iter().map(cells)))
        .field("redone", json!(history.redone.ranges()))
        .field("found_damaged", json!(history.damaged.ranges()))
}

fn counts<'a>(counts: &StateCounts) -> Answer<'a> {
    let field = |answer: Answer<'a>, state| answer.field(batch_state_name(state).0, counts.of(state));
    BatchState::ALL.into_iter().fold(Answer::default(), field)
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
fn batch_state_name(state: BatchState) -> (&'static str, &'static str) {
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
