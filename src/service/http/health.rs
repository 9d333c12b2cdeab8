//! Whether the service runs, and whether its keys can sign.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::answers::{bytes, digits, json};
use super::call::Call;
use super::keys::{left, look_up};
use super::refusal::Refusal;
use super::state::State;
use crate::service::keys::HeldKey;

/// Whether a key can sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum KeyState {
    /// It can.
    Ready,
    /// It is not known which slots it has signed elsewhere.
    NoHistory,
    /// No slot is left that may sign.
    UsedUp,
    /// Its ledger could not be written.
    Failed,
}

impl KeyState {
    /// As they stand in answers.
    pub(super) const WORDS: [&str; 4] = ["ready", "no_history", "used_up", "failed"];

    pub(super) fn of(key: &HeldKey) -> Self {
        let Some(ledger) = key.standing() else {
            return Self::Failed;
        };
        let stored = key.signing.paths().manifest().plan().stored();
        if ledger.first_possible >= stored.end {
            return Self::UsedUp;
        }
        let Some(first) = ledger.first_epoch else {
            return Self::NoHistory;
        };
        // Slots below the highest one can be left as well.
        let has_spent_all = ledger.spent >= stored.end - first.max(stored.start);
        if left(key, Some(first), ledger.highest) == 0 && has_spent_all {
            return Self::UsedUp;
        }
        Self::Ready
    }
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    memory: &'static str,
    keys: Vec<KeyHealth>,
}

#[derive(Serialize)]
struct KeyHealth {
    public_key: String,
    state: KeyState,
}

/// `GET /healthcheck`.
pub(super) async fn health(state: Arc<State>, _: Call) -> Result<Response, Refusal> {
    look_up(&state, Health::answer).await
}

impl Health {
    fn answer(state: &State) -> Response {
        let of = |key: &HeldKey| KeyHealth {
            public_key: digits(&key.public_key),
            state: KeyState::of(key),
        };
        let keys: Vec<_> = state.engine.keys().iter().map(of).collect();
        let is_nearly_full = state.memory.sample().is_nearly_full;
        let is_up = !is_nearly_full && keys.iter().all(|key| key.state == KeyState::Ready);
        let status = if is_up {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        let health = Self {
            status: if is_up { "UP" } else { "DOWN" },
            memory: if is_nearly_full { "nearly_full" } else { "enough" },
            keys,
        };
        json(status, &health)
    }
}

/// `GET /upcheck`.
pub(super) async fn up(_: Arc<State>, _: Call) -> Result<Response, Refusal> {
    Ok(bytes(StatusCode::OK, "text/plain; charset=utf-8", "OK"))
}
