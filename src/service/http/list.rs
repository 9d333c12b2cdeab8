//! Signing a list, which is spent in one commit for each ledger.

use std::sync::Arc;
use std::time::Instant;

use axum::http::StatusCode;
use axum::response::Response;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::answers::{digits, json};
use super::call::{Call, wrong_json};
use super::keys::look_up;
use super::refusal::{self, Refusal};
use super::sign::{Duty, SignBody, Signed, submit};
use super::state::State;
use crate::service::limits::LIST_MAX;
use crate::service::order::Request;
use keymill_xmss::Signature;

/// The entries of a list as they stand in its text, and how many there are. No more than may be are kept.
struct Entries<'a> {
    texts: Vec<&'a RawValue>,
    count: usize,
}

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut texts = Vec::new();
        while texts.len() < LIST_MAX
            && let Some(text) = list.next_element()?
        {
            texts.push(text);
        }
        let mut count = texts.len();
        while count >= LIST_MAX && list.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Entries { texts, count })
    }
}

/// An entry. Fields that are not named here are ignored.
#[derive(Deserialize)]
struct ListedBody {
    /// The public key.
    identifier: String,
    #[serde(rename = "type")]
    duty: Duty,
    slot: String,
    signing_root: String,
}

/// An entry of the answer.
#[derive(Serialize)]
#[serde(untagged)]
enum Listed {
    Signed(Signed),
    Refused { error: Refusal },
}

/// What an entry asks for, or why it is refused alone.
type Asked = Result<(Request, Duty), Refusal>;

fn parse(state: &State, text: &[u8]) -> Result<Vec<Asked>, Refusal> {
    let entries: Entries<'_> = serde_json::from_slice(text).map_err(|error| wrong_json("the body", &error))?;
    if entries.count > LIST_MAX {
        let what = format!("the list has {} entries, and {LIST_MAX} are the most", entries.count);
        return Err(Refusal::new(refusal::TOO_LARGE, what));
    }
    Ok(entries
        .texts
        .into_iter()
        .map(|entry| parse_entry(state, entry))
        .collect())
}

fn parse_entry(state: &State, text: &RawValue) -> Asked {
    let ListedBody {
        identifier,
        duty,
        slot,
        signing_root,
    } = serde_json::from_str(text.get()).map_err(|error| wrong_json("the entry", &error))?;
    let body = SignBody {
        duty,
        slot,
        signing_root,
    };
    Ok((body.request(state, state.find(&identifier)?)?, duty))
}

/// `POST /api/v1/lean/sign`. Megabytes of text are read and written beside the thread that serves the others.
pub(super) async fn sign_list(state: Arc<State>, call: Call) -> Result<Response, Refusal> {
    let begun = Instant::now();
    let asked = look_up(&state, move |state| parse(state, &call.body)).await??;
    let good: Vec<_> = asked.iter().flatten().map(|(request, _)| *request).collect();
    let outcomes = submit(&state, good).await?;
    look_up(&state, move |state| answer(state, asked, outcomes, begun)).await
}

fn answer(state: &State, asked: Vec<Asked>, outcomes: Vec<Result<Signature, Refusal>>, begun: Instant) -> Response {
    let mut outcomes = outcomes.into_iter();
    let listed = |asked: Asked| {
        let signed = asked.and_then(|(_, duty)| {
            let outcome = outcomes.next().unwrap_or_else(|| Err(state.unanswered()));
            outcome.map(|signature| (signature, duty))
        });
        match signed {
            Ok((signature, duty)) => {
                state.figures.signed(duty, begun.elapsed());
                let signature = digits(&signature.to_ssz());
                Listed::Signed(Signed { signature })
            }
            Err(error) => {
                state.figures.refused(&error);
                Listed::Refused { error }
            }
        }
    };
    json(StatusCode::OK, &asked.into_iter().map(listed).collect::<Vec<_>>())
}
