//! `keymill report`.

mod axis;
mod chart;
mod facts;
mod map;
mod page;
mod runs;
#[cfg(test)]
mod tests;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keymill::audit::{KeyReport, MarkedRange, Marks, Run, Sample, report};
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

/// Writes the page.
pub fn run(arguments: &ReportArguments) -> Result<ExitCode, Failure> {
    arguments.out.check()?;
    let report = report(&arguments.directory)?;
    arguments.out.write(|writer| match arguments.json {
        true => json_line(writer, &as_json(&report)),
        false => line(writer, page::html(&report).trim_end()),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The same as the page draws.
fn as_json(report: &KeyReport) -> Value {
    let history = &report.history;
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
        "epochs_per_second": facts::mean_rate(report, &axis::TimeAxis::new(history)),
        "history_damage": report.history_damage,
        "runs": history.runs.iter().map(|run| run_as_json(run, report)).collect::<Vec<_>>(),
        "samples": history.samples.iter().map(sample_as_json).collect::<Vec<_>>(),
        "first_batch": report.map.batches.start,
        "batches": report.map.batches.end - report.map.batches.start,
        "batch_states": map::counts_as_json(&report.map.total),
        "redone": marks_as_json(&history.redone),
        "found_damaged": marks_as_json(&history.damaged),
    })
}

fn run_as_json(run: &Run, report: &KeyReport) -> Value {
    let is_last = report.history.runs.last() == Some(run);
    json!({
        "number": run.number,
        "runs": run.runs,
        "command": words::command(run),
        "started_unix_ms": run.started_unix_ms,
        "seen_unix_ms": run.seen_unix_ms,
        "end": words::end(run, is_last && report.is_running()),
        "epochs": run.epochs,
        "peak_bytes": run.peak_bytes,
        "written_bytes": run.written_bytes,
    })
}

fn sample_as_json(sample: &Sample) -> Value {
    json!({
        "run": sample.run,
        "unix_ms": sample.unix_ms,
        "run_epochs": sample.run_epochs,
        "batches_done": sample.batches_done,
        "anonymous_bytes": sample.anonymous_bytes,
        "file_bytes": sample.file_bytes,
        "planned_bytes": sample.planned_bytes,
        "budget_bytes": sample.budget_bytes,
        "in_flight_batches": sample.in_flight_batches,
        "written_bytes": sample.written_bytes,
    })
}

fn marks_as_json(marks: &Marks) -> Value {
    let range = |range: &MarkedRange| json!({"first": range.first, "last": range.last, "marked": range.marked});
    marks.ranges().iter().map(range).collect()
}
