//! `keymill keygen`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;
use keymill::memory::Limit;
use keymill::support::counted;
use keymill::{CancelHandle, KeygenBuilder, KeygenJob, Manifest, Origin, Summary};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::answer::Answer;
use super::failure::Failure;
use super::messages::{say, warn_of_other_copies};
use super::output::{hex_digits, human_bytes, human_duration};
use super::passphrase::SealArguments;
use super::process::keep_files_private;
use super::progress::{Memory, MetricsArguments, MetricsFile, Reporter};
use super::request::{JobSettings, KeyArguments, RequestArguments};
use super::shell::command;
use crate::config::{ProgressStyle, Settings};

/// Exit code of a program that a second signal ends at once.
const INTERRUPTED: i32 = 130;

/// Flags of keygen.
#[derive(Debug, Args)]
#[command(after_help = r"Examples:
  Make a key of 2^18 epochs, or go on with it after an interruption:
    keymill keygen key --scheme leansig-p2-l32-top-v64-w8 --epochs 2^18
  Go on with the key in a directory:
    keymill keygen key
  Make the key of a given seed, and show what is done as JSON lines:
    keymill keygen new-key --seed-file seed --progress json 2>progress.jsonl
  Make a key that stores one byte in 16, in at most 64 MiB of memory:
    keymill keygen small-key --trim 4 --memory 64M
  Make a key whose secret is under a passphrase from the beginning:
    keymill keygen sealed-key --seal --passphrase-file passphrase
  Write figures of the job for Prometheus, by node_exporter's textfile collector:
    keymill keygen watched-key --metrics-file keymill.prom")]
pub struct KeygenArguments {
    /// The key directory: absent, empty, or one that an earlier run began.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    request: RequestArguments,
    #[command(flatten)]
    secret: SealArguments,
    #[command(flatten)]
    metrics: MetricsArguments,
}

/// Makes or finishes the key and prints its public key.
pub fn run(arguments: &KeygenArguments, settings: &Settings) -> Result<ExitCode, Failure> {
    let public_mode = keep_files_private();
    let metrics = arguments.metrics.begin(&arguments.directory, public_mode)?;
    let job = arguments.request.machine.job(settings)?;
    let request = arguments.request.key.request()?;
    let asked = KeygenJob::builder(&arguments.directory)
        .request(request)
        .defaults(KeyArguments::defaults(settings)?);
    let done = work_noted_in(metrics.as_ref(), arguments.secret.apply(asked)?, job, 0)?;
    if let Some(metrics) = &metrics {
        metrics.end(&done);
    }
    let done = done?;
    arguments.secret.warn_if_plain(&arguments.directory);
    done.report(&arguments.directory, arguments.request.json)?;
    if !done.summary.was_sealed {
        say_how_it_signs(done.manifest.origin(), &arguments.directory);
    }
    Ok(ExitCode::SUCCESS)
}

/// What comes next, of a key that was finished just now.
pub(super) fn say_how_it_signs(origin: Origin, directory: &Path) {
    let typed = |template: &str| command(template, directory);
    say(match origin {
        Origin::Fresh => format!("to sign: {}", typed("keymill sign {} --epoch N --message HEX32")),
        Origin::Seed | Origin::PrfKey => format!(
            "before it signs: {}, with N above every epoch used elsewhere",
            typed("keymill ledger init {} --first-epoch N")
        ),
    });
}

/// A job that has come to its end.
pub(super) struct Done {
    manifest: Manifest,
    pub(super) summary: Summary,
    memory: Memory,
    budget: Option<Limit>,
    pub(super) has_taken_secret: bool,
}

/// Makes or finishes a key and shows how far it is, until it is done or a signal stops it. The caller holds so many bytes
/// meanwhile. Where the job takes a secret, it warns of other copies.
pub(super) fn work(
    asked: KeygenBuilder,
    settings: JobSettings,
    held_bytes: u64,
) -> Result<keymill::Result<Done>, Failure> {
    work_noted_in(None, asked, settings, held_bytes)
}

