//! The command line: the only place that prints. One file a command.

mod cpu;
mod failure;
#[cfg(any(test, fuzzing))]
pub mod hostile;
mod input;
mod output;

mod backup;
#[cfg(feature = "keygen")]
mod check;
#[cfg(feature = "keygen")]
mod keygen;
#[cfg(feature = "keygen")]
mod ledger;
mod memory_report;
#[cfg(feature = "keygen")]
mod migrate;
mod path;
mod plan;
mod process;
#[cfg(feature = "keygen")]
mod progress;
mod public_key;
#[cfg(feature = "keygen")]
mod repair;
#[cfg(feature = "keygen")]
mod report;
mod request;
#[cfg(feature = "keygen")]
mod restore;
mod schemes;
#[cfg(feature = "keygen")]
mod sign;
#[cfg(feature = "keygen")]
mod status;
mod trace;
#[cfg(feature = "keygen")]
mod trim;
mod verify;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Settings;
use failure::Failure;

/// Makes hash-based signature keys that are bigger than memory, and serves paths and signatures from disk.
#[derive(Debug, Parser)]
#[command(
    version,
    propagate_version = true,
    after_help = "Exit codes: 0 done; 1 the answer is no (verify: invalid, check: damage found, memory-report: something was left, sign: the epoch has \
                  signed another message or an unknown one, ledger show: the key cannot sign, ledger import: an \
                  epoch has signed two messages); 2 wrong usage or input; 3 the directory is damaged, locked, or not \
                  what was asked for; 4 the machine failed (disk, memory): resumable; 130 interrupted: resumable."
)]
struct Arguments {
    /// Settings file; see config.toml in the repository for every setting.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Write a line to this new file whenever something long-lived (a mapping, a file, a thread) begins or ends; see
    /// memory-report.
    #[arg(long, global = true, value_name = "FILE")]
    trace_memory: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key, or go on with one that was interrupted.
    #[cfg(feature = "keygen")]
    Keygen(keygen::KeygenArguments),
    /// Show what keygen would write and need; write nothing.
    Plan(plan::PlanArguments),
    /// Show how far a key is; also while it is being made.
    #[cfg(feature = "keygen")]
    Status(status::StatusArguments),
    /// Print the public key.
    PublicKey(public_key::PublicKeyArguments),
    /// Print authentication paths.
    Path(path::PathArguments),
    /// Sign a message at an epoch.
    #[cfg(feature = "keygen")]
    Sign(sign::SignArguments),
    /// Show, begin, export or import the ledger of spent epochs.
    #[cfg(feature = "keygen")]
    Ledger(ledger::LedgerArguments),
    /// Verify a signature; exit code 0 if it is valid, 1 if not.
    Verify(verify::VerifyArguments),
    /// Check a key for damage; exit code 1 if there is any.
    #[cfg(feature = "keygen")]
    Check(check::CheckArguments),
    /// Compute what is damaged of a key again from its secret.
    #[cfg(feature = "keygen")]
    Repair(repair::RepairArguments),
    /// Print what must be kept of a key, as text that can be typed in: whoever has it can sign.
    Backup(backup::BackupArguments),
    /// Make a key again from what backup printed, or go on with one that was interrupted.
    #[cfg(feature = "keygen")]
    Restore(restore::RestoreArguments),
    /// Draw how a key came to be, as a page for a browser; also while it is being made.
    #[cfg(feature = "keygen")]
    Report(report::ReportArguments),
    /// Delete the lowest levels of a finished key; paths then compute them from the secret.
    #[cfg(feature = "keygen")]
    Trim(trim::TrimArguments),
    /// List the schemes.
    Schemes(schemes::SchemesArguments),
    /// Bring a key directory to the present format.
    #[cfg(feature = "keygen")]
    Migrate(migrate::MigrateArguments),
    /// Tell from what --trace-memory wrote what was never given back; exit code 1 if there is anything.
    MemoryReport(memory_report::MemoryReportArguments),
}

/// Runs the program.
pub fn main() -> ExitCode {
    process::keep_memory_private();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // Also --help and --version, which are no errors and exit with 0.
        Err(error) => error.exit(),
    };
    match run(&arguments) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let environment = std::env::vars_os().filter_map(|(name, value)| {
        // A name that is no text is not ours; a value that is none is shown as well as it can be, and then refused.
        Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
    });
    let settings = Settings::load(arguments.config.as_deref(), environment)?;
    tracing_subscriber::fmt()
        .with_max_level(settings.log)
        .with_writer(std::io::stderr)
        .without_time()
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        // It would report a standard error that nobody reads on standard error, and panic.
        .log_internal_errors(false)
        .init();
    output::outlive_size_limits().map_err(|error| Failure::machine(format!("signals cannot be caught: {error}")))?;
    let command = || obey(&arguments.command, &settings);
    match &arguments.trace_memory {
        Some(path) => trace::traced(path, command),
        None => command(),
    }
}

fn obey(command: &Command, settings: &Settings) -> Result<ExitCode, Failure> {
    match command {
        #[cfg(feature = "keygen")]
        Command::Keygen(arguments) => keygen::run(arguments, settings),
        Command::Plan(arguments) => plan::run(arguments, settings),
        #[cfg(feature = "keygen")]
        Command::Status(arguments) => status::run(arguments),
        Command::PublicKey(arguments) => public_key::run(arguments),
        Command::Path(arguments) => path::run(arguments),
        #[cfg(feature = "keygen")]
        Command::Sign(arguments) => sign::run(arguments),
        #[cfg(feature = "keygen")]
        Command::Ledger(arguments) => ledger::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
        #[cfg(feature = "keygen")]
        Command::Check(arguments) => check::run(arguments, settings),
        #[cfg(feature = "keygen")]
        Command::Repair(arguments) => repair::run(arguments, settings),
        Command::Backup(arguments) => backup::run(arguments),
        #[cfg(feature = "keygen")]
        Command::Restore(arguments) => restore::run(arguments, settings),
        #[cfg(feature = "keygen")]
        Command::Report(arguments) => report::run(arguments),
        #[cfg(feature = "keygen")]
        Command::Trim(arguments) => trim::run(arguments),
        Command::Schemes(arguments) => schemes::run(arguments),
        #[cfg(feature = "keygen")]
        Command::Migrate(arguments) => migrate::run(arguments),
        Command::MemoryReport(arguments) => memory_report::run(arguments),
    }
}
