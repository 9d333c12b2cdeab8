//! `keymill migrate`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::failure::Failure;
use super::output::{print_json, print_lines};
use super::process::keep_files_private;

/// Flags of migrate.
#[derive(Debug, Args)]
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
    if arguments.json {
        print_json(&json!({ "steps": titles, "done": !arguments.dry_run && !titles.is_empty() }))?;
    } else if titles.is_empty() {
        print_lines(["nothing to do: the directory has the present format"])?;
    } else {
        print_lines(titles)?;
    }
    Ok(ExitCode::SUCCESS)
}
