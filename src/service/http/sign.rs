//! Signing one message.

use std::sync::Arc;
use std::time::Instant;

use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::answers::{bytes, digits, json};
use super::call::Call;
use super::refusal::{self, Refusal};
use super::state::State;
use crate::error::Result as Outcome;
use crate::service::keys::KeyIndex;
use crate::service::order::Request;
use crate::signing::PathReader;
use keymill_xmss::Signature;
use keymill_xmss::scheme::MESSAGE_BYTES;

/// What a signature is for. It decides nothing but which figures count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Duty {
    Attestation,
    Block,
    Generic,
}

impl Duty {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Attestation, Self::Block, Self::Generic];

    /// As it stands in requests.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Attestation => "ATTESTATION",
            Self::Block => "BLOCK",
            Self::Generic => "GENERIC",
        }
    }
}

/// What is to be signed. Fields that are not named here are ignored.
#[derive(Debug, Deserialize)]
pub(super) struct SignBody {
    #[serde(rename = "type")]
    pub(super) duty: Duty,
    /// Decimal digits, as everywhere in Ethereum's interfaces.
    pub(super) slot: String,
    pub(super) signing_root: String,
}

#[derive(Serialize)]
pub(super) struct Signed {
    pub(super) signature: String,
}

impl SignBody {
    pub(super) fn request(&self, state: &State, key: KeyIndex) -> Result<Request, Refusal> {
        let slot = slot(&self.slot)?;
        let paths = state.engine.keys().get(key).signing.paths();
        let epoch = paths.epoch(slot).map_err(|_| outside(paths))?;
        let mut message = [0; MESSAGE_BYTES];
        let root = self.signing_root.strip_prefix("0x").unwrap_or_default();
        hex::decode_to_slice(root, &mut message)
            .map_err(|_| Refusal::form("signing_root is not 0x and 64 hex digits"))?;
        Ok(Request { key, epoch, message })
    }
}

/// The key does not have a slot.
pub(super) fn outside(paths: &PathReader) -> Refusal {
    let stored = paths.manifest().plan().stored();
    let what = format!("the key has the slots {} to {}", stored.start, stored.end - 1);
    Refusal::new(refusal::OUTSIDE_KEY, what)
}

/// A slot, in decimal digits.
pub(super) fn slot(text: &str) -> Result<u64, Refusal> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number);
    number.ok_or_else(|| Refusal::form("slot is not a string of decimal digits"))
}

/// `POST /api/v1/lean/sign/{public_key}`.
pub(super) async fn sign(state: Arc<State>, call: Call) -> Result<Response, Refusal> {
    let begun = Instant::now();
    let key = state.key(&call)?;
    let wants_bytes = call.wants_bytes();
    let body: SignBody = call.json()?;
    let request = body.request(&state, key)?;
    let outcome = submit(&state, vec![request]).await?.pop();
    let signature = outcome.unwrap_or_else(|| Err(state.unanswered()))?;
    state.figures.signed(body.duty, begun.elapsed());
    let ssz = signature.to_ssz();
    if wants_bytes {
        return Ok(bytes(StatusCode::OK, "application/octet-stream", ssz));
    }
    let signature = digits(&ssz);
    Ok(json(StatusCode::OK, &Signed { signature }))
}

/// Lets the engine sign, and waits for what comes of it.
pub(super) async fn submit(state: &State, requests: Vec<Request>) -> Result<Vec<Result<Signature, Refusal>>, Refusal> {
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let (sender, receiver) = oneshot::channel::<Vec<Outcome<Signature>>>();
    // A client that has gone away takes no answer. Its epochs are spent all the same, and the same request gives it again.
    let answer = move |outcomes| drop(sender.send(outcomes));
    state.engine.submit(requests, Box::new(answer))?;
    let outcomes = receiver.await.map_err(|_| state.unanswered())?;
    let refused = |outcome: Outcome<Signature>| outcome.map_err(|error| Refusal::logged(&error));
    Ok(outcomes.into_iter().map(refused).collect())
}
