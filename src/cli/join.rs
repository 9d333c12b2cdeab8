//! `keymill join`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keymill::CancelHandle;
use keymill::parts::{BadPart, JoinReport, JoinRequest, Joining, MissingPart, PartFiles, TakenPart};
use keymill::support::counted;

use super::answer::{Answer, Value};
use super::failure::Failure;
use super::keygen::{say_how_it_signs, stop_on_signals};
use super::output::hex_digits;
use super::passphrase::PassphraseArguments;
use super::process::keep_files_private;
use super::progress::Reporter;
use super::request::MachineArguments;
use super::shell::{command, command_with_set};
use crate::config::{Settings, parse_count};

/// Bad and missing parts that are named one by one; there can be thousands.
const NAMED_MAX: usize = 20;

/// Flags of join.
#[derive(Debug, Args)]
#[command(after_help = r"Examples:
  Put in the parts that are there, and finish the key if none is missing:
    keymill join big-key parts
  Compare more of each part with the secret:
    keymill join big-key parts --sample 100000
  Keep the files of the parts in the key, instead of copying what is in them:
    keymill join big-key parts --adopt")]
pub struct JoinArguments {
    /// The key directory, which split made.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The directory with the files of the parts. Unless they are adopted, they stay as they are, and are not needed any more when
    /// the key is finished.
    #[arg(value_name = "DIR2")]
    parts: PathBuf,
    /// How many nodes of each part to compute from the secret and compare [default: as many as find one wrong leaf of 500 with
    /// 99.9 %].
    #[arg(long, value_name = "N", value_parser = parse_count)]
    sample: Option<u64>,
    /// Move the files of the parts into the key, which then reads its lowest levels from them: nothing is copied, and no further
    /// space is needed. They have to be on the file system of the key.
    #[arg(long, conflicts_with = "copy")]
    adopt: bool,
    /// Copy what is in the parts into layer files, as keygen makes them [default, unless the key was begun with --adopt].
    #[arg(long)]
    copy: bool,
    #[command(flatten)]
    passphrase: PassphraseArguments,
    #[command(flatten)]
    machine: MachineArguments,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Joins what is there, and says what is missing.
pub fn run(arguments: &JoinArguments, settings: &Settings) -> Result<ExitCode, Failure> {
    keep_files_private();
    let job = arguments.machine.job(settings)?;
    let cancel = CancelHandle::default();
    stop_on_signals(&cancel).map_err(|error| Failure::machine(error.to_string()))?;
    let mut request = JoinRequest::new(&arguments.directory, &arguments.parts);
    request.sample = arguments.sample;
    request.files = match (arguments.adopt, arguments.copy) {
        (true, _) => Some(PartFiles::Adopted),
        (_, true) => Some(PartFiles::Copied),
        (false, false) => None,
    };
    request.passphrase = arguments.passphrase.read()?;
    let joining = Joining::open(request, job.machine, cancel)?;
    let origin = joining.manifest().origin();
    let reporter = Reporter::new(job.progress, joining.manifest().plan());
    let (report, _) = reporter.watch(|progress| joining.run(progress))?;
    let report = report?;
    if report.summary.as_ref().is_some_and(|summary| !summary.was_sealed) {
        say_how_it_signs(origin, &arguments.directory);
    }
    answer(&report, arguments).print(arguments.json)?;
    Ok(match report.summary {
        Some(_) => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    })
}

fn answer<'a>(report: &'a JoinReport, arguments: &JoinArguments) -> Answer<'a> {
    let taken = |part: &TakenPart| {
        Answer::default()
            .field("file", part.file.clone())
            .field("first_epoch", part.epochs.start)
            .field("end_epoch", part.epochs.end)
            .field("was_there", part.was_there)
    };
    let bad = |part: &BadPart| {
        Answer::default()
            .field("file", part.file.clone())
            .field("what", part.what.clone())
            .field("overlaps_first_epoch", part.overlaps.map(|overlapped| overlapped.start))
            .field("overlaps_end_epoch", part.overlaps.map(|overlapped| overlapped.end))
    };
    let missing = |part: &MissingPart| {
        Answer::default()
            .field("index", part.index.map(|index| index.0))
            .field("first_epoch", part.epochs.start)
            .field("end_epoch", part.epochs.end)
    };
    let public_key = report.summary.as_ref().map(|summary| hex_digits(&summary.public_key));
    Answer::default()
        .field("public_key", public_key.clone())
        .field("was_sealed", report.summary.as_ref().map(|summary| summary.was_sealed))
        .field("taken", Value::each(report.taken.iter().map(taken)))
        .field("bad", Value::each(report.bad.iter().map(bad)))
        .field("missing", Value::each(report.missing.iter().map(missing)))
        .text(lines(report, arguments))
        .text(public_key)
}

fn lines(report: &JoinReport, arguments: &JoinArguments) -> Vec<String> {
    let mut lines = Vec::new();
    let before = report.taken.iter().filter(|part| part.was_there).count();
    if !report.taken.is_empty() {
        let count = counted(report.taken.len() as u64, "part");
        let before = if before == 0 {
            String::new()
        } else {
            format!(", {before} of them before")
        };
        lines.push(format!("taken: {count}{before}"));
    }
    for BadPart {
        file, what, overlaps, ..
    } in report.bad.iter().take(NAMED_MAX)
    {
        let file = file.display();
        let advice = match overlaps {
            None => "put a copy that is right and your own in its place, or make it again".to_owned(),
            Some(part) => format!(
                "move the part {part} out of the key and join again, or make parts of the epochs that are missing"
            ),
        };
        lines.push(format!("left out: '{file}': {what}; {advice}"));
    }
    if let Some(more) = report.bad.len().checked_sub(NAMED_MAX + 1) {
        lines.push(format!("left out: {} more", more + 1));
    }
    for part in report.missing.iter().take(NAMED_MAX) {
        lines.push(missing_line(part, report.files, arguments));
    }
    if let Some(more) = report.missing.len().checked_sub(NAMED_MAX + 1) {
        lines.push(format!("missing: {} more; --json names all of them", more + 1));
    }
    lines
}

fn missing_line(part: &MissingPart, files: PartFiles, arguments: &JoinArguments) -> String {
    let epochs = part.epochs;
    let Some(index) = part.index else {
        if files == PartFiles::Adopted {
            let split = command("keymill split {} --parts N", &arguments.directory);
            return format!("missing: the epochs {epochs}; {split} writes a ticket to make them with");
        }
        let keygen = command("keymill keygen {}", &arguments.directory);
        return format!("missing: the epochs {epochs}; {keygen} makes them here");
    };
    let ticket = arguments.directory.join("ticket.toml");
    let part = command_with_set(
        &format!("keymill part {{}} --index {index} --secret-file FILE --work SCRATCH --out {{set}}"),
        &ticket,
        &arguments.parts,
    );
    format!("missing: part {index}, the epochs {epochs}: {part} makes it")
}
