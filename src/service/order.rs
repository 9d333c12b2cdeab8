//! Requests that are answered together, and each of them on its way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::keys::KeyIndex;
use crate::error::{Error, Result};
use crate::signing::Prepared;
use crate::units::Epoch;
use keymill_xmss::Signature;
use keymill_xmss::scheme::MESSAGE_BYTES;

/// What is to be signed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) key: KeyIndex,
    pub(crate) epoch: Epoch,
    pub(crate) message: [u8; MESSAGE_BYTES],
}

/// What comes of the requests of an order, one for each, in their order.
pub(crate) type Outcomes = Vec<Result<Signature>>;

/// Takes the outcomes.
pub(crate) type Answer = Box<dyn FnOnce(Outcomes) + Send>;

/// Requests that are spent in one commit, as far as they have one ledger, and are answered together.
struct Order(Mutex<Open>);

struct Open {
    unprepared: usize,
    unanswered: usize,
    /// Prepared ones, until all are.
    prepared: Vec<Task>,
    outcomes: Vec<Option<Result<Signature>>>,
    answer: Option<Answer>,
}

/// One request on its way. Dropping it answers it: nobody waits for ever.
pub(crate) struct Task {
    pub(crate) request: Request,
    /// What the workers have computed before the epoch is spent.
    pub(crate) prepared: Option<Prepared>,
    index: usize,
    order: Arc<Order>,
    /// Its order does not wait for it to be prepared any more.
    is_counted: bool,
    is_answered: bool,
}

/// The tasks of an order, in its order.
pub(crate) fn tasks(requests: Vec<Request>, answer: Answer) -> Vec<Task> {
    let count = requests.len();
    let order = Arc::new(Order(Mutex::new(Open {
        unprepared: count,
        unanswered: count,
        prepared: Vec::with_capacity(count),
        outcomes: (0..count).map(|_| None).collect(),
        answer: Some(answer),
    })));
    let task = |(index, request)| Task {
        request,
        prepared: None,
        index,
        order: Arc::clone(&order),
        is_counted: false,
        is_answered: false,
    };
    requests.into_iter().enumerate().map(task).collect()
}

impl Order {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One request more is prepared, or refused before that. Gives all that are to be spent when it was the last.
    fn one_is_prepared(&self, task: Option<Task>) -> Vec<Task> {
        let mut open = self.open();
        open.prepared.extend(task);
        open.unprepared -= 1;
        if open.unprepared > 0 {
            return Vec::new();
        }
        let mut prepared = std::mem::take(&mut open.prepared);
        // In the order in which they were asked for, whoever was prepared first: of two messages of one epoch the first signs.
        prepared.sort_unstable_by_key(|task| task.index);
        prepared
    }

    fn one_is_answered(&self, index: usize, outcome: Result<Signature>) {
        let mut open = self.open();
        open.outcomes[index] = Some(outcome);
        open.unanswered -= 1;
        if open.unanswered > 0 {
            return;
        }
        let outcomes = std::mem::take(&mut open.outcomes);
        let answer = open.answer.take();
        drop(open);
        if let Some(answer) = answer {
            answer(
                outcomes
                    .into_iter()
                    .map(|outcome| outcome.unwrap_or_else(|| Err(ended())))
                    .collect(),
            );
        }
    }
}

impl Task {
    /// It is prepared. Gives what is to be spent now: everything of its order, when it was the last of it.
    pub(crate) fn into_prepared(mut self, prepared: Prepared) -> Vec<Self> {
        self.prepared = Some(prepared);
        self.is_counted = true;
        let order = Arc::clone(&self.order);
        order.one_is_prepared(Some(self))
    }

    /// It is refused before it is prepared. Gives what is to be spent now, as [`into_prepared`](Self::into_prepared).
    pub(crate) fn refuse(mut self, error: Error) -> Vec<Self> {
        self.is_counted = true;
        let order = Arc::clone(&self.order);
        self.answer(Err(error));
        order.one_is_prepared(None)
    }

    /// Gives the outcome to whoever asked.
    pub(crate) fn answer(mut self, outcome: Result<Signature>) {
        self.is_answered = true;
        self.order.one_is_answered(self.index, outcome);
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if !self.is_counted {
            // Those of its order that wait for it are answered by being dropped as well.
            drop(self.order.one_is_prepared(None));
        }
        if !self.is_answered {
            let error = if std::thread::panicking() { failed() } else { ended() };
            self.order.one_is_answered(self.index, Err(error));
        }
    }
}

/// A thread of the service failed with the request in its hands.
fn failed() -> Error {
    Error::machine("a thread of the service failed; its message is in the log")
}

/// The service ended before the request was answered.
fn ended() -> Error {
    Error::interrupted("the service ended before it answered; ask for the same message again")
}
