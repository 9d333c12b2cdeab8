//! `keymill plan`: what keygen would write and need, and what it would cost to make the key in parts.

mod divided;

use std::process::ExitCode;

use clap::Args;
use keymill::Plan;
use keymill::plan::{LevelSpan, MemoryPlan};
use keymill::support::counted;

use divided::Divided;

use super::answer::{Answer, Value, fields};
use super::failure::Failure;
use super::output::human_bytes;
use super::request::{DivisionArguments, RequestArguments};
use crate::config::Settings;

/// Flags of plan: those of keygen, and how the key would be divided.
#[derive(Debug, Args)]
#[command(after_help = r#"Examples:
  Say what a key of 2^26 epochs takes:
    keymill plan --epochs 2^26 --threads 2
  Say what it takes to make it in 64 parts, each with 2 threads, and to join them:
    keymill plan --epochs 2^26 --parts 64 --threads 2
  The bytes on disk alone:
    keymill plan --epochs 2^26 --json | grep -o '"disk_bytes":[0-9]*'"#)]
pub struct PlanArguments {
    /// Ignored; accepted so that a keygen command line works unchanged.
    #[arg(value_name = "DIR")]
    _directory: Option<std::path::PathBuf>,
    #[command(flatten)]
    request: RequestArguments,
    #[command(flatten)]
    division: DivisionArguments,
}

/// Prints the plan.
pub fn run(arguments: &PlanArguments, settings: &Settings) -> Result<ExitCode, Failure> {
    let machine = arguments.request.machine.settings(settings)?;
    let plan = arguments.request.key.plan(settings)?;
    let memory = machine.memory_plan(&plan)?;
    let division = arguments.division.division();
    let divided = division.map(|division| Divided::of(&plan, &memory, division));
    let divided = divided.transpose()?;
    if let Some(divided) = &divided {
        divided.warn();
    }
    answer(&plan, &memory)
        .field("division", divided.as_ref().map(Divided::fields))
        .and(divided.as_ref().map(Divided::lines).unwrap_or_default())
        .print(arguments.request.json)?;
    Ok(ExitCode::SUCCESS)
}

fn answer<'a>(plan: &'a Plan, memory: &MemoryPlan) -> Answer<'a> {
    let scheme = plan.scheme();
    let (batches, in_flight) = (plan.batches().count(), memory.in_flight_batches());
    let (first, most) = (memory.group_batches_first, memory.group_batches);
    let group = if first < most {
        format!("{first} to {most}")
    } else {
        most.to_string()
    };
    let (layer_bytes, disk_bytes) = (plan.layer_bytes(), plan.disk_bytes());
    let (write_bytes, cache_bytes) = (memory.store.write_bytes, memory.store.cache_bytes);
    let (anonymous, file_pages) = (human_bytes(memory.anonymous_bytes), human_bytes(memory.file_bytes));
    let (budget, threads) = (memory.budget.as_ref(), memory.threads);
    let budget_text = budget.map(|budget| format!("{}, set by {}", human_bytes(budget.bytes), budget.source));
    let disk_text = format!("{} ({disk_bytes} bytes), checkpoints included", human_bytes(disk_bytes));
    let files_text = format!(
        "{}, {}",
        counted(plan.geometry().stored_levels().len() as u64, "file"),
        human_bytes(layer_bytes)
    );
    let store_text = format!(
        "{} of write buffers and {} of cache",
        human_bytes(write_bytes as u64),
        human_bytes(cache_bytes as u64)
    );
    let level = |span: &LevelSpan| {
        let is_stored = span.level >= plan.trim();
        Answer::default()
            .field("level", span.level)
            .field("first_index", span.stored.start)
            .field("count", span.stored_count())
            .field("fillers", span.fillers().count())
            .field("file_bytes", if is_stored { plan.layer_file_bytes(span) } else { 0 })
    };
    Answer::default()
        .key(plan)
        .field("batches", batches)
        .detail(
            "batches",
            format!(
                "{batches}, {group} in a group, {in_flight} in flight, {}",
                counted(threads as u64, "thread")
            ),
        )
        .field("fillers", plan.filler_count())
        .field("layer_bytes", layer_bytes)
        .line("layer files", files_text)
        .field("disk_bytes", disk_bytes)
        .line("disk needed", disk_text)
        .and(fields!(memory; threads, group_batches, arena_bytes))
        .field("batches_in_flight", in_flight)
        .field("anonymous_bytes_max", memory.anonymous_bytes)
        .field("file_pages_bytes_max", memory.file_bytes)
        .line(
            "memory",
            format!("at most {anonymous} anonymous, and {file_pages} of file pages in flight"),
        )
        .field("store_write_bytes", write_bytes)
        .field("store_cache_bytes", cache_bytes)
        .detail("checkpoints", store_text)
        .detail("arenas", format!("{} a thread", human_bytes(memory.arena_bytes as u64)))
        .field("budget_bytes", budget.map(|budget| budget.bytes))
        .field("budget_source", budget.map(|budget| budget.source.to_string()))
        .line("memory budget", budget_text.unwrap_or_else(|| "none".to_owned()))
        .field("public_key_bytes", scheme.public_key_bytes())
        .line("public key", format!("{} bytes", scheme.public_key_bytes()))
        .field("signature_bytes", scheme.signature_bytes())
        .line("signature", format!("{} bytes", scheme.signature_bytes()))
        .field("levels", Value::each(plan.geometry().levels().iter().map(level)))
}
