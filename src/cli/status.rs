//! `keymill status`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use keymill::audit::{KeyStatus, status};
use keymill::keydir::KeyState;
use serde_json::json;

use super::failure::Failure;
use super::messages::say_left_over;
use super::output::{human_bytes, print_json, print_lines, trim_as_text};

/// Flags of status.
#[derive(Debug, Args)]
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
    if arguments.json {
        print_json(&as_json(&status))?;
    } else {
        print_lines(as_text(&status))?;
    }
    say_left_over(&status.left_over);
    Ok(ExitCode::SUCCESS)
}

/// Epochs a second of the run that committed last.
fn rate(status: &KeyStatus) -> Option<f64> {
    let progress = &status.progress;
    let elapsed_ms = progress.committed_unix_ms.checked_sub(progress.run_started_unix_ms)?;
    (elapsed_ms > 0).then(|| progress.run_epochs as f64 * 1000.0 / elapsed_ms as f64)
}

fn state_name(status: &KeyStatus) -> &'static str {
    match (status.manifest.state(), &status.writer) {
        (KeyState::Sealed, _) => "sealed",
        (KeyState::Generating, Some(_)) => "generating",
        (KeyState::Generating, None) => "interrupted",
    }
}

fn as_json(status: &KeyStatus) -> serde_json::Value {
    let plan = status.manifest.plan();
    json!({
        "state": state_name(status),
        "key_id": status.manifest.key_id().to_string(),
        "scheme": plan.scheme().id(),
        "activation_epoch": plan.activation_epoch(),
        "active_epochs": plan.active_epochs(),
        "stored_start": plan.stored().start,
        "stored_end": plan.stored().end,
        "trim": plan.trim().0,
        "origin": status.manifest.origin().to_string(),
        "batches": plan.batches().count(),
        "batches_done": status.batches_done,
        "epochs_per_second": rate(status),
        "last_commit_unix_ms": status.progress.committed_unix_ms,
        "arena_high_water_bytes": status.arena.map(|arena| arena.high_water_bytes),
        "arena_capacity_bytes": status.arena.map(|arena| arena.capacity_bytes),
        "disk_bytes": status.disk_bytes,
        "left_over": status.left_over.iter().map(|file| file.display().to_string()).collect::<Vec<_>>(),
        "writer": status.writer,
        "public_key": status.manifest.public_key().map(hex::encode),
    })
}

fn as_text(status: &KeyStatus) -> Vec<String> {
    let plan = status.manifest.plan();
    let total = plan.batches().count();
    let percent = 100.0 * status.batches_done as f64 / total as f64;
    let mut lines = vec![
        format!("state           {}", state_name(status)),
        format!("key id          {}", status.manifest.key_id()),
        format!("scheme          {}", plan.scheme().id()),
        format!(
            "asked for       {} epochs from {}",
            plan.active_epochs(),
            plan.activation_epoch()
        ),
        format!("epochs          {} stored, {}", plan.stored().count(), plan.stored()),
        format!("trim            {}", trim_as_text(plan.trim())),
        format!("batches done    {} of {total} ({percent:.1}%)", status.batches_done),
        format!("bytes on disk   {}", human_bytes(status.disk_bytes)),
    ];
    if let Some(rate) = rate(status) {
        lines.push(format!("rate            {rate:.0} epochs a second in the last run"));
    }
    if let Some(writer) = &status.writer {
        lines.push(format!("writer          {writer}"));
    }
    if let Some(public_key) = status.manifest.public_key() {
        lines.push(format!("public key      {}", hex::encode(public_key)));
    }
    lines
}
