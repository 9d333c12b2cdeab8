//! Reloads: one at a time, and how the last one ended.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::answers::json;
use super::call::Call;
use super::refusal::{self, Refusal};
use super::state::State;

/// How far reloads are.
#[derive(Default)]
pub(crate) struct Reloads(Mutex<Progress>);

#[derive(Default)]
struct Progress {
    /// Of reloads; one more than are done while one runs.
    begun: u64,
    done: u64,
    /// Something has changed since the present one began.
    again: bool,
    /// Of the last one that is done.
    failures: Vec<Failure>,
}

/// What a reload could not do.
#[derive(Clone, Debug, Serialize)]
struct Failure {
    /// The directory of a ledger, or the word for what else is read again.
    of: String,
    message: String,
}

/// Numbers are strings, as everywhere in Ethereum's interfaces.
#[derive(Serialize)]
struct ReloadAnswer {
    begun: String,
    done: String,
    failures: Vec<Failure>,
}

impl Reloads {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, status: StatusCode) -> Response {
        let progress = self.progress();
        let answer = ReloadAnswer {
            begun: progress.begun.to_string(),
            done: progress.done.to_string(),
            failures: progress.failures.clone(),
        };
        drop(progress);
        json(status, &answer)
    }

    /// Notes how a reload has ended, and says whether another one begins at once.
    fn end(&self, failures: Vec<Failure>) -> bool {
        let mut progress = self.progress();
        progress.done = progress.begun;
        progress.failures = failures;
        let again = std::mem::take(&mut progress.again);
        progress.begun += u64::from(again);
        again
    }
}

impl State {
    /// Begins a reload on a thread of its own, unless one is running.
    pub(crate) fn begin_reload(self: &Arc<Self>) -> Result<(), Refusal> {
        let mut progress = self.reloads.progress();
        if progress.begun > progress.done {
            return Err(Refusal::plain(refusal::RELOADING));
        }
        progress.begun += 1;
        drop(progress);
        let state = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            loop {
                let failures = catch_unwind(AssertUnwindSafe(|| state.reload_all()));
                let failures = failures.unwrap_or_else(|_| vec![Failure::new("reload", "it was cut off")]);
                if !state.reloads.end(failures) {
                    break;
                }
            }
        });
        Ok(())
    }

    /// Begins a reload now, or as soon as the present one has ended: what it has read already may have changed since.
    pub(crate) fn reload_once_more(self: &Arc<Self>) {
        if self.begin_reload().is_err() {
            let mut progress = self.reloads.progress();
            let is_running = progress.begun > progress.done;
            progress.again = is_running;
            drop(progress);
            if !is_running {
                self.reload_once_more();
            }
        }
    }

    fn reload_all(&self) -> Vec<Failure> {
        let mut failures = Vec::new();
        for ledger in self.engine.keys().ledgers() {
            if ledger.reopen() {
                continue;
            }
            let place = ledger.place();
            if let Err(error) = ledger.slot().get(place) {
                tracing::error!("the ledger of '{}' cannot be opened: {error}", place.display());
                failures.push(Failure::new(place.display().to_string(), error.to_string()));
            }
        }
        if let Err(error) = (self.reload)() {
            tracing::error!("{error}");
            failures.push(Failure::new("certificates", error.to_string()));
        }
        failures
    }
}

impl Failure {
    fn new(of: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            of: of.into(),
            message: message.into(),
        }
    }
}

/// `POST /reload`.
pub(super) async fn reload(state: Arc<State>, _: Call) -> Result<Response, Refusal> {
    state.begin_reload()?;
    Ok(state.reloads.answer(StatusCode::ACCEPTED))
}

/// `GET /reload`.
pub(super) async fn last_reload(state: Arc<State>, _: Call) -> Result<Response, Refusal> {
    Ok(state.reloads.answer(StatusCode::OK))
}
