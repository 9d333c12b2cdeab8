//! `keymill generate`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Args, ValueEnum};
use keymill::sets::{LeanvmRevision, Role, SetForms, SetJob, SetRequest};
use keymill::support::counted;
use keymill::xmss::scheme::KeyForms;
use keymill::{CancelHandle, Level, Scheme};

use super::answer::{Answer, fields};
use super::failure::Failure;
use super::input::secret_file;
use super::keygen::stop_on_signals;
use super::messages::{self, say};
use super::output::{human_bytes, human_duration, refuse_in_key};
use super::passphrase::SealArguments;
use super::process::keep_files_private;
use super::progress::{MetricsArguments, Reporter};
use super::request::MachineArguments;
use crate::config::{Settings, parse_level, parse_scheme};

/// The forms in which keys of leanSig are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    /// SSZ files.
    Ssz,
    /// SSZ files, and JSON files beside them.
    Both,
}

impl ExportFormat {
    fn forms(self) -> SetForms {
        match self {
            Self::Ssz => SetForms::Ssz,
            Self::Both => SetForms::SszAndJson,
        }
    }
}

/// So many secrets that are made again are named each.
const NAMED_SECRETS_MAX: usize = 16;

/// Flags of generate. The first six are those of hash-sig-cli.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("kept").args(["keep_dirs", "keys_only"])))]
#[command(after_help = r"Examples:
  Make the keys of 4 validators for 2^18 epochs, or go on with them after an interruption:
    keymill generate --num-validators 4 --log-num-active-epochs 18 --output-dir new-keys
  Keys of leanVM, as 'ethlambda keygen' makes them:
    keymill generate --num-validators 4 --log-num-active-epochs 18 --output-dir leanvm-keys \
        --scheme leanvm-blake2s-l32-ts-v42-w8
  Keys that sign by one ledger, for a service that holds all of them:
    keymill generate --num-validators 4 --log-num-active-epochs 18 \
        --keys-only --output-dir served-keys
  The same with their secrets under a passphrase, which the service needs too:
    keymill generate --num-validators 4 --log-num-active-epochs 18 \
        --keys-only --seal --passphrase-file passphrase --output-dir sealed-keys
  The second half of a set, of one seed, two validators at a time, in SSZ alone:
    keymill generate --num-validators 2 --start-index 2 --log-num-active-epochs 18 \
        --seed-file seed --jobs 2 --export-format ssz --output-dir second-half
  The first of two parts of that set:
    keymill generate --num-validators 4 --part 0/2 --log-num-active-epochs 18 \
        --seed-file seed --export-format ssz --output-dir first-half")]
pub struct GenerateArguments {
    /// Number of validators.
    #[arg(long, value_name = "N")]
    num_validators: u64,
    /// Each key is for 2^K epochs, from epoch 0 on.
    #[arg(long, value_name = "K")]
    log_num_active_epochs: u8,
    /// Directory of the set: absent, or one that an earlier run began; other files in it are left alone.
    #[arg(long, value_name = "DIR")]
    output_dir: PathBuf,
    /// Form of the key files: by default both; those of schemes of leanVM have one form and take no such flag.
    #[arg(long, value_enum)]
    export_format: Option<ExportFormat>,
    /// Whether to write validator-keys-manifest.yaml when all keys are finished.
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, default_value_t = true,
          default_missing_value = "true")]
    create_manifest: bool,
    /// Name files by the first and last three bytes of the proposer's public key instead of the index.
    #[arg(long)]
    distributed: bool,

    /// Scheme of the keys; `keymill schemes` lists them.
    #[arg(long, value_name = "ID", value_parser = parse_scheme)]
    scheme: Option<&'static Scheme>,
    /// Revision of leanVM that the manifest names, 40 hex digits; for schemes of leanVM. Without it, the one that is known to make
    /// such keys, if there is one.
    #[arg(long, value_name = "REV", value_parser = parse_revision)]
    leanvm_rev: Option<LeanvmRevision>,
    /// Index of the first validator, so that parts of a set can be made on several machines; see merge-sets.
    #[arg(long, value_name = "I", default_value_t = 0)]
    start_index: u64,
    /// Make the keys of a part of these validators alone: part I of N, counted from 0, as a batch system numbers its tasks;
    /// see merge-sets.
    #[arg(long, value_name = "I/N", value_parser = parse_part)]
    part: Option<SetPart>,
    /// Keys that each validator has.
    #[arg(long, value_name = "ROLES", value_delimiter = ',', value_parser = parse_role,
          default_value = "proposer,attester")]
    roles: Vec<Role>,
    /// Validators whose keys are made side by side; they share threads and memory.
    #[arg(long, value_name = "J", value_parser = parse_jobs, default_value = "1")]
    jobs: usize,
    /// Keep the key directories, beside the key files. They sign only after 'ledger init'; then do not use the key files.
    #[arg(long)]
    keep_dirs: bool,
    /// Make key directories without secret key files, for 'keymill serve': their secrets leave nowhere, so they sign at once, and they
    /// have one ledger. There is no manifest.
    #[arg(long, conflicts_with_all = ["keep_dirs", "export_format", "seed_file", "restore_secrets", "leanvm_rev"])]
    keys_only: bool,
    /// Lowest level that kept key directories store, 0 to 10.
    #[arg(long, value_name = "L", value_parser = parse_level, requires = "kept")]
    trim: Option<Level>,
    /// Derive the seed of every key from the one in this file (32 bytes, or 64 hex digits) instead of fresh ones.
    #[arg(long, value_name = "FILE")]
    seed_file: Option<PathBuf>,
    #[command(flatten)]
    secret: SealArguments,
    /// Make secret key files of finished keys again that are missing, from the seed or from kept directories; they may have
    /// signed elsewhere.
    #[arg(long)]
    restore_secrets: bool,
    /// Overwrite key files and a manifest that are there.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    machine: MachineArguments,
    #[command(flatten)]
    metrics: MetricsArguments,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// One of several parts of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SetPart {
    index: u64,
    parts: u64,
}

