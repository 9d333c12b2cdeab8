//! What keeps pages up to date: one task that draws once a second while somebody watches, and the streams that it feeds.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::{Body, Bytes, Frame};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::timeout;

use super::board::{Value, Values};
use super::draw::{Drawn, draw};
use super::view::View;
use crate::service::beside::Beside;
use crate::service::http::api::Api;
use crate::service::keys::Keys;
use crate::service::places::{HeldPlace, Place};

const INTERVAL: Duration = Duration::from_secs(1);
/// Who takes nothing for so long is no longer sent anything.
const SEND_WAIT_MAX: Duration = Duration::from_secs(10);
/// Ten minutes.
const RATE_STEPS: usize = 120;
const STEP_TICKS: u64 = 5;

/// What pages need of the service beside its figures.
pub(crate) struct Live {
    frames: watch::Sender<Shown>,
    streams: Arc<Semaphore>,
    rates: Mutex<Rates>,
    beside: Mutex<Option<Beside>>,
}

/// What streams are to show.
#[derive(Clone)]
enum Shown {
    Nothing,
    Event(Arc<Event>),
    /// The service ends.
    End,
}

/// The figures of a moment.
struct Event {
    number: u64,
    /// All of them.
    whole: Bytes,
    /// Those that differ from the event before.
    changes: Bytes,
}

/// What looks beside the keys, for one at a time.
pub(super) struct BesideGuard<'a>(MutexGuard<'a, Option<Beside>>, &'a Keys);

impl BesideGuard<'_> {
    pub(super) fn look(&mut self) -> Vec<crate::service::beside::BeingMade> {
        let places = self.1.iter().map(|key| key.place.as_path());
        self.0.get_or_insert_with(|| Beside::of(places)).look()
    }
}

impl Live {
    /// For so many pages at a time that are live.
    pub(crate) fn new(pages_max: usize) -> Self {
        Self {
            frames: watch::Sender::new(Shown::Nothing),
            streams: Arc::new(Semaphore::new(pages_max)),
            rates: Mutex::default(),
            beside: Mutex::default(),
        }
    }

    pub(super) fn rates(&self) -> Rates {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn beside<'a>(&'a self, keys: &'a Keys) -> BesideGuard<'a> {
        BesideGuard(self.beside.lock().unwrap_or_else(PoisonError::into_inner), keys)
    }

    /// Takes note of how many signatures there are, once a tick.
    fn note(&self, signatures: u64) {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.note(Instant::now(), signatures);
    }

    /// A stream of events at this place, unless there are as many as there may be.
    pub(super) fn stream(&self, place: Option<&Arc<Place>>) -> Option<EventStream> {
        let permit = Arc::clone(&self.streams).try_acquire_owned().ok()?;
        let (sender, events) = mpsc::channel(1);
        tokio::spawn(feed(self.frames.subscribe(), sender, permit));
        Some(EventStream {
            events,
            _place: place.map(Place::hold),
        })
    }
}

/// Draws once a second while somebody watches, until `end` comes. Then all streams end.
pub(crate) async fn keep_up_to_date(api: Api, end: impl Future<Output = ()>) {
    let draw_all = async {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut last, mut number) = (Values::new(), 0);
        loop {
            ticks.tick().await;
            api.live.note(api.figures.signatures());
            if api.live.frames.receiver_count() == 0 {
                continue;
            }
            let state = Arc::clone(&api);
            let drawn = tokio::task::spawn_blocking(move || draw(&View::of(&state))).await;
            if let Ok(drawn) = drawn {
                number += 1;
                let event = Event::new(number, &drawn, &last);
                last = drawn.values;
                api.live.frames.send_replace(Shown::Event(Arc::new(event)));
            }
        }
    };
    tokio::select! {
        () = draw_all => {}
        () = end => {}
    }
    api.live.frames.send_replace(Shown::End);
}

#[derive(Serialize)]
struct Data<'a> {
    shape: u32,
    values: std::collections::BTreeMap<&'a str, &'a Value>,
}

impl Event {
    fn new(number: u64, drawn: &Drawn, last: &Values) -> Self {
        let text = |is_shown: &dyn Fn(&str, &Value) -> bool| {
            let shown = drawn.values.iter().filter(|(id, value)| is_shown(id, value));
            let data = Data {
                shape: drawn.shape,
                values: shown.map(|(id, value)| (id.as_str(), value)).collect(),
            };
            // Strings and numbers always become JSON, which has no line breaks of its own.
            let json = serde_json::to_string(&data).unwrap_or_default();
            Bytes::from(format!("data: {json}\n\n"))
        };
        Self {
            number,
            whole: text(&|_, _| true),
            changes: text(&|id, value| last.get(id) != Some(value)),
        }
    }
}

