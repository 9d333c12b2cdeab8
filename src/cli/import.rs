//! `keymill import`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use keymill::exchange::Import;
use keymill::exchange::secret_key::SecretKeyForm;
use keymill::sets::Role;
use keymill::{Error, KeyDefaults, KeygenJob, Level, Reason, Scheme};

use super::failure::Failure;
use super::forms;
use super::input::{CAN_SIGN, warn_if_exposed};
use super::keygen::work;
use super::messages::say;
use super::passphrase::SealArguments;
use super::process::keep_files_private;
use super::request::MachineArguments;
use super::shell::command;
use crate::config::{Settings, parse_level, parse_scheme};

/// Flags of import.
#[derive(Debug, Args)]
#[command(after_help = r"Examples:
  Make the key of a secret key that leanSig wrote:
    keymill import imported --from validator.ssz
  Say which scheme it is of, where its trees are those of several:
    keymill import imported --from validator.ssz --scheme leansig-p2-l32-top-v64-w8
  Make the key of a secret key that leanVM wrote, in whichever of its encodings:
    keymill import imported --from validator_0_sk.ssz")]
pub struct ImportArguments {
    /// The key directory to make: absent, empty, or one that an earlier import of the same file began.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The secret key of the other program.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Its form; recognised when left out.
    #[arg(long, value_parser = forms::form())]
    format: Option<SecretKeyForm>,
    /// Which key of a leanSpec key file is meant.
    #[arg(long, value_parser = forms::role())]
    role: Option<Role>,
    /// Its scheme; recognised when left out, where only one fits.
    #[arg(long, value_name = "ID", value_parser = parse_scheme)]
    scheme: Option<&'static Scheme>,
    /// Lowest level to store, 0 to 10: a path of the key then takes 2^L leaves, which are computed from the secret.
    #[arg(long, value_name = "L", value_parser = parse_level)]
    trim: Option<Level>,
    #[command(flatten)]
    secret: SealArguments,
    #[command(flatten)]
    machine: MachineArguments,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Makes the key of the file, compares both, and prints the public key.
pub fn run(arguments: &ImportArguments, settings: &Settings) -> Result<ExitCode, Failure> {
    keep_files_private();
    if arguments.from == Path::new("-") {
        return Err(Failure::usage(
            "--from has to name a file: '-' is not taken for standard input (a file of that name is './-')",
        ));
    }
    let job = arguments.machine.job(settings)?;
    let trim = settings.trim(None)?;
    let (form, role) = (arguments.format, arguments.role);
    warn_if_exposed("--from", &arguments.from, CAN_SIGN);
    let import = Import::read(&arguments.from, form, role, arguments.scheme, job.machine.memory)?;
    let directory = &arguments.directory;
    let epochs = import.file().head().shape.stored().count();
    let asked = KeygenJob::builder(directory)
        .request(import.request(arguments.trim))
        .defaults(KeyDefaults::new(import.scheme(), epochs).trim(trim));
    let asked = arguments.secret.apply(asked)?;
    let held_bytes = import.file().held_bytes();
    let done = work(asked, job, held_bytes)?;
    let done = done.map_err(|error| named(error, &import, directory))?;
    import.compare(directory)?;
    arguments.secret.warn_if_plain(directory);
    let (path, scheme) = (arguments.from.display(), import.scheme().id());
    let window = import.file().head().shape.window();
    let compared = window.map_or("root and top tree", |_| "root, top tree and window");
    say(format_args!(
        "{compared} are those of '{path}', a secret key of {scheme}"
    ));
    if !done.summary.was_sealed || done.has_taken_secret {
        say(format_args!(
            "the key signs here only when it is known which epochs are unused: 'keymill ledger import' its history, then run \
             {}, with N above every epoch that may have signed",
            command("keymill ledger init {} --first-epoch N", directory)
        ));
    }
    done.report(directory, arguments.json)?;
    Ok(ExitCode::SUCCESS)
}

/// What the job says in the words of `keygen`, in those of an import; of a tree with another root, the first node that differs.
fn named(error: Error, import: &Import, directory: &Path) -> Failure {
    match error.reason() {
        Reason::OtherKey => import.other_key(directory).into(),
        Reason::OtherRoot => import.compare(directory).err().map_or(error.into(), Failure::from),
        _ => error.into(),
    }
}
