//! `keymill restore`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keymill::KeygenJob;
use keymill::exchange::Backup;
use keymill::support::without_mark;

use super::failure::Failure;
use super::input::secret_text;
use super::keygen::work;
use super::messages::say;
use super::passphrase::SealArguments;
use super::process::keep_files_private;
use super::request::MachineArguments;
use super::shell::command;
use crate::config::Settings;

/// Far more than the longest text has, also where every character is typed with blanks around it.
const TEXT_BYTES_MAX: usize = 128 << 10;

/// Flags of restore.
#[derive(Debug, Args)]
#[command(after_help = r"Examples:
  Make a key again, or go on with that after an interruption:
    keymill restore restored --from backup.txt
  Read what is typed in, to its end:
    cat backup.txt | keymill restore restored --from -")]
pub struct RestoreArguments {
    /// The key directory: absent, empty, or one in which the same key was begun.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// What `keymill backup` printed; - for standard input.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    #[command(flatten)]
    secret: SealArguments,
    #[command(flatten)]
    machine: MachineArguments,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Makes or finishes the key and prints its public key.
pub fn run(arguments: &RestoreArguments, settings: &Settings) -> Result<ExitCode, Failure> {
    keep_files_private();
    let job = arguments.machine.job(settings)?;
    let backup = read(arguments)?;
    let directory = &arguments.directory;
    let asked = KeygenJob::builder(directory).request(backup.request(directory)?);
    let asked = arguments.secret.apply(asked)?;
    // It holds the secret, which the job reads from its directory.
    drop(backup);
    let done = work(asked, job, 0)??;
    arguments.secret.warn_if_plain(directory);
    if !done.summary.was_sealed || done.has_taken_secret {
        say(format_args!(
            "no other copy of the key may sign any more; 'keymill ledger import' the newest export of \
             its ledger, then run {}, with N above every epoch that may have signed",
            command("keymill ledger init {} --first-epoch N", directory)
        ));
    }
    done.report(directory, arguments.json)?;
    Ok(ExitCode::SUCCESS)
}

fn read(arguments: &RestoreArguments) -> Result<Backup, Failure> {
    let path = &arguments.from;
    let content = secret_text("--from", path, TEXT_BYTES_MAX)?;
    let text = std::str::from_utf8(&content).map_err(|error| {
        let place = error.valid_up_to();
        Failure::usage(format!(
            "--from '{}' is not text: byte {place} is not UTF-8",
            path.display()
        ))
    })?;
    Backup::parse(without_mark(text)).map_err(|error| {
        let path = path.display();
        Failure::usage(format!("--from '{path}': {error}"))
    })
}
