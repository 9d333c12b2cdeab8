//! What there is to be known about the keys: which there are, what their ledgers say, and their authentication paths.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use tokio::sync::oneshot;

use super::answers::{digits, json};
use super::call::Call;
use super::health::KeyState;
use super::refusal::{self, Refusal};
use super::sign::{outside, slot};
use super::state::State;
use crate::error::Result as Outcome;
use crate::service::keys::{HeldKey, Keys};
use crate::service::limits::PATHS_MAX;
use crate::units::Epoch;

/// `GET /api/v1/lean/publicKeys`.
pub(super) async fn public_keys(state: Arc<State>, _: Call) -> Result<Response, Refusal> {
    let keys = state.engine.keys().iter();
    Ok(json(
        StatusCode::OK,
        &keys.map(|key| digits(&key.public_key)).collect::<Vec<_>>(),
    ))
}

/// Numbers are strings, as everywhere in Ethereum's interfaces.
#[derive(Serialize)]
struct KeyAnswer {
    public_key: String,
    state: KeyState,
    scheme: String,
    first_slot: String,
    last_slot: String,
    /// Slots below it that are not spent are not known to be unused; null if that is known of no slot.
    unused_from: Option<String>,
    spent: String,
    highest: Option<String>,
    left: String,
}

/// Slots that may sign, if those from `first` on have signed nothing but what is spent of them.
pub(super) fn left(key: &HeldKey, first_epoch: Option<u64>, highest: Option<u32>) -> u64 {
    let stored = key.signing.paths().manifest().plan().stored();
    let above = highest.map_or(0, |highest| u64::from(highest) + 1);
    first_epoch.map_or(0, |first| stored.end.saturating_sub(first.max(above).max(stored.start)))
}

/// `GET /api/v1/lean/keys/{public_key}`.
pub(super) async fn key(state: Arc<State>, call: Call) -> Result<Response, Refusal> {
    let place = state.key(&call)?;
    let answer = describe(state.engine.keys().get(place));
    Ok(json(
        StatusCode::OK,
        &answer.ok_or_else(|| Refusal::plain(refusal::LEDGER))?,
    ))
}

/// None if its ledger cannot be written.
fn describe(key: &HeldKey) -> Option<KeyAnswer> {
    let ledger = key.standing()?;
    let manifest = key.signing.paths().manifest();
    let stored = manifest.plan().stored();
    Some(KeyAnswer {
        public_key: digits(&key.public_key),
        state: KeyState::of(key),
        scheme: manifest.scheme().id().to_owned(),
        first_slot: stored.start.to_string(),
        last_slot: (stored.end - 1).to_string(),
        unused_from: ledger.first_epoch.map(|epoch| epoch.to_string()),
        spent: ledger.spent.to_string(),
        highest: ledger.highest.map(|epoch| epoch.to_string()),
        left: left(key, ledger.first_epoch, ledger.highest).to_string(),
    })
}

/// Looks something up on another thread, so that those who are served on this one do not wait for it.
pub(super) async fn look_up<T: Send + 'static>(
    state: &Arc<State>,
    look: impl FnOnce(&State) -> T + Send + 'static,
) -> Result<T, Refusal> {
    let state = Arc::clone(state);
    let found = tokio::task::spawn_blocking(move || look(&state)).await;
    found.map_err(|_| Refusal::plain(refusal::FAILED))
}

#[derive(Serialize)]
struct PathsAnswer {
    scheme: String,
    root: String,
    paths: Vec<PathAnswer>,
}

#[derive(Serialize)]
struct PathAnswer {
    slot: String,
    leaf: String,
    /// From level 0 upward.
    siblings: Vec<String>,
}

/// `GET /api/v1/lean/paths/{public_key}/{slot}`.
pub(super) async fn paths(state: Arc<State>, call: Call) -> Result<Response, Refusal> {
    let place = state.key(&call)?;
    let first = slot(call.parameter("slot"))?;
    let count = call.query("count")?.map_or(Ok(1), |count| {
        slot(count).map_err(|_| Refusal::form("count is not a number"))
    })?;
    if count == 0 || count > PATHS_MAX {
        let what = format!("count is from 1 to {PATHS_MAX}");
        return Err(Refusal::new(refusal::TOO_LARGE, what));
    }
    let (sender, receiver) = oneshot::channel();
    let reader = state.engine.keys().get(place).signing.paths();
    for slot in [first, first.saturating_add(count - 1)] {
        reader.epoch(slot).map_err(|_| outside(reader))?;
    }
    // A megabyte of text is written on the worker too.
    let read = move |keys: &Keys| {
        let paths = read_paths(keys.get(place), first, count);
        drop(sender.send(paths.map(|paths| json(StatusCode::OK, &paths))));
    };
    state.engine.read(count as usize, read)?;
    let read = receiver.await.map_err(|_| state.unanswered())?;
    read.map_err(|error| Refusal::logged(&error))
}

fn read_paths(key: &HeldKey, first: u64, count: u64) -> Outcome<PathsAnswer> {
    let reader = key.signing.paths();
    let manifest = reader.manifest();
    let path = |slot: u64| {
        let path = reader.path(Epoch(slot as u32))?;
        Ok(PathAnswer {
            slot: slot.to_string(),
            leaf: digits(&path.leaf),
            siblings: path.sibling_digests().map(digits).collect(),
        })
    };
    Ok(PathsAnswer {
        scheme: manifest.scheme().id().to_owned(),
        root: digits(manifest.root().unwrap_or_default()),
        paths: (first..first + count).map(path).collect::<Outcome<_>>()?,
    })
}
