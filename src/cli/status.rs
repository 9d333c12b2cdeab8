//! `keymill status`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keymill::KeyState;
use keymill::audit::{KeyStatus, status};

use super::answer::{Answer, fields};
use super::failure::Failure;
use super::messages::say_left_over;
use super::output::{hex_digits, human_bytes};
use super::passphrase::form_words;

/// Flags of status.
#[derive(Debug, Args)]
#[command(after_help = r"Examples:
  Show the progress of a key:
    keymill status key
  The same for a program:
    keymill status key --json")]
pub struct StatusArguments {
    /// The key directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Prints the status.
pub fn run(arguments: &StatusArguments) -> Result<ExitCode, Failure> {
    let status = status(&arguments.directory)?;
    answer(&status).print(arguments.json)?;
    say_left_over(&status.left_over);
    Ok(ExitCode::SUCCESS)
}

/// Epochs a second of the run that committed last.
fn rate(status: &KeyStatus) -> Option<f64> {
    let progress = &status.progress;
    let elapsed_ms = progress.committed_unix_ms.checked_sub(progress.run_started_unix_ms)?;
    (elapsed_ms > 0).then(|| progress.run_epochs as f64 * 1000.0 / elapsed_ms as f64)
}

/// What a key is in the middle of.
pub fn state_name(state: KeyState, writer: Option<&String>) -> &'static str {
    match (state, writer) {
        (KeyState::Sealed, _) => "sealed",
        (KeyState::Generating, Some(_)) => "generating",
        (KeyState::Generating, None) => "interrupted",
    }
}

fn answer(status: &KeyStatus) -> Answer<'_> {
    let (manifest, plan) = (&status.manifest, status.manifest.plan());
    let (done, all) = (status.batches_done, plan.batches().count());
    let percent = 100.0 * done as f64 / all as f64;
    let rate = rate(status);
    let (form, form_text) = form_words(status.secret_form);
    let rate_text = rate.map(|rate| format!("{rate:.0} epochs a second in the last run"));
    Answer::default()
        .fact("state", state_name(manifest.state(), status.writer.as_ref()))
        .fact("key_id", manifest.key_id())
        .key(plan)
        .field("origin", manifest.origin().to_string())
        .field("batches", all)
        .shown("batches_done", done, format!("{done} of {all} ({percent:.1}%)"))
        .field("secret_form", form)
        .line("secret", form_text.map(str::to_owned))
        .field("disk_bytes", status.disk_bytes)
        .line("bytes on disk", human_bytes(status.disk_bytes))
        .field("epochs_per_second", rate)
        .line("rate", rate_text)
        .field("last_commit_unix_ms", status.progress.committed_unix_ms)
        .field(
            "arena_high_water_bytes",
            status.arena.map(|arena| arena.high_water_bytes),
        )
        .field("arena_capacity_bytes", status.arena.map(|arena| arena.capacity_bytes))
        .and(fields!(status; left_over))
        .fact("writer", status.writer.clone())
        .fact("public_key", manifest.public_key().map(hex_digits))
}
