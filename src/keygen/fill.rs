//! All batches of a plan, made and checked.

use super::batch::BatchComputer;
use super::committer::arena_record;
use super::progress::{Event, Phase};
use super::recovery;
use super::rounds::{Checked, Rounds};
use crate::error::Result;
use crate::layers::LayerWriter;
use crate::plan::MemoryPlan;
use crate::state::{ArenaRecord, Store};
use crate::workers::Workers;

/// Makes every batch that is not there. Gives the epochs that were computed, and how full the arenas were.
pub(crate) fn fill(
    computer: &BatchComputer<'_>,
    memory: &MemoryPlan,
    writer: &mut LayerWriter,
    store: &Store,
) -> Result<(u64, ArenaRecord)> {
    let (plan, progress) = (computer.manifest.plan(), computer.progress);
    let workers = Workers::start(memory.threads, memory.arena_bytes)?;
    let rounds = Rounds {
        computer,
        memory,
        workers: &workers,
        store,
    };
    let epochs = rounds.fill(writer, |writer| {
        progress.event(Event::Phase(Phase::Checking));
        let kept = recovery::check_batches(plan, writer, store, computer.cancel, progress)?;
        let batches_done = kept.count();
        Ok(Checked { kept, batches_done })
    })?;
    Ok((epochs, arena_record(&workers)))
}
