//! A request as the handlers see it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::refusal::Refusal;
use crate::service::places::Place;
use crate::text::json_fault;

/// One request.
pub(crate) struct Call {
    pub(crate) headers: HeaderMap,
    /// The parts of the address that stand in braces in the table of routes.
    pub(crate) parameters: BTreeMap<String, String>,
    query: Option<String>,
    pub(super) body: Vec<u8>,
    /// Of its connection.
    pub(super) place: Option<Arc<Place>>,
}

impl Call {
    pub(crate) fn new(parts: Parts, parameters: BTreeMap<String, String>, body: Vec<u8>) -> Self {
        Self {
            query: parts.uri.query().map(str::to_owned),
            place: parts.extensions.get().cloned(),
            headers: parts.headers,
            parameters,
            body,
        }
    }

    /// A part of the address.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.parameters.get(name).map_or("", String::as_str)
    }

    /// The value of the only parameter that the query may have.
    pub(crate) fn query(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let Some(query) = self.query.as_deref().filter(|query| !query.is_empty()) else {
            return Ok(None);
        };
        match query.split_once('=') {
            Some((found, value)) if found == name => Ok(Some(value)),
            _ => Err(Refusal::form(format!(
                "the only parameter that can stand behind '?' is {name}"
            ))),
        }
    }

    /// Whether the client wants bytes rather than JSON.
    pub(crate) fn wants_bytes(&self) -> bool {
        let accept = self.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
        accept.is_some_and(|accept| accept.trim().starts_with("application/octet-stream"))
    }

    /// The body, as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_json::from_slice(&self.body).map_err(|error| wrong_json("the body", &error))
    }
}

/// What is refused because it is not JSON, or other JSON than it has to be.
pub(super) fn wrong_json(what: &str, error: &serde_json::Error) -> Refusal {
    Refusal::form(format!("{what} is not as it has to be: {}", json_fault(error)))
}
