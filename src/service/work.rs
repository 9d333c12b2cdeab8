//! What waits for the threads of a service.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::keys::{KeyIndex, Keys};
use super::ledgers::LedgerIndex;
use super::order::Task;

/// How long what is prepared waits for more that one write can spend with it, while more is on its way. A write takes some 0.4 ms of
/// the processor, which the workers need, whatever it spends: with this, writes take a tenth of a core at most.
const GATHER_MAX: Duration = Duration::from_millis(4);
/// A group does not wait for more when it has this part of what waits for its ledger: two groups on disk and two that are computed
/// keep both busy.
const GATHERED_PART: usize = 4;

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
    /// Requests that wait to be prepared.
    new: usize,
    prepared: Vec<Task>,
    /// When the first of them was prepared.
    since: Option<Instant>,
    is_being_written: bool,
}

impl LedgerQueue {
    /// Whether the write that is to come waits for nothing more.
    fn is_ripe(&self, now: Instant) -> bool {
        self.prepared.len() * GATHERED_PART >= self.prepared.len() + self.new || self.waits_until(now) <= now
    }

    fn waits_until(&self, now: Instant) -> Instant {
        self.since.map_or(now, |since| since + GATHER_MAX)
    }

    /// Whether nothing more is on its way for what waits for a committer.
    fn is_whole(&self) -> bool {
        self.new == 0 && !self.prepared.is_empty() && !self.is_being_written
    }
}

/// What a committer does next.
pub(crate) enum Commit {
    /// Write this group.
    Group(LedgerIndex, Vec<Task>),
    /// Look again at this time, or when there is something to do.
    Wait(Option<Instant>),
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
    pub(crate) fn add_new(&mut self, tasks: Vec<Task>, keys: &Keys) {
        for task in tasks {
            self.queue_of(&task, keys).new += 1;
            self.new.push_back(Step::Prepare(task));
        }
    }

    fn queue_of(&mut self, task: &Task, keys: &Keys) -> &mut LedgerQueue {
        &mut self.ledgers[keys.get(task.request.key).ledger.index.0]
    }

    /// Lets a reading wait.
    pub(crate) fn add_reading(&mut self, reading: Reading) {
        self.new.push_back(Step::Read(reading));
    }

    /// Lets tasks wait for the ledgers of their keys from now on, and says whether a committer is to look.
    pub(crate) fn add_prepared(&mut self, tasks: Vec<Task>, keys: &Keys, now: Instant) -> bool {
        let mut is_due = false;
        for task in tasks {
            let ledger = keys.get(task.request.key).ledger.index;
            let queue = &mut self.ledgers[ledger.0];
            queue.prepared.push(task);
            if queue.prepared.len() == 1 {
                queue.since = Some(now);
                if !queue.is_being_written {
                    self.to_commit.push_back(ledger);
                    // Its time is counted from now on.
                    is_due = true;
                }
            }
            is_due |= !queue.is_being_written && queue.is_ripe(now);
        }
        is_due
    }

    /// Lets tasks wait to be revealed.
    pub(crate) fn add_spent(&mut self, tasks: Vec<Task>) {
        self.to_reveal.extend(tasks);
    }

    /// What a worker does next, and whether a committer is to look: nothing more of a ledger waits to be prepared.
    pub(crate) fn next_step(&mut self, keys: &Keys) -> (Option<Step>, bool) {
        let spent = self.to_reveal.pop_front().map(Step::Reveal);
        let step = spent.or_else(|| self.new.pop_front());
        if let Some(Step::Prepare(task)) = &step {
            let queue = self.queue_of(task, keys);
            queue.new -= 1;
            let is_whole = queue.is_whole();
            return (step, is_whole);
        }
        if step.is_some() || self.is_ahead {
            return (step, false);
        }
        let block = self.ahead.pop_front();
        self.is_ahead = block.is_some();
        (block.map(Step::Ahead), false)
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
    pub(crate) fn next_group(&mut self, now: Instant) -> Commit {
        let queue = |ledger: &LedgerIndex| &self.ledgers[ledger.0];
        let ripe = self.to_commit.iter().position(|ledger| queue(ledger).is_ripe(now));
        let Some(ledger) = ripe.and_then(|place| self.to_commit.remove(place)) else {
            return Commit::Wait(self.to_commit.iter().map(|ledger| queue(ledger).waits_until(now)).min());
        };
        let queue = &mut self.ledgers[ledger.0];
        queue.is_being_written = true;
        Commit::Group(ledger, std::mem::take(&mut queue.prepared))
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
        self.ledgers.iter_mut().for_each(|queue| queue.new = 0);
        (
            std::mem::take(&mut self.ahead),
            std::mem::take(&mut self.new),
            std::mem::take(&mut self.to_reveal),
            prepared,
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::keys::{KeyIndex, Keys};
    use super::super::order::{Request, tasks};
    use super::{Commit, GATHER_MAX, Step, Work};
    use crate::signing::tests::key;
    use crate::units::Epoch;

    /// So many requests, each on its own.
    fn add_new(work: &mut Work, keys: &Keys, count: u32) {
        for epoch in (0..count).map(Epoch) {
            let request = Request {
                key: KeyIndex(0),
                epoch,
                message: [0; 32],
            };
            work.add_new(tasks(vec![request], Box::new(drop)), keys);
        }
    }

    /// One more is prepared; gives whether a committer is to look when its computing begins, and when it ends.
    fn prepare(work: &mut Work, keys: &Keys, now: Instant) -> (bool, bool) {
        let (step, is_last) = work.next_step(keys);
        let Some(Step::Prepare(task)) = step else {
            unreachable!("a request waits to be prepared");
        };
        (is_last, work.add_prepared(vec![task], keys, now))
    }

    fn group(work: &mut Work, now: Instant) -> Option<usize> {
        let Commit::Group(ledger, tasks) = work.next_group(now) else {
            return None;
        };
        work.give_back(ledger);
        Some(tasks.len())
    }

    #[test]
    fn what_is_prepared_waits_a_moment_for_more_of_its_ledger_and_never_for_what_is_not_on_its_way() {
        let directory = key();
        let keys = Keys::open(&[directory.path().to_owned()], None, 1000).unwrap();
        let (mut work, now) = (Work::of(1), Instant::now());
        // One alone.
        add_new(&mut work, &keys, 1);
        assert_eq!(prepare(&mut work, &keys, now), (false, true));
        assert_eq!(group(&mut work, now), Some(1));
        // A quarter of all is enough.
        add_new(&mut work, &keys, 8);
        assert_eq!(prepare(&mut work, &keys, now), (false, true));
        assert!(matches!(work.next_group(now), Commit::Wait(Some(until)) if until == now + GATHER_MAX));
        assert_eq!(prepare(&mut work, &keys, now), (false, true));
        assert_eq!(group(&mut work, now), Some(2));
        // Less than that waits for its time alone.
        assert_eq!(prepare(&mut work, &keys, now), (false, true));
        assert_eq!(group(&mut work, now), None);
        assert_eq!(group(&mut work, now + GATHER_MAX), Some(1));
        // Nothing waits for what workers have in their hands.
        assert_eq!(prepare(&mut work, &keys, now), (false, true));
        assert_eq!(group(&mut work, now), None);
        let in_hand: Vec<_> = (0..4).map(|_| work.next_step(&keys)).collect();
        assert_eq!(
            in_hand.iter().map(|(_, is_last)| *is_last).collect::<Vec<_>>(),
            [false, false, false, true]
        );
        assert_eq!(group(&mut work, now), Some(1));
        assert!(matches!(work.next_group(now), Commit::Wait(None)));
    }
}
