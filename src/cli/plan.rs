//! `keymill plan`: what keygen would write and need.

use std::process::ExitCode;

use clap::Args;
use keymill::Plan;
use keymill::memory::Limits;
use keymill::plan::{MemoryPlan, Wishes};
use serde_json::json;

use super::failure::Failure;
use super::output::{human_bytes, print_json, print_lines, trim_as_text};
use super::request::RequestArguments;
use crate::config::Settings;

/// Flags of plan: those of keygen.
#[derive(Debug, Args)]
pub struct PlanArguments {
    /// Where the key would be; not looked at.
    #[arg(value_name = "DIR")]
    _directory: Option<std::path::PathBuf>,
    #[command(flatten)]
    request: RequestArguments,
}

/// Prints the plan.
pub fn run(arguments: &PlanArguments, settings: &Settings) -> Result<ExitCode, Failure> {
    let machine = arguments.request.job.settings(settings)?.machine;
    let plan = arguments.request.plan(settings)?;
    let wishes = Wishes {
        threads: machine.threads,
        group_batches: machine.group_batches,
        arena_bytes: plan.scheme().scratch_bytes(),
        memory: machine.memory,
        held_bytes: 0,
        jobs: 1,
    };
    let memory = MemoryPlan::new(&plan, &wishes, &Limits::detect())?;
    if arguments.request.json {
        print_json(&as_json(&plan, &memory))?;
    } else {
        print_lines(as_text(&plan, &memory))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(plan: &Plan, memory: &MemoryPlan) -> serde_json::Value {
    let levels: Vec<_> = plan
        .geometry()
        .levels()
        .iter()
        .map(|span| {
            json!({
                "level": span.level.0,
                "first_index": span.stored.start,
                "count": span.stored_count(),
                "fillers": span.fillers().count(),
                "file_bytes": match span.level < plan.trim() {
                    true => 0,
                    false => plan.layer_file_bytes(span),
                },
            })
        })
        .collect();
    json!({
        "scheme": plan.scheme().id(),
        "activation_epoch": plan.activation_epoch(),
        "active_epochs": plan.active_epochs(),
        "stored_start": plan.stored().start,
        "stored_end": plan.stored().end,
        "trim": plan.trim().0,
        "batches": plan.batches().count(),
        "fillers": plan.filler_count(),
        "layer_bytes": plan.layer_bytes(),
        "disk_bytes": plan.disk_bytes(),
        "threads": memory.threads,
        "group_batches": memory.group_batches,
        "batches_in_flight": memory.in_flight_batches(),
        "arena_bytes": memory.arena_bytes,
        "store_write_bytes": memory.store.write_bytes,
        "store_cache_bytes": memory.store.cache_bytes,
        "budget_bytes": memory.budget.as_ref().map(|budget| budget.bytes),
        "budget_source": memory.budget.as_ref().map(|budget| budget.source.to_string()),
        "anonymous_bytes_max": memory.anonymous_bytes,
        "file_pages_bytes_max": memory.file_bytes,
        "public_key_bytes": plan.scheme().public_key_bytes(),
        "signature_bytes": plan.scheme().signature_bytes(),
        "levels": levels,
    })
}

fn as_text(plan: &Plan, memory: &MemoryPlan) -> Vec<String> {
    let stored = plan.stored();
    let scheme = plan.scheme();
    vec![
        format!("scheme          {}", scheme.id()),
        format!(
            "asked for       {} epochs from {}",
            plan.active_epochs(),
            plan.activation_epoch()
        ),
        format!(
            "stored          {} epochs, {stored} of a lifetime of 2^{}",
            stored.count(),
            scheme.log_lifetime()
        ),
        format!(
            "batches         {}, {} in a group, {} in flight, {} threads",
            plan.batches().count(),
            memory.group_batches,
            memory.in_flight_batches(),
            memory.threads
        ),
        format!(
            "layer files     {} files, {}",
            plan.geometry().stored_levels().len(),
            human_bytes(plan.layer_bytes())
        ),
        format!("trim            {}", trim_as_text(plan.trim())),
        format!(
            "disk needed     {} ({} bytes), checkpoints included",
            human_bytes(plan.disk_bytes()),
            plan.disk_bytes()
        ),
        format!(
            "memory          at most {} anonymous, and {} of file pages in flight",
            human_bytes(memory.anonymous_bytes),
            human_bytes(memory.file_bytes)
        ),
        format!(
            "checkpoints     {} of write buffers and {} of cache",
            human_bytes(memory.store.write_bytes as u64),
            human_bytes(memory.store.cache_bytes as u64)
        ),
        format!("arenas          {} a thread", human_bytes(memory.arena_bytes as u64)),
        format!("memory budget   {}", budget_as_text(memory)),
        format!("public key      {} bytes", scheme.public_key_bytes()),
        format!("signature       {} bytes", scheme.signature_bytes()),
    ]
}

fn budget_as_text(memory: &MemoryPlan) -> String {
    match &memory.budget {
        Some(budget) => format!("{}, set by {}", human_bytes(budget.bytes), budget.source),
        None => "none".to_owned(),
    }
}
