//! The command line: the only place that prints. One file a command.

mod advice;
mod answer;
mod cpu;
mod export;
mod failure;
mod forms;
#[cfg(any(test, fuzzing))]
pub mod hostile;
mod input;
mod join;
mod messages;
mod output;

mod backup;
mod check;
mod generate;
mod import;
mod keygen;
mod keystore;
mod ledger;
mod memory_report;
mod merge_sets;
mod migrate;
mod part;
mod passphrase;
mod path;
mod plan;
mod process;
mod progress;
mod public_key;
mod repair;
mod report;
mod request;
mod restore;
mod schemes;
#[cfg(feature = "serve")]
mod serve;
mod shell;
mod shell_files;
mod sign;
mod small_parts;
mod split;
mod status;
mod streams;
mod trace;
mod tree;
mod trim;
mod verify;
mod verify_set;
mod version;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgAction, Parser, Subcommand};
use tracing::Level;

use crate::config::{ProgressStyle, Settings, parse_progress};
use failure::Failure;

/// Makes hash-based signature keys that are bigger than memory, and serves paths and signatures from disk.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Arguments {
    /// Settings file; see config.toml in the repository for every setting.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Write a line to this new file whenever something long-lived (a mapping, a file, a thread) begins or ends; see
    /// memory-report.
    #[arg(long, global = true, value_name = "FILE")]
    trace_memory: Option<PathBuf>,

    /// Say more: -v steps and extra figures, -vv also each commit, -vvv everything. As KEYMILL_LOG with info, debug and
    /// trace. With --version: how this program was built.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,

    /// Print only errors to standard error, and show no progress, whatever --progress says.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,

    /// How a command that works for long shows it: auto, bar, plain, json, none. With json, every line on standard error is a
    /// JSON object.
    #[arg(long, global = true, value_name = "STYLE", value_parser = parse_progress)]
    progress: Option<ProgressStyle>,

    #[command(subcommand)]
    command: Command,

    /// Its answer goes to a file.
    #[arg(skip)]
    answers_in_file: bool,
}

impl Arguments {
    /// How much is to be said, if flags tell.
    fn log(&self) -> Option<Level> {
        match (self.quiet, self.verbose) {
            (true, _) => Some(Level::ERROR),
            (false, 0) => None,
            (false, 1) => Some(Level::INFO),
            (false, 2) => Some(Level::DEBUG),
            (false, _) => Some(Level::TRACE),
        }
    }
}

/// In the order of [`tree::GROUPS`].
#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key, or go on with one that was interrupted.
    Keygen(keygen::KeygenArguments),
    /// Show what keygen would write and need; write nothing.
    Plan(plan::PlanArguments),
    /// Begin a key that is made in parts on many machines.
    Split(split::SplitArguments),
    /// Make one part of a key that was split, anywhere.
    Part(part::PartArguments),
    /// Put the parts of a key together; exit code 1 if any is missing.
    Join(join::JoinArguments),
    /// Delete a finished key's lowest levels; paths then compute them.
    Trim(trim::TrimArguments),
    /// Print the public key.
    PublicKey(public_key::PublicKeyArguments),
    /// Sign a message at an epoch.
    Sign(sign::SignArguments),
    /// Verify a signature; exit code 0 if it is valid, 1 if not.
    Verify(verify::VerifyArguments),
    /// Print authentication paths.
    Path(path::PathArguments),
    /// Show, begin, export or import the ledger of spent epochs.
    Ledger(ledger::LedgerArguments),
    /// Serve signatures and paths of keys over HTTP.
    #[cfg(feature = "serve")]
    Serve(serve::ServeArguments),
    /// Check a key for damage; exit code 1 if there is any.
    Check(check::CheckArguments),
    /// Compute what is damaged of a key again from its secret.
    Repair(repair::RepairArguments),
    /// Print as text what to keep of a key; anyone who has it can sign.
    Backup(backup::BackupArguments),
    /// Make a key again from what backup printed, or go on with it.
    Restore(restore::RestoreArguments),
    /// Put the secret under a passphrase, or move it so.
    Keystore(keystore::KeystoreArguments),
    /// Make the key of another program's secret key, or go on with it.
    Import(import::ImportArguments),
    /// Write the secret key in the form of another program.
    Export(export::ExportArguments),
    /// Bring a key directory to the present format.
    Migrate(migrate::MigrateArguments),
    /// Make a set of validators' keys as hash-sig-cli does, or go on.
    Generate(generate::GenerateArguments),
    /// Merge sets that were made in parts; the parts stay as they are.
    MergeSets(merge_sets::MergeSetsArguments),
    /// Check every key of a set; exit code 1 if anything is wrong.
    VerifySet(verify_set::VerifySetArguments),
    /// Show the progress of a key; also while it is being made.
    Status(status::StatusArguments),
    /// Draw the history of a key for a browser; also while it is made.
    Report(report::ReportArguments),
    /// List the schemes.
    Schemes(schemes::SchemesArguments),
    /// List what a memory trace never gave back; exit code 1 if any.
    MemoryReport(memory_report::MemoryReportArguments),
    /// Write manual pages and completions below a prefix, as tools/install does.
    #[command(hide = true)]
    ShellFiles(shell_files::ShellFilesArguments),
}

