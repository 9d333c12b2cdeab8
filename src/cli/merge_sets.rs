//! `keymill merge-sets`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keymill::sets::merge_sets;

use super::answer::{Answer, fields};
use super::failure::Failure;
use super::messages::say;
use super::output::refuse_in_key;
use super::process::keep_files_private;
use super::request::MemoryArgument;
use crate::config::Settings;

/// So many directories that are not copied are named each.
const NAMED_DIRECTORIES_MAX: usize = 16;

/// Flags of merge-sets.
#[derive(Debug, Args)]
#[command(after_help = r"Examples:
  Put two parts of a set together:
    keymill merge-sets part-a part-b --out merged")]
pub struct MergeSetsArguments {
    /// The sets; each has to have its manifest.
    #[arg(value_name = "DIR", required = true, num_args = 1..)]
    sets: Vec<PathBuf>,
    /// Directory of the merged set: absent, or one that an interrupted merge of the same sets began.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    memory: MemoryArgument,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Merges, and prints where the manifest is.
pub fn run(arguments: &MergeSetsArguments, settings: &Settings) -> Result<ExitCode, Failure> {
    let public_mode = keep_files_private();
    refuse_in_key("--out", &arguments.out)?;
    let report = merge_sets(
        &arguments.sets,
        &arguments.out,
        public_mode,
        arguments.memory.or(settings)?,
    )?;
    for directory in report.directories_left.iter().take(NAMED_DIRECTORIES_MAX) {
        say(format_args!(
            "'{}' was not copied: move it yourself if the key is to sign from it, since of two copies only one \
             may ever sign",
            directory.display()
        ));
    }
    if let more @ 1.. = report.directories_left.len().saturating_sub(NAMED_DIRECTORIES_MAX) {
        say(format_args!(
            "nor were {more} more such directories; --json lists all of them"
        ));
    }
    Answer::default()
        .field("directory", arguments.out.clone())
        .and(fields!(report; manifest, files, directories_left))
        .field("num_validators", report.validators)
        .text([report.manifest.display().to_string()])
        .print(arguments.json)?;
    Ok(ExitCode::SUCCESS)
}
