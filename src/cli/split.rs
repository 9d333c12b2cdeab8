//! `keymill split`.

mod job_file;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keymill::KeygenJob;
use keymill::parts::{Split, split};
use keymill::support::counted;

use job_file::Engine;

use super::answer::Answer;
use super::failure::Failure;
use super::messages::{say, warn_of_other_copies};
use super::output::{human_bytes, print_lines};
use super::passphrase::SealArguments;
use super::process::keep_files_private;
use super::request::{DivisionArguments, KeyArguments};
use super::shell::command;
use super::small_parts::warn_of_small_parts;
use crate::config::Settings;

/// Flags of split.
#[derive(Debug, Args)]
#[command(after_help = r"Examples:
  Begin a key of 2^26 epochs that is made in 64 parts:
    keymill split big-key --epochs 2^26 --parts 64
  Begin one of which each part has 2^20 epochs:
    keymill split other-key --epochs 2^26 --part-epochs 2^20
  Print what makes the parts of a key that is divided, on a cluster:
    keymill split big-key --for slurm > big-key.sh")]
pub struct SplitArguments {
    /// The key directory: absent, empty, or one whose key is not finished.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    key: KeyArguments,
    #[command(flatten)]
    secret: SealArguments,
    #[command(flatten)]
    division: DivisionArguments,
    /// Print the file with which this engine makes the parts of a key that is divided, and joins them; write nothing.
    #[arg(
        long = "for",
        value_name = "ENGINE",
        conflicts_with_all = ["DivisionArguments", "json", "SealArguments", "PassphraseArguments", "KeyArguments"]
    )]
    engine: Option<Engine>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Writes manifest, secret and ticket, and says how the key is divided.
pub fn run(arguments: &SplitArguments, settings: &Settings) -> Result<ExitCode, Failure> {
    if let Some(engine) = arguments.engine {
        print_lines(engine.job_file(&arguments.directory)?.lines())?;
        return Ok(ExitCode::SUCCESS);
    }
    keep_files_private();
    let asked = KeygenJob::builder(&arguments.directory)
        .request(arguments.key.request()?)
        .defaults(KeyArguments::defaults(settings)?);
    let asked = arguments.secret.apply(asked)?;
    let split = split(&asked, arguments.division.division())?;
    if split.has_taken_secret {
        warn_of_other_copies();
    }
    tell(&split);
    answer(&split).print(arguments.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Epochs of the largest part.
fn part_epochs_max(split: &Split) -> u64 {
    let plan = split.ticket.key().plan();
    let parts = split.ticket.division().all(plan);
    parts.map(|(_, epochs)| epochs.count()).max().unwrap_or_default()
}

fn tell(split: &Split) {
    let plan = split.ticket.key().plan();
    let parts = split.ticket.division().count(plan);
    warn_of_small_parts(parts, part_epochs_max(split), None);
    let part = command(
        "keymill part {} --index I --secret-file FILE --work SCRATCH --out DIR",
        &split.ticket_file,
    );
    say(format_args!(
        "each part is made by {part}, with I from 0 to {}; whoever has the secret file has the whole key",
        parts - 1
    ));
}

fn answer(split: &Split) -> Answer<'_> {
    let plan = split.ticket.key().plan();
    let parts = split.ticket.division().count(plan);
    let epochs = part_epochs_max(split);
    let bytes = plan.layer_bytes();
    Answer::default()
        .fact("ticket", split.ticket_file.clone())
        .field("key_id", split.ticket.key().key_id())
        .key(plan)
        .shown(
            "parts",
            parts,
            format!("{parts}, of at most {}", counted(epochs, "epoch")),
        )
        .field("part_epochs", epochs)
        .shown("layer_bytes", bytes, human_bytes(bytes))
}