/// The same, with its figures in a file.
fn work_noted_in(
    metrics: Option<&MetricsFile>,
    asked: KeygenBuilder,
    settings: JobSettings,
    held_bytes: u64,
) -> Result<keymill::Result<Done>, Failure> {
    let cancel = CancelHandle::default();
    stop_on_signals(&cancel).map_err(|error| Failure::machine(error.to_string()))?;
    let options = settings.machine.held_bytes(held_bytes);
    let job = match asked.options(options).cancel(cancel).open() {
        Ok(job) => job,
        Err(error) => return Ok(Err(error)),
    };
    let has_taken_secret = job.has_taken_secret();
    if has_taken_secret {
        warn_of_other_copies();
    }
    let manifest = job.manifest().clone();
    let budget = job.memory().and_then(|memory| memory.budget.clone());
    let style = match manifest.root() {
        Some(_) => ProgressStyle::None,
        None => settings.progress,
    };
    let reporter = Reporter::new(style, manifest.plan()).noted_in(metrics);
    let (outcome, memory) = reporter.watch(|progress| job.run(progress))?;
    Ok(outcome.map(|summary| Done {
        manifest,
        summary,
        memory,
        budget,
        has_taken_secret,
    }))
}

/// The first SIGINT or SIGTERM asks the job to stop, a second one ends the program at once.
pub(super) fn stop_on_signals(cancel: &CancelHandle) -> std::io::Result<()> {
    // Not the flag of the job, which is also set when memory runs short: a first signal has to let it commit.
    let is_signalled = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag unset, passes, and sets it.
        signal_hook::flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&is_signalled))?;
        signal_hook::flag::register(signal, Arc::clone(&is_signalled))?;
        signal_hook::flag::register(signal, cancel.flag())?;
    }
    Ok(())
}

impl Done {
    /// Says how the job went, and prints the public key.
    pub(super) fn report(&self, directory: &Path, as_json: bool) -> Result<(), Failure> {
        let (summary, memory, budget) = (&self.summary, &self.memory, self.budget.as_ref());
        let (epochs, place) = (summary.epochs_computed, directory.display());
        if summary.was_sealed && self.has_taken_secret {
            say(format_args!(
                "'{place}' was finished before; its secret was missing and is written again, and its ledger does not say any \
                 more which epochs are unused"
            ));
        } else if summary.was_sealed {
            say(format_args!("'{place}' is already finished; nothing to do"));
        } else {
            let elapsed = human_duration(summary.elapsed);
            let stored = self.manifest.plan().stored().count();
            let done = if epochs == stored {
                format!("{} in {elapsed}", counted(stored, "epoch"))
            } else {
                format!(
                    "{} ({epochs} computed in this run, {elapsed})",
                    counted(stored, "epoch")
                )
            };
            let public_key = command("keymill public-key {}", directory);
            say(format_args!(
                "'{place}' is finished: {done}; {public_key} prints its public key"
            ));
            self.tell_figures();
        }
        let public_key = hex_digits(&summary.public_key);
        Answer::default()
            .field("public_key", public_key.as_str())
            .field("scheme", self.manifest.scheme().id())
            .field("key_id", self.manifest.key_id())
            .field("was_sealed", summary.was_sealed)
            .field("epochs_computed", epochs)
            .field("elapsed_ms", summary.elapsed.as_millis() as u64)
            .field("peak_bytes", memory.now.peak_bytes)
            .field("anonymous_bytes_max", memory.anonymous_bytes_max)
            .field("budget_bytes", budget.map(|limit| limit.bytes))
            .field("budget_source", budget.map(|limit| limit.source.to_string()))
            .field(
                "arena_high_water_bytes",
                summary.arena.map(|arena| arena.high_water_bytes),
            )
            .field("arena_capacity_bytes", summary.arena.map(|arena| arena.capacity_bytes))
            .text([public_key])
            .print(as_json)
    }

    /// What the job took, for those who want to know.
    fn tell_figures(&self) {
        let rate = self.summary.epochs_computed as f64 / self.summary.elapsed.as_secs_f64();
        let (peak, anonymous) = (
            human_bytes(self.memory.now.peak_bytes),
            human_bytes(self.memory.anonymous_bytes_max),
        );
        let budget = self.budget.as_ref().map_or(String::new(), |limit| {
            format!(" of a budget of {} ({})", human_bytes(limit.bytes), limit.source)
        });
        tracing::info!("{rate:.0} epochs a second; peak memory {peak}, anonymous {anonymous}{budget}");
        if let Some(arena) = &self.summary.arena {
            let (high_water, capacity) = (arena.high_water_bytes, arena.capacity_bytes);
            tracing::info!("workers' arenas filled to {high_water} of {capacity} bytes");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// If it did, the test would end with the whole program.
    #[test]
    fn the_first_signal_does_not_end_a_job_that_is_ending_for_another_reason() {
        let cancel = CancelHandle::default();
        stop_on_signals(&cancel).unwrap();
        cancel.cancel();
        signal_hook::low_level::raise(SIGTERM).unwrap();
        assert!(cancel.is_cancelled());
    }
}
