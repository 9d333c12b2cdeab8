//! What is done: every batch that has a record and whose slices match it. Everything else is computed again.

use super::cancel::CancelHandle;
use super::done_set::DoneSet;
use super::progress::{Event, Progress};
use crate::error::Result;
use crate::layers::LayerWriter;
use crate::plan::Plan;
use crate::state::{BatchRecord, Store};
use crate::text::Runs;
use crate::units::{BatchIndex, Slice};

/// Compares all committed batches with their checksums, and removes the records of those that do not match. They are
/// computed again, which puts the right bytes into the page cache long before they are on the disk: a record that stood
/// meanwhile would vouch for them after a sync that failed (fsync(2), EIO) or never came.
pub(super) fn check_batches(
    plan: &Plan,
    writer: &LayerWriter,
    store: &Store,
    cancel: &CancelHandle,
    progress: &dyn Progress,
) -> Result<DoneSet> {
    let mut done = DoneSet::none(plan.batches());
    let mut damaged = DoneSet::none(plan.batches());
    let mut bytes = Vec::new();
    for entry in store.batches()? {
        let (batch, record) = entry?;
        cancel.proceed()?;
        // A record of a batch that the key does not have cannot come from this job; the binding rules it out.
        let Some(position) = plan.batches().position(batch) else {
            continue;
        };
        if matches(plan, writer, batch, &record, &mut bytes)? {
            done.insert(position);
        } else {
            progress.event(Event::Damaged { batch });
            damaged.insert(position);
        }
    }
    match damaged.count() {
        0 => {}
        1 => tracing::warn!(
            "batch {} does not match its checksums and is computed again",
            named(&damaged, plan)
        ),
        count => tracing::warn!(
            "{count} batches do not match their checksums and are computed again: {}",
            named(&damaged, plan)
        ),
    }
    let keys = damaged.noted(plan.batches()).map(Store::batch_key);
    store.remove_batches(keys.map(Ok))?;
    Ok(done)
}

fn named(damaged: &DoneSet, plan: &Plan) -> Runs {
    damaged.noted(plan.batches()).map(|batch| batch.0).collect()
}

fn matches(
    plan: &Plan,
    writer: &LayerWriter,
    batch: BatchIndex,
    record: &BatchRecord,
    bytes: &mut Vec<u8>,
) -> Result<bool> {
    let Some(slice_crc32) = record.of_stored(plan.batches()) else {
        return Ok(false);
    };
    for (level, &expected) in plan.batches().stored_levels().zip(slice_crc32) {
        let nodes = plan.batches().slice(batch, level);
        let slice = Slice { level, nodes };
        // A part that was adopted can be gone.
        if !writer.has(&slice) {
            return Ok(false);
        }
        writer.read(&slice, bytes)?;
        if crc32fast::hash(bytes) != expected {
            return Ok(false);
        }
    }
    Ok(true)
}
