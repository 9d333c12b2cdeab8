//! `keymill backup`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keymill::KeyPlace;
use keymill::exchange::Backup;

use super::failure::Failure;
use super::messages::{warn, warn_of_other_copies};
use super::output::{OutArguments, PRIVATE_OUT, broken};
use super::passphrase::PassphraseArguments;

/// Flags of backup.
#[derive(Debug, Args)]
#[command(after_help = r"Examples:
  Print what must be kept of a key, on paper:
    keymill backup key >paper
  Write it to a file of your own:
    keymill backup key --out other-backup.txt")]
#[command(mut_arg("out", |out| out.help(PRIVATE_OUT)))]
pub struct BackupArguments {
    /// The key directory, finished or not; only its manifest and its secret are read.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArguments,
    #[command(flatten)]
    out: OutArguments,
    /// Replace the file of --out if there is one.
    #[arg(long, requires = "out")]
    force: bool,
}

/// Prints the text.
pub fn run(arguments: &BackupArguments) -> Result<ExitCode, Failure> {
    arguments.out.check_private(arguments.force)?;
    let passphrase = arguments.passphrase.read()?;
    let backup = Backup::of(KeyPlace::new(&arguments.directory).passphrase(passphrase.as_ref()))?;
    if backup.public_key().is_none() {
        warn(format_args!(
            "the key in '{}' is not finished: finish one copy of it alone, there or from the backup, since two that are \
             finished do not know what the other one has signed",
            arguments.directory.display()
        ));
    }
    warn_of_other_copies();
    let text = backup.to_text();
    arguments.out.write_private(arguments.force, |writer| {
        writer.write_all(text.as_bytes()).map_err(|error| broken(&error))
    })?;
    Ok(ExitCode::SUCCESS)
}
