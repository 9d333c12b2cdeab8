//! The connections of a listener: how many there are, and which gives way to one that comes.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

/// The places of a listener. A connection that is idle loses its place to one that comes, so that nobody is kept out by
/// connections that ask for nothing.
pub(super) struct Places {
    table: Mutex<Table>,
    /// A place is free, or can be taken.
    freed: Notify,
    all_max: usize,
    new_max: usize,
}

#[derive(Default)]
struct Table {
    /// Counts what happens, as a clock.
    now: u64,
    open: BTreeMap<u64, Held>,
}

struct Held {
    stage: Stage,
    since: u64,
    evicted: Arc<Notify>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It has not sent a whole request yet.
    New,
    /// A request of it is under way.
    Busy,
    /// It was answered, and has not sent another whole request.
    Idle,
}

/// The place of one connection.
pub(crate) struct Place {
    places: Arc<Places>,
    number: u64,
    evicted: Arc<Notify>,
    has_head: AtomicBool,
    is_answered: AtomicBool,
    is_held: AtomicBool,
    has_unread: AtomicBool,
}

/// The place of a connection whose answer goes on for as long as the client is there. It is nobody else's until this is dropped.
pub(crate) struct HeldPlace(Arc<Place>);

impl Table {
    fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    fn count(&self, stage: Stage) -> usize {
        self.open.values().filter(|held| held.stage == stage).count()
    }

    /// Takes the place of whichever of these has been what it is for longest.
    fn evict(&mut self, is_meant: impl Fn(Stage) -> bool) {
        let meant = self.open.iter().filter(|(_, held)| is_meant(held.stage));
        let Some((&number, _)) = meant.min_by_key(|(_, held)| held.since) else {
            return;
        };
        if let Some(held) = self.open.remove(&number) {
            held.evicted.notify_one();
        }
    }
}

impl Places {
    /// Places for so many connections, of which so many may be new.
    pub(super) fn new(all_max: usize, new_max: usize) -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::default(),
            freed: Notify::new(),
            all_max,
            new_max,
        })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is a place for one more: one that is free, or that of a connection without a request under way.
    pub(super) async fn room(&self) {
        loop {
            let has_room = {
                let table = self.table();
                table.open.len() < self.all_max || table.count(Stage::Busy) < table.open.len()
            };
            if has_room {
                return;
            }
            self.freed.notified().await;
        }
    }

    /// Gives a connection that has come a place.
    pub(super) fn enter(self: &Arc<Self>) -> Arc<Place> {
        let mut table = self.table();
        if table.count(Stage::New) >= self.new_max {
            table.evict(|stage| stage == Stage::New);
        }
        if table.open.len() >= self.all_max {
            table.evict(|stage| stage != Stage::Busy);
        }
        let number = table.tick();
        let evicted = Arc::new(Notify::new());
        let held = Held {
            stage: Stage::New,
            since: number,
            evicted: Arc::clone(&evicted),
        };
        table.open.insert(number, held);
        drop(table);
        Arc::new(Place {
            places: Arc::clone(self),
            number,
            evicted,
            has_head: AtomicBool::new(false),
            is_answered: AtomicBool::new(false),
            is_held: AtomicBool::new(false),
            has_unread: AtomicBool::new(false),
        })
    }

    fn set(&self, number: u64, stage: Stage) {
        let mut table = self.table();
        let since = table.tick();
        if let Some(held) = table.open.get_mut(&number) {
            (held.stage, held.since) = (stage, since);
        }
        drop(table);
        if stage == Stage::Idle {
            self.freed.notify_one();
        }
    }
}

impl Place {
    /// The head of a request has come.
    pub(super) fn note_head(&self) {
        self.has_head.store(true, Ordering::Relaxed);
        self.is_answered.store(false, Ordering::Relaxed);
    }

    /// A whole request has come. Until it is answered, the connection keeps its place.
    pub(crate) fn note_request(&self) {
        self.places.set(self.number, Stage::Busy);
    }

    /// The request has its answer, which is still to be written.
    pub(super) fn note_answer(&self) {
        self.is_answered.store(true, Ordering::Relaxed);
    }

    /// The answer goes on. The connection keeps its place, also when everything is written that there is so far.
    pub(crate) fn hold(self: &Arc<Self>) -> HeldPlace {
        self.is_held.store(true, Ordering::Relaxed);
        HeldPlace(Arc::clone(self))
    }

    /// Everything that there was to write is written.
    pub(super) fn note_written(&self) {
        if !self.is_held.load(Ordering::Relaxed) && self.is_answered.swap(false, Ordering::Relaxed) {
            self.places.set(self.number, Stage::Idle);
        }
    }

    /// The last request was refused before its body came to its end, and the client may still be sending it.
    pub(crate) fn leave_unread(&self) {
        self.has_unread.store(true, Ordering::Relaxed);
    }

    /// Whether the client may still be sending what nobody reads.
    pub(super) fn has_unread(&self) -> bool {
        self.has_unread.load(Ordering::Relaxed)
    }

    /// Waits until the place is another's, or no request has begun for so long.
    pub(super) async fn lost(&self, first_head_max: Duration) {
        let late = async {
            sleep(first_head_max).await;
            if self.has_head.load(Ordering::Relaxed) {
                pending::<()>().await;
            }
        };
        tokio::select! {
            () = self.evicted.notified() => {}
            () = late => {}
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.table().open.remove(&self.number);
        self.places.freed.notify_one();
    }
}

impl Drop for HeldPlace {
    fn drop(&mut self) {
        self.0.is_held.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use super::{Place, Places};

    fn is_ready(future: impl Future<Output = ()>) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    fn is_lost(place: &Place) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.unwrap();
        let _inside = runtime.enter();
        is_ready(place.lost(Duration::from_secs(1000)))
    }

    fn answered(place: &Place) {
        place.note_head();
        place.note_request();
        place.note_answer();
        place.note_written();
    }

    #[test]
    fn of_new_connections_the_oldest_gives_way_and_those_that_have_asked_stay() {
        let places = Places::new(10, 2);
        let known = places.enter();
        answered(&known);
        let new: Vec<Arc<Place>> = (0..5).map(|_| places.enter()).collect();
        let lost: Vec<_> = new.iter().map(|place| is_lost(place)).collect();
        assert_eq!(lost, [true, true, true, false, false]);
        assert!(!is_lost(&known));
    }

    #[test]
    fn in_a_full_house_the_one_that_is_idle_for_longest_gives_way_and_none_whose_request_is_under_way() {
        let places = Places::new(3, 3);
        let all: Vec<Arc<Place>> = (0..3).map(|_| places.enter()).collect();
        all[0].note_request();
        answered(&all[2]);
        answered(&all[1]);
        assert!(is_ready(places.room()));
        let fourth = places.enter();
        assert_eq!([0, 1, 2].map(|number| is_lost(&all[number])), [false, false, true]);
        all[1].note_request();
        fourth.note_request();
        assert!(!is_ready(places.room()), "all three are busy");
        drop(fourth);
        assert!(is_ready(places.room()));
    }

    #[test]
    fn an_answer_that_goes_on_keeps_its_place_until_it_ends() {
        let places = Places::new(2, 2);
        let [live, other] = [places.enter(), places.enter()];
        live.note_head();
        live.note_request();
        let held = live.hold();
        live.note_answer();
        live.note_written();
        answered(&other);
        let third = places.enter();
        assert_eq!([is_lost(&live), is_lost(&other)], [false, true]);
        third.note_request();
        assert!(!is_ready(places.room()), "one is live, and one is busy");
        drop(held);
        live.note_written();
        assert!(is_ready(places.room()));
    }
}
