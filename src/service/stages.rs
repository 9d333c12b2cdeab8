//! What the threads of a service do with a request, stage by stage.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::PoisonError;
use std::time::Instant;

use super::engine::Shared;
use super::keys::{HeldKey, KeyIndex, Keys};
use super::ledgers::{LedgerIndex, ServedLedger};
use super::order::{Request, Task};
use super::work::{Block, Commit, Step};
use crate::error::{Error, Result};
use crate::ledger::{EpochState, SigningLedger, Syncs, unknown};
use crate::signing::spent;
use crate::units::Epoch;
use crate::workers::WhenDropped;
use keymill_xmss::scheme::MESSAGE_BYTES;

type Message = [u8; MESSAGE_BYTES];

impl Shared {
    /// What a worker does until the service ends. A panic ends the request that it came from, and nothing else.
    pub(super) fn compute(&self) {
        while let Some(step) = self.next_step() {
            let _ = catch_unwind(AssertUnwindSafe(|| match step {
                Step::Prepare(task) => self.prepare(task),
                Step::Reveal(task) => self.reveal(task),
                Step::Read(reading) => reading(&self.keys),
                Step::Ahead(block) => {
                    let _done = WhenDropped(|| self.work().one_is_ahead());
                    self.keys.get(block.key).signing.paths().prepare_block(block.epoch);
                    self.figures.blocks_ahead.inc();
                }
            }));
        }
    }

    fn next_step(&self) -> Option<Step> {
        let mut work = self.work();
        loop {
            let (step, is_due) = work.next_step(&self.keys);
            if is_due {
                self.for_committers.notify_one();
            }
            if step.is_some() || work.is_ending {
                return step;
            }
            work = self.for_workers.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn prepare(&self, task: Task) {
        let key = self.keys.get(task.request.key);
        let (epoch, message) = (task.request.epoch, task.request.message);
        let prepared = look(key, epoch, &message).and_then(|()| key.signing.prepare(epoch, &message));
        let to_spend = match prepared {
            Ok(prepared) => task.into_prepared(prepared),
            Err(error) => task.refuse(error),
        };
        if self.work().add_prepared(to_spend, &self.keys, Instant::now()) {
            self.for_committers.notify_all();
        }
    }

    fn reveal(&self, mut task: Task) {
        let key = self.keys.get(task.request.key);
        if let Some(prepared) = task.prepared.take() {
            let Request { key: index, epoch, .. } = task.request;
            task.answer(key.signing.reveal(prepared));
            if let Some(epoch) = key.next_block(epoch) {
                self.work().add_ahead(Block { key: index, epoch });
            }
        }
    }

    /// What a committer does until the service ends.
    pub(super) fn commit_groups(&self) {
        while let Some((ledger, tasks)) = self.next_group() {
            let served = self.keys.ledger(ledger);
            let committed = catch_unwind(AssertUnwindSafe(|| self.commit(served, tasks)));
            if committed.is_err() {
                served.publish_after_panic();
            }
            let mut work = self.work();
            work.add_spent(committed.unwrap_or_default());
            let has_more = work.give_back(ledger);
            drop(work);
            self.for_workers.notify_all();
            if has_more {
                self.for_committers.notify_one();
            }
        }
    }

    fn next_group(&self) -> Option<(LedgerIndex, Vec<Task>)> {
        let mut work = self.work();
        loop {
            let until = match work.next_group(Instant::now()) {
                Commit::Group(ledger, tasks) => return Some((ledger, tasks)),
                Commit::Wait(_) if work.is_ending => return None,
                Commit::Wait(until) => until,
            };
            work = match until {
                None => self.for_committers.wait(work).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    let waited = self.for_committers.wait_timeout(work, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Spends the epochs of a group in one write, and gives those that may be revealed now.
    fn commit(&self, served: &ServedLedger, tasks: Vec<Task>) -> Vec<Task> {
        let place = served.place();
        let mut slot = served.slot();
        let ledger = match slot.get(place) {
            Ok(ledger) => ledger,
            Err(error) => return refuse_all(tasks, &error, place),
        };
        let mut group = Group::default();
        for task in tasks {
            group.add(ledger, &self.keys, task);
        }
        let Group {
            to_spend,
            accepted,
            late,
        } = group;
        if !to_spend.is_empty() {
            let begun = Instant::now();
            let key_id = |key| self.keys.get(key).key_id;
            let spent = to_spend.iter();
            let spent: Vec<_> = spent
                .map(|(&(key, epoch), message)| (key_id(key), epoch, message))
                .collect();
            let outcome = ledger.spend(&spent, Syncs::SideBySide);
            // Before anything of it is answered.
            served.publish(ledger, spent.iter().map(|(key, ..)| *key));
            self.figures.committed(begun.elapsed(), accepted.len());
            if let Err(error) = outcome {
                return refuse_all(accepted.into_iter().chain(late).collect(), &error, place);
            }
        }
        for task in late {
            let key = self.keys.get(task.request.key);
            let found = check(key, ledger, task.request.epoch, &task.request.message);
            // It is spent on the message that came first.
            task.answer(Err(found.err().unwrap_or_else(|| unknown(place))));
        }
        accepted
    }
}

/// Requests of one ledger that are spent in one write.
#[derive(Default)]
struct Group {
    to_spend: BTreeMap<(KeyIndex, Epoch), Message>,
    /// Those that may be revealed when it is written.
    accepted: Vec<Task>,
    /// Those whose epochs it spends on other messages, which came first.
    late: Vec<Task>,
}

impl Group {
    fn add(&mut self, ledger: &SigningLedger, keys: &Keys, task: Task) {
        let (key, epoch, message) = (task.request.key, task.request.epoch, task.request.message);
        let standing = ledger.standing(keys.get(key).key_id, epoch, &message);
        match (self.to_spend.get(&(key, epoch)), standing) {
            (_, Err(error)) => task.answer(Err(error)),
            (Some(first), _) if *first != message => self.late.push(task),
            (_, Ok(EpochState::OtherMessage { .. })) => self.late.push(task),
            (_, Ok(standing)) => {
                if standing == EpochState::Unused {
                    self.to_spend.insert((key, epoch), message);
                }
                self.accepted.push(task);
            }
        }
    }
}

/// Refuses early what is known to be spent, so that nothing is computed for it. The ledger is asked once more before it is
/// written, and is not waited for here: its lock is held for as long as a write takes.
fn look(key: &HeldKey, epoch: Epoch, message: &Message) -> Result<()> {
    key.signing.paths().epoch(epoch.0.into())?;
    let Some(mut slot) = key.ledger.slot_if_free() else {
        return Ok(());
    };
    check(key, slot.get(key.ledger.place())?, epoch, message)
}

/// Whether a ledger lets an epoch sign this message.
fn check(key: &HeldKey, ledger: &SigningLedger, epoch: Epoch, message: &Message) -> Result<()> {
    match ledger.standing(key.key_id, epoch, message)? {
        EpochState::OtherMessage { signed_unix_ms } => Err(spent(epoch, signed_unix_ms, key.signing.directory())),
        EpochState::Unused | EpochState::SameMessage => Ok(()),
    }
}

/// Refuses every task of a group whose ledger cannot be written. Why is for the operator: to clients it is one reason, whichever
/// of them was the first.
fn refuse_all(tasks: Vec<Task>, error: &Error, place: &Path) -> Vec<Task> {
    tracing::error!("{error}");
    for task in tasks {
        task.answer(Err(unknown(place)));
    }
    Vec::new()
}
