//! `keymill keystore`: secrets under a passphrase.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use keymill::exchange::{KeystoreExport, SecretTurn, read_keystore, seal_secret, unseal_secret};
use keymill::{KeyPlace, KeygenJob, Level};

use super::answer::Answer;
use super::failure::Failure;
use super::keygen::work;
use super::messages::{say, warn_of_other_copies};
use super::output::{OutArguments, PRIVATE_OUT, broken};
use super::passphrase::PassphraseArguments;
use super::process::keep_files_private;
use super::request::MachineArguments;
use super::shell::command;
use crate::config::{Settings, parse_level};

/// Flags of keystore.
#[derive(Debug, Args)]
pub struct KeystoreArguments {
    #[command(subcommand)]
    command: KeystoreCommand,
}

#[derive(Debug, Subcommand)]
enum KeystoreCommand {
    /// Put the secret of a key under a passphrase: DIR/secret becomes DIR/keystore.json.
    ///
    /// The plain text is deleted when the keystore is on the disk and was opened from there. What the disk keeps of deleted files
    /// is another matter: a key that is made with 'keygen --seal' was never there as plain text.
    #[command(after_help = r"Examples:
  Put the secret of a key under the passphrase in a file:
    keymill keystore seal key --passphrase-file passphrase")]
    Seal(TurnArguments),
    /// Write the secret of a key as plain text again: DIR/keystore.json becomes DIR/secret.
    #[command(after_help = r"Examples:
  Take the secret of a key out of its keystore:
    keymill keystore open key --passphrase-file passphrase")]
    Open(TurnArguments),
    /// Write a keystore of a finished key for elsewhere. The key then signs only after a new beginning of its ledger.
    #[command(after_help = r"Examples:
  Write a keystore that another machine can open with the passphrase:
    keymill keystore export key --out elsewhere.json --passphrase-file passphrase")]
    #[command(mut_arg("out", |out| out.help(PRIVATE_OUT)))]
    Export(ExportArguments),
    /// Make the key of a keystore. It signs only after a beginning of its ledger.
    #[command(after_help = r"Examples:
  Make the key of a keystore, or go on with that after an interruption:
    keymill keystore import imported --from keystore.json \
        --passphrase-file passphrase")]
    Import(ImportArguments),
}

#[derive(Debug, Args)]
struct TurnArguments {
    /// The key directory, finished or not.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArguments,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ExportArguments {
    /// The key directory. A secret that is under a passphrase there has to be under the same one.
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

#[derive(Debug, Args)]
struct ImportArguments {
    /// The key directory to make: absent, empty, or one in which the same key was begun.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The keystore.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArguments,
    /// Lowest level to store, 0 to 10: a path of the key then takes 2^L leaves, which are computed from the secret.
    #[arg(long, value_name = "L", value_parser = parse_level)]
    trim: Option<Level>,
    #[command(flatten)]
    machine: MachineArguments,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Does what was asked with the secret.
pub fn run(arguments: &KeystoreArguments, settings: &Settings) -> Result<ExitCode, Failure> {
    keep_files_private();
    match &arguments.command {
        KeystoreCommand::Seal(arguments) => {
            let turn = seal_secret(&arguments.directory, &arguments.passphrase.required()?)?;
            told(arguments, turn, "keystore.json", "secret")
        }
        KeystoreCommand::Open(arguments) => {
            let turn = unseal_secret(&arguments.directory, &arguments.passphrase.required()?)?;
            told(arguments, turn, "secret", "keystore.json")
        }
        KeystoreCommand::Export(arguments) => run_export(arguments),
        KeystoreCommand::Import(arguments) => run_import(arguments, settings),
    }
}

fn told(arguments: &TurnArguments, turn: SecretTurn, is: &str, was: &str) -> Result<ExitCode, Failure> {
    let directory = arguments.directory.display();
    let (word, what) = match turn {
        SecretTurn::Done => ("done", format!("'{directory}/{was}' is '{directory}/{is}' now")),
        SecretTurn::Finished => (
            "finished",
            format!("'{directory}/{is}' was there already, and '{directory}/{was}' beside it is deleted"),
        ),
        SecretTurn::Already => (
            "already",
            format!("the secret is in '{directory}/{is}' already; nothing to do"),
        ),
    };
    let form = if is == "secret" { "plain" } else { "keystore" };
    let answer = Answer::default().field("secret_form", form).field("turn", word);
    answer.text([what]).print(arguments.json)?;
    Ok(ExitCode::SUCCESS)
}

fn run_export(arguments: &ExportArguments) -> Result<ExitCode, Failure> {
    arguments.out.check_private(arguments.force)?;
    let passphrase = arguments.passphrase.required()?;
    let place = KeyPlace::new(&arguments.directory).passphrase(&passphrase);
    let export = KeystoreExport::open(place, &passphrase)?;
    arguments.out.write_private(arguments.force, |writer| {
        export.write(writer).map_err(|error| match error.io() {
            // The output's own failure, whose name the library does not know.
            Some(source) if error.path().is_none() => broken(source),
            _ => error.into(),
        })
    })?;
    let directory = &arguments.directory;
    warn_of_other_copies();
    say(format_args!(
        "the keystore says which epochs were spent, and not which may sign: whoever opens it needs the ledger of '{}' ({}). '{}' \
         will not sign again until you run {}. Choose N so that no other copy signs epoch N or later",
        directory.display(),
        command("keymill ledger export {}", directory),
        directory.display(),
        command("keymill ledger init {} --first-epoch N", directory)
    ));
    Ok(ExitCode::SUCCESS)
}

fn run_import(arguments: &ImportArguments, settings: &Settings) -> Result<ExitCode, Failure> {
    if arguments.from == Path::new("-") {
        return Err(Failure::usage(
            "--from has to name a file: '-' is not taken for standard input (a file of that name is './-')",
        ));
    }
    let job = arguments.machine.job(settings)?;
    let passphrase = arguments.passphrase.required()?;
    let backup = read_keystore(&arguments.from, &passphrase)?;
    let directory = &arguments.directory;
    let mut request = backup.request(directory)?;
    // It holds the secret, which the job reads from its directory.
    drop(backup);
    request.trim = arguments.trim.or(request.trim);
    let asked = KeygenJob::builder(directory).request(request).seal_secret(passphrase);
    let done = work(asked, job, 0)??;
    if !done.summary.was_sealed || done.has_taken_secret {
        say(format_args!(
            "the key signs here only when it is known which epochs are unused: 'keymill ledger import' the newest export of its \
             ledger, then run {}, with N above every epoch that may have signed",
            command("keymill ledger init {} --first-epoch N", directory)
        ));
    }
    done.report(directory, arguments.json)?;
    Ok(ExitCode::SUCCESS)
}
