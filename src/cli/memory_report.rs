//! `keymill memory-report`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keymill::memory::Limits;
use keymill::plan::Reading;
use keymill::resources::report::{Comparison, Count, MemoryReport};
use keymill::text::Foreign;
use serde_json::json;

use super::failure::{Failure, answer};
use super::output::{human_bytes, print_json, print_lines};
use super::request::MemoryArgument;
use crate::config::Settings;

/// Flags of memory-report.
#[derive(Debug, Args)]
pub struct MemoryReportArguments {
    /// What --trace-memory wrote, or a log in which it stands.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    memory: MemoryArgument,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Prints what became of the resources; the answer is no if something was left or an event contradicts another.
pub fn run(arguments: &MemoryReportArguments, settings: &Settings) -> Result<ExitCode, Failure> {
    let held_bytes_max = Reading::held_bytes_max(arguments.memory.or(settings)?, &Limits::detect());
    let report = MemoryReport::read(&arguments.file, held_bytes_max)?;
    let printed = match arguments.json {
        true => print_json(&as_json(&report)),
        false => print_lines(as_text(&report)),
    };
    answer(report.is_clean(), printed)
}

fn as_text(report: &MemoryReport) -> Vec<String> {
    let mut lines = vec![
        format!("{} events in {} ms", report.events, report.elapsed_ms),
        String::new(),
        row(["type", "allocated", "dropped", "left", "bytes left", "peak bytes"]),
    ];
    lines.extend(report.kinds.iter().map(|(kind, count)| {
        row([
            kind.name(),
            &count.allocated.to_string(),
            &count.dropped.to_string(),
            &count.left().to_string(),
            &human_bytes(count.bytes_left),
            &human_bytes(count.peak_bytes),
        ])
    }));
    lines.extend([String::new(), row(["", "", "registered", "", "resident", "difference"])]);
    lines.extend(compared("anonymous memory", &report.anonymous));
    lines.extend(compared("pages of files", &report.file_pages));
    lines.push("resident: by how much it grew since the first event".to_owned());
    lines.push(String::new());
    lines.extend(report.left.iter().map(|((kind, place), left)| {
        let (count, bytes) = (left.count, human_bytes(left.bytes));
        // A place is text from a file that anybody can have written.
        format!("left: {count} {} of {}, {bytes}", kind.name(), Foreign(place))
    }));
    lines.extend(report.flags.iter().map(|flag| {
        let words = flag.contradiction.words();
        format!("contradiction in line {}: id {} was {words}", flag.line, flag.id)
    }));
    let unlisted = report.flag_count - report.flags.len() as u64;
    if unlisted > 0 {
        lines.push(format!("and {unlisted} more contradictions"));
    }
    if let Some(line) = report.torn_line {
        lines.push(format!("line {line}, the last one, is not whole"));
    }
    if report.is_unended() {
        lines.push("the process was killed, or still runs".to_owned());
    }
    lines.push(verdict(report));
    lines
}

fn row(cells: [&str; 6]) -> String {
    let [first, others @ ..] = cells;
    let others: String = others.iter().map(|cell| format!("{cell:>14}")).collect();
    format!("{first:<10}{others}")
}

fn compared(what: &str, comparison: &Comparison) -> [String; 2] {
    let line = |when: &str, registered: u64, growth: i128| {
        let difference = growth - i128::from(registered);
        format!(
            "{:<24}{:>14}{:>28}{:>14}",
            format!("{what}, {when}"),
            human_bytes(registered),
            signed_bytes(growth),
            signed_bytes(difference)
        )
    };
    [
        line("most", comparison.registered_peak_bytes, comparison.growth_peak_bytes()),
        line("end", comparison.registered_end_bytes, comparison.growth_end_bytes()),
    ]
}

/// A difference of bytes for people.
fn signed_bytes(bytes: i128) -> String {
    let sign = if bytes < 0 { "-" } else { "" };
    format!(
        "{sign}{}",
        human_bytes(u64::try_from(bytes.unsigned_abs()).unwrap_or(u64::MAX))
    )
}

fn verdict(report: &MemoryReport) -> String {
    let left: u64 = report.kinds.values().map(Count::left).sum();
    match (left, report.flag_count) {
        (0, 0) => "nothing was left".to_owned(),
        (left, 0) => format!("{left} left"),
        (left, flags) => format!("{left} left, {flags} contradictions"),
    }
}

fn as_json(report: &MemoryReport) -> serde_json::Value {
    let kinds = report.kinds.iter().map(|(kind, count)| {
        let figures = json!({
            "allocated": count.allocated,
            "dropped": count.dropped,
            "left": count.left(),
            "bytes_left": count.bytes_left,
            "peak_bytes": count.peak_bytes,
        });
        (kind.name().to_owned(), figures)
    });
    let left = report.left.iter().map(|((kind, place), left)| {
        json!({ "type": kind.name(), "place": place, "count": left.count, "bytes": left.bytes })
    });
    let flags = report
        .flags
        .iter()
        .map(|flag| json!({ "line": flag.line, "id": flag.id, "contradiction": flag.contradiction.words() }));
    json!({
        "clean": report.is_clean(),
        "events": report.events,
        "elapsed_ms": report.elapsed_ms,
        "types": kinds.collect::<serde_json::Map<_, _>>(),
        "left": left.collect::<Vec<_>>(),
        "contradictions": flags.collect::<Vec<_>>(),
        "contradiction_count": report.flag_count,
        "torn_line": report.torn_line,
        "anonymous": comparison_as_json(&report.anonymous),
        "file_pages": comparison_as_json(&report.file_pages),
    })
}

fn comparison_as_json(comparison: &Comparison) -> serde_json::Value {
    json!({
        "registered_peak_bytes": comparison.registered_peak_bytes,
        "registered_end_bytes": comparison.registered_end_bytes,
        "resident_first_bytes": comparison.resident_first_bytes,
        "resident_peak_bytes": comparison.resident_peak_bytes,
        "resident_end_bytes": comparison.resident_end_bytes,
    })
}