impl SetPart {
    /// The first of its validators and their number, of so many that begin with 0.
    fn of(self, validators: u64) -> (u64, u64) {
        let at = |index: u64| (u128::from(index) * u128::from(validators) / u128::from(self.parts)) as u64;
        (at(self.index), at(self.index + 1) - at(self.index))
    }
}

fn parse_part(text: &str) -> Result<SetPart, String> {
    let part = text.split_once('/').and_then(|(index, parts)| {
        let (index, parts) = (index.parse().ok()?, parts.parse().ok()?);
        (index < parts).then_some(SetPart { index, parts })
    });
    part.ok_or_else(|| "expected I/N with I below N, as 0/8".to_owned())
}

fn parse_role(text: &str) -> Result<Role, String> {
    Role::by_name(text).ok_or_else(|| "expected proposer, attester, or both with a comma between".to_owned())
}

fn parse_revision(text: &str) -> Result<LeanvmRevision, String> {
    LeanvmRevision::parse(text).ok_or_else(|| "expected 40 hex digits in lower case".to_owned())
}

fn parse_jobs(text: &str) -> Result<usize, String> {
    let jobs = text.parse().ok().filter(|jobs| (1..=256).contains(jobs));
    jobs.ok_or_else(|| "expected a number of validators from 1 to 256".to_owned())
}

