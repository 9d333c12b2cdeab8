//! What is done: every batch that has a record and whose slices match it. Everything else is computed again.

use super::KeygenError;
use super::cancel::CancelHandle;
use super::done_set::DoneSet;
use super::progress::{Event, Progress};
use crate::layers::{LayerWriter, Touched};
use crate::plan::Plan;
use crate::state::{BatchRecord, Store};
use crate::units::{BatchIndex, Slice};

/// Batches after which the pages that were read are given up.
const RELEASE_INTERVAL_BATCHES: usize = 16;

/// Compares all committed batches with their checksums.
pub(super) fn check_batches(
    plan: &Plan,
    writer: &mut LayerWriter,
    store: &Store,
    cancel: &CancelHandle,
    progress: &dyn Progress,
) -> Result<DoneSet, KeygenError> {
    let mut done = DoneSet::none(plan.batches());
    let mut touched = Touched::default();
    for (read, entry) in store.batches()?.enumerate() {
        let (batch, record) = entry?;
        if cancel.is_cancelled() {
            return Err(KeygenError::Interrupted);
        }
        // A record of a batch that the key does not have cannot come from this job; the binding rules it out.
        let Some(position) = plan.batches().position(batch) else {
            continue;
        };
        if matches(plan, writer, batch, &record, &mut touched) {
            done.insert(position);
        } else {
            tracing::warn!("batch {batch} does not match its checksums and is computed again");
            progress.event(Event::Damaged { batch });
        }
        if read % RELEASE_INTERVAL_BATCHES == 0 {
            touched.release(writer)?;
        }
    }
    touched.release(writer)?;
    Ok(done)
}

fn matches(plan: &Plan, writer: &LayerWriter, batch: BatchIndex, record: &BatchRecord, touched: &mut Touched) -> bool {
    let levels = plan.batches().levels();
    if levels.clone().count() != record.slice_crc32.len() {
        return false;
    }
    levels.zip(&record.slice_crc32).all(|(level, &expected)| {
        let nodes = plan.batches().slice(batch, level);
        let slice = Slice { level, nodes };
        touched.add(&slice);
        crc32fast::hash(writer.read(&slice)) == expected
    })
}
