//! `keymill backup`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keymill::exchange::backup::Backup;

use super::failure::Failure;
use super::output::SecretOutArguments;

/// Flags of backup.
#[derive(Debug, Args)]
pub struct BackupArguments {
    /// The key directory, finished or not; only its manifest and its secret are read.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    out: SecretOutArguments,
}

/// Prints the text.
pub fn run(arguments: &BackupArguments) -> Result<ExitCode, Failure> {
    let text = Backup::of(&arguments.directory)?.to_text();
    arguments.out.write(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