/// Makes or finishes the set, and prints where its manifest is.
pub fn run(arguments: &GenerateArguments, settings: &Settings) -> Result<ExitCode, Failure> {
    let public_mode = keep_files_private();
    let job_settings = arguments.machine.job(settings)?;
    refuse_in_key("--output-dir", &arguments.output_dir)?;
    let metrics = arguments.metrics.begin(&arguments.output_dir, public_mode)?;
    let request = request(arguments, settings, public_mode)?;
    let cancel = CancelHandle::default();
    stop_on_signals(&cancel).map_err(|error| Failure::machine(error.to_string()))?;
    let scheme = request.scheme;
    let (start_index, num_validators) = (request.start_index, request.validators);
    let revision = request.named_revision();
    let directory = &arguments.output_dir;
    let job = SetJob::open(directory, request, job_settings.machine, arguments.jobs, cancel);
    if let (Some(metrics), Err(_)) = (&metrics, &job) {
        metrics.end(&job);
    }
    let job = job?;
    if let Some(seed) = &arguments.seed_file {
        messages::warn(format_args!(
            "every key of '{}' follows from --seed-file '{}', here and wherever that file was used before: let each key sign \
             from its file in this set alone",
            directory.display(),
            seed.display()
        ));
    }
    warn_of_restored(&job.restored_secrets());
    let reporter = Reporter::for_set(job_settings.progress, job.plan()).noted_in(metrics.as_ref());
    let (outcome, memory) = reporter.watch(|progress| job.run(progress))?;
    if let Some(metrics) = &metrics {
        metrics.end(&outcome);
    }
    let summary = outcome?;
    let (made, found) = (summary.keys_made, summary.keys_found);
    let place = directory.display();
    if made == 0 {
        say(format_args!(
            "'{place}' was finished already, with {}; none was made",
            counted(found, "key")
        ));
    } else {
        let elapsed = human_duration(summary.elapsed);
        say(format_args!(
            "'{place}' is finished: {} made in {elapsed}, {found} found there",
            counted(made, "key")
        ));
        tracing::info!("peak memory {}", human_bytes(memory.now.peak_bytes));
    }
    let manifest = directory.join("validator-keys-manifest.yaml");
    let manifest = (arguments.create_manifest && !arguments.keys_only).then_some(manifest);
    let is_of_leanvm = scheme.family().key_forms() == KeyForms::Leanvm;
    if is_of_leanvm && manifest.is_some() && revision.is_none() {
        say(format_args!(
            "the manifest of '{place}' has no leanvm_rev, since it is not known here which revision of leanVM makes keys of {}; the \
             same command with --leanvm-rev REV writes it",
            scheme.id()
        ));
    }
    Answer::default()
        .field("directory", directory.clone())
        .field("manifest", manifest.clone())
        .field("scheme", scheme.id())
        .field("leanvm_rev", revision.map(|revision| revision.to_string()))
        .field("log_num_active_epochs", arguments.log_num_active_epochs)
        .field("start_index", start_index)
        .field("num_validators", num_validators)
        .and(fields!(summary; keys_made, keys_found))
        .field("elapsed_ms", summary.elapsed.as_millis() as u64)
        .field("peak_bytes", memory.now.peak_bytes)
        .text(manifest.map(|path| path.display().to_string()))
        .print(arguments.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Said before the first of them is made: it counts also if the run does not come to its end.
fn warn_of_restored(secrets: &[PathBuf]) {
    for secret in secrets.iter().take(NAMED_SECRETS_MAX) {
        messages::warn(format_args!(
            "'{}' is made again; the key must sign in one place only",
            secret.display()
        ));
    }
    if let more @ 1.. = secrets.len().saturating_sub(NAMED_SECRETS_MAX) {
        messages::warn(format_args!(
            "so are {more} more secret keys; each of them must sign in one place only"
        ));
    }
}

/// The first validator, and their number.
fn validators(arguments: &GenerateArguments) -> Result<(u64, u64), Failure> {
    let (start_index, validators) = (arguments.start_index, arguments.num_validators);
    let Some(part) = arguments.part else {
        return Ok((start_index, validators));
    };
    let (before, of_part) = part.of(validators);
    if of_part == 0 && validators > 0 {
        return Err(Failure::usage(format!(
            "part {} of {} of {} has none: lower the number of parts in --part",
            part.index,
            part.parts,
            counted(validators, "validator")
        )));
    }
    Ok((start_index.saturating_add(before), of_part))
}

fn request(arguments: &GenerateArguments, settings: &Settings, public_mode: u32) -> Result<SetRequest, Failure> {
    let seed = arguments
        .seed_file
        .as_ref()
        .map(|path| secret_file("--seed-file", path));
    let is_asked = |role: &Role| arguments.roles.contains(role);
    let (start_index, validators) = validators(arguments)?;
    Ok(SetRequest {
        scheme: settings.scheme(arguments.scheme)?,
        log_epochs: arguments.log_num_active_epochs,
        start_index,
        validators,
        roles: Role::ALL.into_iter().filter(is_asked).collect(),
        is_distributed: arguments.distributed,
        forms: arguments.export_format.map(ExportFormat::forms),
        with_manifest: arguments.create_manifest,
        leanvm_rev: arguments.leanvm_rev,
        keeps_directories: arguments.keep_dirs,
        keys_only: arguments.keys_only,
        trim: if arguments.keep_dirs || arguments.keys_only {
            settings.trim(arguments.trim)?
        } else {
            // It goes as soon as its files are written.
            Level(0)
        },
        seed: seed.transpose()?,
        passphrase: arguments.secret.passphrase()?,
        restores_secrets: arguments.restore_secrets,
        overwrites: arguments.force,
        public_mode,
    })
}
