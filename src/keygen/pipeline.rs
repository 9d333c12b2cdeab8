//! Batches are computed in one stream, and committed in groups: while one group is written, synced and committed, the
//! workers are on the next.

use std::sync::{Mutex, PoisonError};

use super::batch::BatchComputer;
use super::committer::Committer;
use super::in_flight::{BufferSlot, InFlight};
use super::progress::Event;
use crate::error::Result;
use crate::units::BatchIndex;
use crate::workers::{Workers, spawn_scoped};
use keymill_xmss::arena::{Arena, ArenaOverflow};

/// Computes and commits batches. Returns the number of epochs that it committed.
///
/// Whatever ends it early, what is complete by then is committed.
pub(crate) fn run(
    computer: &BatchComputer<'_>,
    workers: &Workers,
    in_flight: &InFlight,
    batches: impl Iterator<Item = BatchIndex> + Send,
    committer: Committer<'_>,
) -> Result<u64> {
    in_flight.begin();
    let blocks = Mutex::new(Blocks {
        computer,
        in_flight,
        batches,
        open: None,
    });
    std::thread::scope(|scope| {
        let committer = spawn_scoped(scope, || committer.commit_all(in_flight))?;
        let computed: Result<(), ArenaOverflow> = {
            let _finish = in_flight.finish_when_dropped();
            let each = workers.on_each(|| compute(computer, workers, in_flight, &blocks));
            each.into_iter().collect()
        };
        match committer.join() {
            Ok(committed) => {
                let epochs = committed?;
                computed?;
                Ok(epochs)
            }
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// What one worker does, until there is nothing left, the job is cancelled, or another worker or the committer has failed.
fn compute(
    computer: &BatchComputer<'_>,
    workers: &Workers,
    in_flight: &InFlight,
    blocks: &Mutex<Blocks<'_, impl Iterator<Item = BatchIndex>>>,
) -> Result<(), ArenaOverflow> {
    // The others cannot go on without a worker that fails or panics. One that finds nothing to do leaves nothing to them.
    let _stop = in_flight.stop_when_dropped();
    let next = || blocks.lock().unwrap_or_else(PoisonError::into_inner).next();
    while let Some(block) = next() {
        workers.with_arena(|arena| compute_block(computer, in_flight, &block, arena))?;
    }
    Ok(())
}

/// Computes the leaves of a block. The worker that brings the last leaves of a batch folds it and leaves it to the committer.
fn compute_block(
    computer: &BatchComputer<'_>,
    in_flight: &InFlight,
    block: &Block,
    arena: &Arena,
) -> Result<(), ArenaOverflow> {
    let leaves = computer.leaves(block.batch, block.number, arena)?;
    let mut buffer = in_flight.buffer(block.place);
    if computer.place(&mut buffer, block.number, leaves) {
        computer.fold(&mut buffer);
        drop(buffer);
        in_flight.complete(block.place);
    }
    Ok(())
}

/// A block of leaves that a worker is to compute.
struct Block {
    place: BufferSlot,
    batch: BatchIndex,
    number: usize,
}

/// All blocks of all batches, in order: a worker that is done with a block goes on with the next, whichever batch it is of.
/// Where there is no free buffer, it waits for the committer.
struct Blocks<'a, B> {
    computer: &'a BatchComputer<'a>,
    in_flight: &'a InFlight,
    batches: B,
    /// The next block of the batch that is handed out.
    open: Option<Block>,
}

impl<B: Iterator<Item = BatchIndex>> Iterator for Blocks<'_, B> {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        if self.computer.cancel.is_cancelled() {
            return None;
        }
        let block = match self.open.take() {
            Some(open) => open,
            None => {
                let batch = self.batches.next()?;
                let place = self.in_flight.take(batch, self.computer.blocks(batch))?;
                self.computer.progress.event(Event::Begun { batch });
                Block {
                    place,
                    batch,
                    number: 0,
                }
            }
        };
        let number = block.number + 1;
        self.open = (number < self.computer.blocks(block.batch)).then_some(Block { number, ..block });
        Some(block)
    }
}