/// Sends the figures to one client, until it is gone or the service ends.
async fn feed(mut frames: watch::Receiver<Shown>, sender: mpsc::Sender<Bytes>, _permit: OwnedSemaphorePermit) {
    let mut seen = None;
    while frames.changed().await.is_ok() {
        let shown = frames.borrow_and_update().clone();
        let event = match shown {
            Shown::Nothing => continue,
            Shown::Event(event) => event,
            Shown::End => break,
        };
        let text = if seen.is_some_and(|seen| seen + 1 == event.number) {
            event.changes.clone()
        } else {
            event.whole.clone()
        };
        seen = Some(event.number);
        if !matches!(timeout(SEND_WAIT_MAX, sender.send(text)).await, Ok(Ok(()))) {
            break;
        }
    }
}

/// The body of a stream.
pub(super) struct EventStream {
    events: mpsc::Receiver<Bytes>,
    /// It says little and rarely, so its connection would be taken for one that is idle.
    _place: Option<HeldPlace>,
}

impl Body for EventStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let next = self.events.poll_recv(context);
        next.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// Signatures a second over the last minutes.
#[derive(Clone, Debug, Default)]
pub(super) struct Rates {
    /// The last ticks, and how many signatures there were.
    ticks: VecDeque<(Instant, u64)>,
    ticks_seen: u64,
    /// Of each step, the newest last.
    steps: VecDeque<f64>,
}

impl Rates {
    /// Takes note of how many signatures there are, once a tick.
    fn note(&mut self, now: Instant, signatures: u64) {
        self.ticks.push_back((now, signatures));
        self.ticks_seen += 1;
        if self.ticks.len() as u64 > STEP_TICKS + 1 {
            self.ticks.pop_front();
        }
        if self.ticks_seen > 1 && self.ticks_seen % STEP_TICKS == 1 {
            self.steps.push_back(self.now());
            if self.steps.len() > RATE_STEPS {
                self.steps.pop_front();
            }
        }
    }

    /// Over the last seconds.
    pub(super) fn now(&self) -> f64 {
        let (Some((then, before)), Some((now, signatures))) = (self.ticks.front(), self.ticks.back()) else {
            return 0.0;
        };
        let seconds = now.duration_since(*then).as_secs_f64();
        if seconds > 0.0 {
            signatures.saturating_sub(*before) as f64 / seconds
        } else {
            0.0
        }
    }

    /// How many steps there are room for.
    pub(super) fn steps(&self) -> usize {
        RATE_STEPS
    }

    /// The time that they are of.
    pub(super) fn span(&self) -> Duration {
        INTERVAL * (RATE_STEPS as u32 * STEP_TICKS as u32)
    }

    /// The rates with their places, of which the newest has the last one.
    pub(super) fn placed(&self) -> impl Iterator<Item = (usize, f64)> {
        let first = RATE_STEPS - self.steps.len().min(RATE_STEPS);
        self.steps.iter().enumerate().map(move |(at, &rate)| (first + at, rate))
    }

    /// A round number that none of them is above.
    pub(super) fn round_top(&self) -> f64 {
        let most = self.steps.iter().copied().fold(1.0, f64::max);
        let magnitude = 10_f64.powf(most.log10().floor());
        let tops = [1.0, 2.0, 5.0, 10.0].map(|multiple| multiple * magnitude);
        tops.into_iter().find(|&top| top >= most).unwrap_or(10.0 * magnitude)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds_and_the_chart_keeps_ten_minutes() {
        let mut rates = Rates::default();
        let begun = Instant::now();
        assert_eq!((rates.now(), rates.placed().count()), (0.0, 0));
        for second in 0..1000_u64 {
            rates.note(begun + Duration::from_secs(second), 30 * second.min(990));
        }
        assert_eq!(rates.now(), 0.0);
        assert_eq!((rates.steps.len(), rates.span()), (120, Duration::from_secs(600)));
        let placed: Vec<_> = rates.placed().collect();
        assert_eq!(
            (placed[0], placed[117], placed[119]),
            ((0, 30.0), (117, 30.0), (119, 0.0))
        );
        assert_eq!(rates.round_top(), 50.0);
    }
}
