//! `keymill memory-report`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keymill::memory::Limits;
use keymill::plan::Reading;
use keymill::resources::ResourceKind;
use keymill::resources::report::{Comparison, Count, MemoryReport};
use keymill::support::Foreign;

use super::answer::{Answer, Value, fields, table};
use super::failure::{self, Failure};
use super::output::human_bytes;
use super::request::MemoryArgument;
use crate::config::Settings;

/// Flags of memory-report.
#[derive(Debug, Args)]
#[command(after_help = r"Examples:
  Find what was never given back:
    keymill status key --trace-memory trace
    keymill memory-report trace")]
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
    failure::answer(report.is_clean(), answer(&report).print(arguments.json))
}

fn as_text(report: &MemoryReport) -> Vec<String> {
    let mut lines = vec![
        format!("{} events in {} ms", report.events, report.elapsed_ms),
        String::new(),
    ];
    let row = |(kind, count): (&ResourceKind, &Count)| {
        let [allocated, dropped, left] = [count.allocated, count.dropped, count.left()].map(|count| count.to_string());
        let [bytes_left, peak] = [count.bytes_left, count.peak_bytes].map(human_bytes);
        [kind.name().to_owned(), allocated, dropped, left, bytes_left, peak]
    };
    let header = ["type", "allocated", "dropped", "left", "bytes left", "peak bytes"];
    lines.extend(table(header, report.kinds.iter().map(row), 1));
    lines.push(String::new());
    let (anonymous, file_pages) = (&report.anonymous, &report.file_pages);
    let rows = compared("anonymous memory", anonymous)
        .into_iter()
        .chain(compared("pages of files", file_pages));
    lines.extend(table(["", "registered", "resident", "difference"], rows, 1));
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
    lines.extend((unlisted > 0).then(|| format!("and {unlisted} more contradictions")));
    lines.extend(
        report
            .torn_line
            .map(|line| format!("line {line}, the last one, is not whole")),
    );
    lines.extend(
        report
            .is_unended()
            .then(|| "the process was killed, or still runs".to_owned()),
    );
    lines.push(verdict(report));
    lines
}

fn compared(what: &str, comparison: &Comparison) -> [[String; 4]; 2] {
    let row = |when: &str, registered: u64, growth: i128| {
        let difference = signed_bytes(growth - i128::from(registered));
        [
            format!("{what}, {when}"),
            human_bytes(registered),
            signed_bytes(growth),
            difference,
        ]
    };
    [
        row("most", comparison.registered_peak_bytes, comparison.growth_peak_bytes()),
        row("end", comparison.registered_end_bytes, comparison.growth_end_bytes()),
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

fn answer(report: &MemoryReport) -> Answer<'_> {
    let types = report.kinds.iter().fold(Answer::default(), |types, (kind, count)| {
        types.field(
            kind.name(),
            fields!(count; allocated, dropped, left(), bytes_left, peak_bytes),
        )
    });
    let left = report.left.iter().map(|((kind, place), left)| {
        let answer = Answer::default()
            .field("type", kind.name())
            .field("place", place.as_str());
        answer.and(fields!(left; count, bytes))
    });
    let flags = report.flags.iter();
    let flags = flags.map(|flag| fields!(flag; line, id).field("contradiction", flag.contradiction.words()));
    let compared = |comparison: &Comparison| {
        fields!(comparison; registered_peak_bytes, registered_end_bytes, resident_first_bytes, resident_peak_bytes,
            resident_end_bytes)
    };
    Answer::default()
        .field("clean", report.is_clean())
        .and(fields!(report; events, elapsed_ms))
        .field("types", types)
        .field("left", Value::each(left))
        .field("contradictions", Value::each(flags))
        .field("contradiction_count", report.flag_count)
        .field("torn_line", report.torn_line)
        .field("anonymous", compared(&report.anonymous))
        .field("file_pages", compared(&report.file_pages))
        .text(as_text(report))
}