/// Runs the program.
pub fn main() -> ExitCode {
    process::keep_memory_private();
    std::panic::set_hook(Box::new(messages::panicked));
    if let Err(error) = output::outlive_size_limits() {
        return Failure::machine(format!("signals cannot be caught: {error}")).report();
    }
    let arguments = match tree::parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(error) if error.kind() == ErrorKind::DisplayVersion && version::is_verbose(std::env::args_os().skip(1)) => {
            return version::print_all();
        }
        // Also --help and --version, which are not errors and exit with 0.
        Err(error) => return output::print_told(&error),
    };
    match run(&arguments) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    if !arguments.answers_in_file {
        // Before anything is done that would be done in vain.
        streams::refuse_closed_output()?;
    }
    let environment = std::env::vars_os().filter_map(|(name, value)| {
        // A name that is not text is not ours; a value that is not text is shown as well as it can be, and then refused.
        Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
    });
    let mut settings = Settings::load(arguments.config.as_deref(), environment)?;
    (settings.progress, settings.quiet) = (arguments.progress, arguments.quiet);
    messages::start_logging(settings.log(arguments.log())?);
    // A setting that is wrong stops the commands that show progress, and those alone.
    if settings.progress().is_ok_and(|style| style == ProgressStyle::Json) {
        messages::write_json();
    }
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let command = || run_command(&arguments.command, &settings);
    match &arguments.trace_memory {
        Some(path) => trace::traced(path, command),
        None => command(),
    }
}

fn run_command(command: &Command, settings: &Settings) -> Result<ExitCode, Failure> {
    match command {
        Command::Keygen(arguments) => keygen::run(arguments, settings),
        Command::Generate(arguments) => generate::run(arguments, settings),
        Command::MergeSets(arguments) => merge_sets::run(arguments, settings),
        Command::VerifySet(arguments) => verify_set::run(arguments, settings),
        Command::Import(arguments) => import::run(arguments, settings),
        Command::Export(arguments) => export::run(arguments, settings),
        Command::Plan(arguments) => plan::run(arguments, settings),
        Command::Status(arguments) => status::run(arguments),
        Command::PublicKey(arguments) => public_key::run(arguments),
        Command::Path(arguments) => path::run(arguments),
        Command::Sign(arguments) => sign::run(arguments),
        Command::Ledger(arguments) => ledger::run(arguments, settings),
        #[cfg(feature = "serve")]
        Command::Serve(arguments) => serve::run(arguments, settings),
        Command::Verify(arguments) => verify::run(arguments),
        Command::Check(arguments) => check::run(arguments, settings),
        Command::Repair(arguments) => repair::run(arguments, settings),
        Command::Backup(arguments) => backup::run(arguments),
        Command::Restore(arguments) => restore::run(arguments, settings),
        Command::Keystore(arguments) => keystore::run(arguments, settings),
        Command::Report(arguments) => report::run(arguments),
        Command::Trim(arguments) => trim::run(arguments),
        Command::Split(arguments) => split::run(arguments, settings),
        Command::Part(arguments) => part::run(arguments, settings),
        Command::Join(arguments) => join::run(arguments, settings),
        Command::Schemes(arguments) => schemes::run(arguments),
        Command::Migrate(arguments) => migrate::run(arguments),
        Command::MemoryReport(arguments) => memory_report::run(arguments, settings),
        Command::ShellFiles(arguments) => shell_files::run(arguments),
    }
}
