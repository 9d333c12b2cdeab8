//! `keymill export`.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use keymill::KeyPlace;
use keymill::exchange::secret_key::SecretKeyForm;
use keymill::exchange::{Exporter, Window, write_leanspec};
use keymill::memory::Limits;
use keymill::sets::Role;

use super::failure::Failure;
use super::forms;
use super::messages::{say, warn_of_other_copies};
use super::output::{OutArguments, PRIVATE_OUT, broken};
use super::passphrase::PassphraseArguments;
use super::request::MemoryArgument;
use super::shell::command;
use crate::config::{Settings, parse_count};

/// Flags of export.
#[derive(Debug, Args)]
#[command(after_help = r"Examples:
  Write the secret key as leanSig does:
    keymill export key --format leansig-ssz --out secret-key.ssz
  With epoch 200 among those that leanSig can sign at once:
    keymill export key --format leansig-json --epoch 200 --out secret-key.json
  Write the secret key as clients of leanVM do:
    keymill export leanvm-key --format leanvm-postcard --out validator_1_sk.ssz")]
#[command(mut_arg("out", |out| out.help(PRIVATE_OUT)))]
pub struct ExportArguments {
    /// The key directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArguments,
    /// The form of the other program.
    #[arg(long, value_parser = forms::form())]
    format: SecretKeyForm,
    /// An epoch that leanSig has to be able to sign for at once, with each of the keys [default: the first one].
    #[arg(long, value_name = "N", value_parser = parse_count)]
    epoch: Option<u64>,
    /// Which key of a leanSpec key file DIR is [default: attestation].
    #[arg(long, value_parser = forms::role())]
    role: Option<Role>,
    /// The key directory of the other key of a leanSpec key file: another key of the same scheme.
    #[arg(long, value_name = "DIR2")]
    with: Option<PathBuf>,
    #[command(flatten)]
    out: OutArguments,
    /// Replace the file of --out if there is one.
    #[arg(long, requires = "out")]
    force: bool,
    #[command(flatten)]
    memory: MemoryArgument,
}

/// Writes the secret key.
pub fn run(arguments: &ExportArguments, settings: &Settings) -> Result<ExitCode, Failure> {
    let has_roles = arguments.format.has_roles();
    if !has_roles && (arguments.role.is_some() || arguments.with.is_some()) {
        return Err(Failure::usage("--role and --with go with --format leanspec-json only"));
    }
    if arguments.epoch.is_some() && !arguments.format.has_window() {
        return Err(Failure::usage(
            "--epoch goes with forms of leanSig only: with a key of leanVM, all epochs sign alike",
        ));
    }
    if arguments.out.is_standard_output() && std::io::stdout().is_terminal() {
        return Err(Failure::usage(
            "a secret key is not written to a terminal, which may remember it; name a file with --out, or send it to a \
             program",
        ));
    }
    arguments.out.check_private(arguments.force)?;
    let role = arguments.role.unwrap_or(Role::Attester);
    let passphrase = arguments.passphrase.read()?;
    let open = |directory: &Path| Exporter::open(KeyPlace::new(directory).passphrase(passphrase.as_ref()));
    let exporter = open(&arguments.directory)?;
    let other = arguments.with.as_deref().map(open).transpose()?;
    let exporters: Vec<&Exporter> = [&exporter].into_iter().chain(&other).collect();
    exporters
        .iter()
        .try_for_each(|exporter| exporter.check_form(arguments.format))?;
    Exporter::reading(&exporters, arguments.memory.or(settings)?).plan(&Limits::detect())?;
    let window = exporter.window(arguments.epoch)?;
    let other = other.as_ref().map(|other| other.window(arguments.epoch)).transpose()?;
    let write = |writer: &mut dyn Write| written(arguments.format, role, &window, other.as_ref(), writer);
    arguments.out.write_private(arguments.force, write)?;
    say_what_was_written(&arguments.directory, &window, arguments.format);
    match (&arguments.with, &other) {
        (Some(directory), Some(other)) => say_what_was_written(directory, other, arguments.format),
        _ if has_roles => say(format_args!(
            "the file holds the {} key alone; --with DIR2 adds the other one",
            role.duty()
        )),
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn written(
    format: SecretKeyForm,
    role: Role,
    window: &Window<'_>,
    other: Option<&Window<'_>>,
    writer: &mut dyn Write,
) -> Result<(), Failure> {
    let outcome = match (format.has_roles(), role, other) {
        (false, ..) => window.write(format, writer),
        (true, role, None) => write_leanspec(&[(role, window)], writer),
        (true, Role::Attester, Some(other)) => write_leanspec(&[(role, window), (Role::Proposer, other)], writer),
        (true, Role::Proposer, Some(other)) => write_leanspec(&[(Role::Attester, other), (role, window)], writer),
    };
    outcome.map_err(|error| match error.io() {
        // The output's own failure, whose name the library does not know.
        Some(source) if error.path().is_none() => broken(source),
        _ => error.into(),
    })
}

/// The other program knows nothing of the ledger.
fn say_what_was_written(directory: &Path, window: &Window<'_>, format: SecretKeyForm) {
    let typed = |template: &str| command(template, directory);
    let (directory, name) = (directory.display(), format.encoding());
    match window.shape().window() {
        Some(epochs) => say(format_args!(
            "wrote the secret key of '{directory}' in {name}, with the window {epochs}: these epochs can sign at once"
        )),
        None => say(format_args!("wrote the secret key of '{directory}' in {name}")),
    }
    warn_of_other_copies();
    let (show, begin) = (
        typed("keymill ledger show {}"),
        typed("keymill ledger init {} --first-epoch N"),
    );
    say(format_args!(
        "the program that takes it does not know which epochs the ledger of '{directory}' has spent ({show}). \
         '{directory}' will not sign again until you run {begin}. \
         Choose N so that the exported file never signs epoch N or later"
    ));
}
