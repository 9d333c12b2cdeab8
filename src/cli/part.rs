//! `keymill part`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keymill::CancelHandle;
use keymill::parts::{PartIndex, PartJob, PartReport, PartRequest};
use keymill::support::counted;

use super::answer::Answer;
use super::failure::Failure;
use super::keygen::stop_on_signals;
use super::messages::say;
use super::output::human_duration;
use super::passphrase::PassphraseArguments;
use super::process::keep_files_private;
use super::progress::Reporter;
use super::request::MachineArguments;
use crate::config::{Settings, parse_count};

/// Flags of part.
#[derive(Debug, Args)]
#[command(after_help = r"Examples:
  Make the first part, or go on with it:
    keymill part shared/ticket.toml --index 0 --secret-file shared/secret --work scratch \
        --out parts")]
pub struct PartArguments {
    /// The ticket of the key, which split wrote.
    #[arg(value_name = "FILE")]
    ticket: PathBuf,
    /// Which part, counted from 0.
    #[arg(long, value_name = "I", value_parser = parse_count)]
    index: u64,
    /// The secret of the key: a copy of its secret or keystore.json, for its owner's eyes alone.
    #[arg(long, value_name = "FILE")]
    secret_file: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArguments,
    /// Where the part is made: a directory on a disk of this machine.
    #[arg(long, value_name = "DIR")]
    work: PathBuf,
    /// Where its file is published when it is whole; may be a shared file system.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    machine: MachineArguments,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Makes the part and prints the name of its file.
pub fn run(arguments: &PartArguments, settings: &Settings) -> Result<ExitCode, Failure> {
    keep_files_private();
    let job = arguments.machine.job(settings)?;
    let cancel = CancelHandle::default();
    stop_on_signals(&cancel).map_err(|error| Failure::machine(error.to_string()))?;
    let request = PartRequest::new(&arguments.ticket, PartIndex(arguments.index), &arguments.secret_file)
        .through(&arguments.work, &arguments.out)
        .passphrase(arguments.passphrase.read()?);
    let part = PartJob::open(request, job.machine, cancel)?;
    let reporter = Reporter::new(job.progress, part.plan());
    let (report, _) = reporter.watch(|progress| part.run(progress))?;
    let report = report?;
    tell(arguments.index, &report);
    answer(arguments.index, &report).print(arguments.json)?;
    Ok(ExitCode::SUCCESS)
}

fn tell(index: u64, report: &PartReport) {
    let file = report.file.display();
    if report.was_there {
        say(format_args!("part {index} is in '{file}' already; nothing to do"));
        return;
    }
    let epochs = counted(report.epochs.count(), "epoch");
    let elapsed = human_duration(report.elapsed);
    let computed = report.epochs_computed;
    let of_them = if computed == report.epochs.count() {
        format!("in {elapsed}")
    } else {
        format!("({computed} computed in this run, {elapsed})")
    };
    say(format_args!("part {index} is in '{file}': {epochs} {of_them}"));
}

fn answer(index: u64, report: &PartReport) -> Answer<'static> {
    Answer::default()
        .field("file", report.file.clone())
        .field("index", index)
        .field("first_epoch", report.epochs.start)
        .field("end_epoch", report.epochs.end)
        .field("file_bytes", report.file_bytes)
        .field("was_there", report.was_there)
        .field("epochs_computed", report.epochs_computed)
        .field("elapsed_ms", report.elapsed.as_millis() as u64)
        .text([report.file.display().to_string()])
}
