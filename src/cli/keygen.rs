//! `keymill keygen`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;
use keymill::keydir::Secret;
use keymill::memory::Limit;
use keymill::{CancelHandle, KeyDefaults, KeyRequest, KeygenJob, Manifest, Progress, Summary};
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::failure::Failure;
use super::input::secret_file;
use super::output::{human_bytes, print_json, print_lines, say};
use super::process::keep_files_private;
use super::progress::{Memory, Reporter};
use super::request::RequestArguments;
use crate::config::{ProgressStyle, Settings};

/// Exit code of a program that a second signal ends at once.
const INTERRUPTED: i32 = 130;

/// Flags of keygen.
#[derive(Debug, Args)]
pub struct KeygenArguments {
    /// The key directory: absent, empty, or one that an earlier run began.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    request: RequestArguments,
}

/// Makes or finishes the key and prints its public key.
pub fn run(arguments: &KeygenArguments, settings: &Settings) -> Result<ExitCode, Failure> {
    keep_files_private();
    let settings = arguments.request.settings(settings);
    let request = key_request(&arguments.request)?;
    let defaults = KeyDefaults {
        scheme: settings.scheme,
        epochs: settings.epochs,
        trim: settings.trim,
    };
    let cancel = CancelHandle::default();
    stop_on_signals(&cancel).map_err(|error| Failure::machine(error.to_string()))?;
    let job = KeygenJob::open(
        &arguments.directory,
        &request,
        &defaults,
        settings.job_options(),
        cancel,
    )?;
    // It holds the secret, which the job reads from its directory.
    drop(request);
    let job_at_hand = JobAtHand {
        directory: &arguments.directory,
        manifest: job.manifest().clone(),
        budget: job.memory().and_then(|memory| memory.budget.clone()),
    };
    job_at_hand.finish(settings.progress, arguments.request.json, |progress| job.run(progress))
}

/// A job that was opened: what is shown of it while it runs and when it is done.
pub(super) struct JobAtHand<'a> {
    pub(super) directory: &'a Path,
    pub(super) manifest: Manifest,
    pub(super) budget: Option<Limit>,
}

impl JobAtHand<'_> {
    /// Runs it, shows how far it is, and prints what it did.
    pub(super) fn finish<E: Into<Failure>>(
        &self,
        style: ProgressStyle,
        json: bool,
        run: impl FnOnce(&dyn Progress) -> Result<Summary, E>,
    ) -> Result<ExitCode, Failure> {
        let style = match self.manifest.root() {
            Some(_) => ProgressStyle::None,
            None => style,
        };
        let reporter = Reporter::new(style, self.manifest.plan());
        let (outcome, memory) = reporter.watch(|progress| run(progress))?;
        report(&outcome.map_err(Into::into)?, &memory, self, json)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn key_request(arguments: &RequestArguments) -> Result<KeyRequest, Failure> {
    let secret = match (&arguments.seed_file, &arguments.prf_key_file) {
        (Some(path), _) => Some(Secret::Seed(*secret_file("--seed-file", path)?)),
        (_, Some(path)) => Some(Secret::PrfKey(*secret_file("--prf-key-file", path)?)),
        (None, None) => None,
    };
    Ok(KeyRequest {
        scheme: arguments.scheme,
        activation_epoch: arguments.activation_epoch,
        epochs: arguments.epochs,
        secret,
        parameter: arguments.parameter.map(|parameter| parameter.0),
        fillers: None,
        trim: arguments.trim,
        restored: None,
    })
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

fn report(summary: &Summary, memory: &Memory, job: &JobAtHand<'_>, json: bool) -> Result<(), Failure> {
    let JobAtHand { manifest, budget, .. } = job;
    let budget = budget.as_ref();
    let seconds = summary.elapsed.as_secs_f64();
    let rate = summary.epochs_computed as f64 / seconds;
    let public_key = hex::encode(&summary.public_key);
    match &summary.arena {
        None => say(format_args!(
            "keymill: '{}' is already finished; nothing to do",
            job.directory.display()
        )),
        Some(arena) => say(format_args!(
            "keymill: sealed; {} epochs in {seconds:.1} s, {rate:.0} epochs a second; peak memory {}, anonymous {}{}; \
             workers' arenas filled to {} of {} bytes",
            summary.epochs_computed,
            human_bytes(memory.now.peak_bytes),
            human_bytes(memory.anonymous_bytes_max),
            budget.map_or(String::new(), |limit| {
                format!(" of a budget of {} ({})", human_bytes(limit.bytes), limit.source)
            }),
            arena.high_water_bytes,
            arena.capacity_bytes
        )),
    }
    if json {
        return print_json(&json!({
            "public_key": public_key,
            "scheme": manifest.scheme().id(),
            "key_id": manifest.key_id().to_string(),
            "was_sealed": summary.was_sealed,
            "epochs_computed": summary.epochs_computed,
            "elapsed_ms": summary.elapsed.as_millis() as u64,
            "peak_bytes": memory.now.peak_bytes,
            "anonymous_bytes_max": memory.anonymous_bytes_max,
            "budget_bytes": budget.map(|limit| limit.bytes),
            "budget_source": budget.map(|limit| limit.source.to_string()),
            "arena_high_water_bytes": summary.arena.map(|arena| arena.high_water_bytes),
            "arena_capacity_bytes": summary.arena.map(|arena| arena.capacity_bytes),
        }));
    }
    print_lines([public_key])
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
