//! `keymill migrate`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::answer::Answer;
use super::failure::Failure;
use super::process::keep_files_private;

/// Flags of migrate.
#[derive(Debug, Args)]
#[command(after_help = r"Examples:
  Say what would be done:
    keymill migrate key --dry-run
  Bring a key to the present format:
    keymill migrate key")]
pub struct MigrateArguments {
    /// The key directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Show what would be done; do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Migrates, and prints what was done.
pub fn run(arguments: &MigrateArguments) -> Result<ExitCode, Failure> {
    keep_files_private();
    let titles = keymill::migrate(&arguments.directory, arguments.dry_run)?;
    let nothing = titles
        .is_empty()
        .then(|| "nothing to do: the directory has the present format".to_owned());
    Answer::default()
        .field("steps", titles.clone())
        .field("done", !arguments.dry_run && !titles.is_empty())
        .text(titles.into_iter().chain(nothing))
        .print(arguments.json)?;
    Ok(ExitCode::SUCCESS)
}
