//! Signing: one request, or a list of them that is spent in one commit.

use std::sync::Arc;
use std::time::Instant;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::answers::{bytes, digits, json};
use super::call::Call;
use super::refusal::{self, Refusal};
use super::state::State;
use crate::error::Result as Outcome;
use crate::service::keys::KeyIndex;
use crate::service::order::Request;
use keymill_xmss::Signature;
use keymill_xmss::scheme::MESSAGE_BYTES;

/// A request without its key has some 150 bytes, and other signers of Ethereum are sent a few kilobytes of context.
const BODY_BYTES_MAX: usize = 64 << 10;
/// A thousand keys, with their public keys.
const LIST_BODY_BYTES_MAX: usize = 4 << 20;

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

/// What is to be signed. Fields that are not named here are passed over.
#[derive(Debug, Deserialize)]
struct SignBody {
    #[serde(rename = "type")]
    duty: Duty,
    /// Decimal digits, as everywhere in Ethereum's interfaces.
    slot: String,
    signing_root: String,
}

/// The same in a list.
#[derive(Debug, Deserialize)]
struct ListedBody {
    /// The public key.
    identifier: String,
    #[serde(flatten)]
    body: SignBody,
}

#[derive(Serialize)]
struct Signed {
    signature: String,
}

/// An entry of the answer to a list.
#[derive(Serialize)]
#[serde(untagged)]
enum Listed {
    Signed(Signed),
    Refused { error: Refusal },
}

impl SignBody {
    fn request(&self, state: &State, key: KeyIndex) -> Result<Request, Refusal> {
        let slot = slot(&self.slot)?;
        let paths = state.engine.keys().get(key).signing.paths();
        let epoch = paths.epoch(slot).map_err(|error| Refusal::from(&error))?;
        let mut message = [0; MESSAGE_BYTES];
        let root = self.signing_root.strip_prefix("0x").unwrap_or_default();
        hex::decode_to_slice(root, &mut message)
            .map_err(|_| Refusal::form("signing_root is not 0x and 64 hex digits"))?;
        Ok(Request { key, epoch, message })
    }
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
    let body: SignBody = call.json(BODY_BYTES_MAX).await?;
    state.has_room()?;
    let request = body.request(&state, key)?;
    let outcome = submit(&state, vec![request]).await?.pop();
    let signature = outcome.unwrap_or_else(|| Err(Refusal::plain(refusal::ENDING)))?;
    state.figures.signed(body.duty, begun.elapsed());
    let ssz = signature.to_ssz();
    if wants_bytes {
        return Ok(bytes(StatusCode::OK, "application/octet-stream", ssz));
    }
    let signature = digits(&ssz);
    Ok(json(StatusCode::OK, &Signed { signature }))
}

/// `POST /api/v1/lean/sign`.
pub(super) async fn sign_list(state: Arc<State>, call: Call) -> Result<Response, Refusal> {
    let begun = Instant::now();
    let list: Vec<ListedBody> = call.json(LIST_BODY_BYTES_MAX).await?;
    state.has_room()?;
    let request = |listed: &ListedBody| listed.body.request(&state, state.find(&listed.identifier)?);
    let requests: Vec<_> = list.iter().map(request).collect();
    let good: Vec<_> = requests.iter().flatten().copied().collect();
    let mut outcomes = submit(&state, good).await?.into_iter();
    let mut answers = Vec::with_capacity(list.len());
    for (request, listed) in requests.into_iter().zip(&list) {
        let outcome = match request {
            Ok(_) => outcomes.next().unwrap_or_else(|| Err(Refusal::plain(refusal::ENDING))),
            Err(refusal) => Err(refusal),
        };
        answers.push(match outcome {
            Ok(signature) => {
                state.figures.signed(listed.body.duty, begun.elapsed());
                let signature = digits(&signature.to_ssz());
                Listed::Signed(Signed { signature })
            }
            Err(error) => {
                state.figures.refused(&error);
                Listed::Refused { error }
            }
        });
    }
    Ok(json(StatusCode::OK, &answers).into_response())
}

/// Lets the engine sign, and waits for what comes of it.
async fn submit(state: &State, requests: Vec<Request>) -> Result<Vec<Result<Signature, Refusal>>, Refusal> {
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let (sender, receiver) = oneshot::channel::<Vec<Outcome<Signature>>>();
    // A client that has gone away takes no answer. Its epochs are spent all the same, and the same request gives it again.
    let answer = move |outcomes| drop(sender.send(outcomes));
    state.engine.submit(requests, Box::new(answer))?;
    let outcomes = receiver.await.map_err(|_| Refusal::plain(refusal::ENDING))?;
    let refused = |outcome: Outcome<Signature>| {
        outcome.map_err(|error| {
            let refusal = Refusal::from(&error);
            if refusal.is_failure() {
                tracing::error!("{error}");
            }
            refusal
        })
    };
    Ok(outcomes.into_iter().map(refused).collect())
}
