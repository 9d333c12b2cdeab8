//! What waits for the threads of a service.

use std::collections::VecDeque;

use super::keys::{KeyIndex, Keys};
use super::ledgers::LedgerIndex;
use super::order::Task;

/// Something that is read for a request: it spends nothing.
pub(crate) type Reading = Box<dyn FnOnce(&Keys) + Send>;

/// What a worker does next.
pub(crate) enum Step {
    /// Compute what reveals nothing.
    Prepare(Task),
    /// Reveal what is spent.
    Reveal(Task),
    /// Read paths.
    Read(Reading),
    /// Compute a block of a trimmed key before it is needed.
    Ahead(Block),
}

/// The block of a trimmed key in which an epoch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) key: KeyIndex,
    /// Not always one of the key.
    pub(crate) epoch: u64,
}

/// What waits, in every stage.
#[derive(Default)]
pub(crate) struct Work {
    /// Requests that are admitted and not answered.
    pub(crate) admitted: usize,
    /// Nothing more is admitted, and the threads end.
    pub(crate) is_ending: bool,
    /// New work, first come, first served.
    new: VecDeque<Step>,
    /// Spent, so that a client waits for nothing else.
    to_reveal: VecDeque<Task>,
    /// Blocks that are computed when nobody waits for anything else.
    ahead: VecDeque<Block>,
    /// One is being computed. No other is meanwhile, so that a request that comes finds a worker.
    is_ahead: bool,
    ledgers: Vec<LedgerQueue>,
    /// Those that have something to write and nobody who writes it.
    to_commit: VecDeque<LedgerIndex>,
}

#[derive(Default)]
struct LedgerQueue {
    prepared: Vec<Task>,
    is_being_written: bool,
}

impl Work {
    /// Nothing, of so many ledgers.
    pub(crate) fn of(ledgers: usize) -> Self {
        Self {
            ledgers: (0..ledgers).map(|_| LedgerQueue::default()).collect(),
            ..Self::default()
        }
    }

    /// Lets tasks wait to be prepared.
    pub(crate) fn add_new(&mut self, tasks: Vec<Task>) {
        self.new.extend(tasks.into_iter().map(Step::Prepare));
    }

    /// Lets a reading wait.
    pub(crate) fn add_reading(&mut self, reading: Reading) {
        self.new.push_back(Step::Read(reading));
    }

    /// Lets tasks wait for the ledgers of their keys, and says whether a committer has something new to do.
    pub(crate) fn add_prepared(&mut self, tasks: Vec<Task>, keys: &Keys) -> bool {
        let before = self.to_commit.len();
        for task in tasks {
            let ledger = keys.get(task.request.key).ledger.index;
            let queue = &mut self.ledgers[ledger.0];
            queue.prepared.push(task);
            if queue.prepared.len() == 1 && !queue.is_being_written {
                self.to_commit.push_back(ledger);
            }
        }
        self.to_commit.len() > before
    }

    /// Lets tasks wait to be revealed.
    pub(crate) fn add_spent(&mut self, tasks: Vec<Task>) {
        self.to_reveal.extend(tasks);
    }

    /// What a worker does next.
    pub(crate) fn next_step(&mut self) -> Option<Step> {
        let spent = self.to_reveal.pop_front().map(Step::Reveal);
        let step = spent.or_else(|| self.new.pop_front());
        if step.is_some() || self.is_ahead {
            return step;
        }
        let block = self.ahead.pop_front()?;
        self.is_ahead = true;
        Some(Step::Ahead(block))
    }

    /// Lets a block wait for an idle moment.
    pub(crate) fn add_ahead(&mut self, block: Block) {
        if !self.ahead.contains(&block) {
            self.ahead.push_back(block);
        }
    }

    /// A block is computed.
    pub(crate) fn one_is_ahead(&mut self) {
        self.is_ahead = false;
    }

    /// Everything that waits for one ledger, which is the caller's until it is [given back](Self::give_back).
    pub(crate) fn next_group(&mut self) -> Option<(LedgerIndex, Vec<Task>)> {
        let ledger = self.to_commit.pop_front()?;
        let queue = &mut self.ledgers[ledger.0];
        queue.is_being_written = true;
        Some((ledger, std::mem::take(&mut queue.prepared)))
    }

    /// A group is written. Says whether another waits for the same ledger.
    pub(crate) fn give_back(&mut self, ledger: LedgerIndex) -> bool {
        let queue = &mut self.ledgers[ledger.0];
        queue.is_being_written = false;
        let has_more = !queue.prepared.is_empty();
        if has_more {
            self.to_commit.push_back(ledger);
        }
        has_more
    }

    /// Takes everything that waits, so that it is answered by being dropped.
    pub(crate) fn abandon(&mut self) -> impl Sized + use<> {
        let prepared: Vec<_> = self
            .ledgers
            .iter_mut()
            .map(|queue| std::mem::take(&mut queue.prepared))
            .collect();
        self.to_commit.clear();
        (
            std::mem::take(&mut self.ahead),
            std::mem::take(&mut self.new),
            std::mem::take(&mut self.to_reveal),
            prepared,
        )
    }
}
