//! A request as the handlers see it.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_LENGTH};
use axum::http::request::Parts;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use super::refusal::{self, Refusal};

/// So much of a body that is too large is read and dropped: who is still sending does not read the answer, and loses it when
/// the connection is closed with bytes that nobody has read (RFC 9112, section 9.6).
const DISCARDED_BYTES_MAX: usize = 1 << 20;

/// One request.
pub(crate) struct Call {
    pub(crate) headers: HeaderMap,
    /// The parts of the address that stand in braces in the table of routes.
    pub(crate) parameters: BTreeMap<String, String>,
    query: Option<String>,
    body: Body,
}

impl Call {
    pub(crate) fn new(parts: Parts, parameters: BTreeMap<String, String>, body: Body) -> Self {
        Self {
            query: parts.uri.query().map(str::to_owned),
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

    /// The body, as JSON of at most so many bytes.
    pub(crate) async fn json<T: DeserializeOwned>(self, bytes_max: usize) -> Result<T, Refusal> {
        let body = self.bytes(bytes_max).await?;
        serde_json::from_slice(&body)
            .map_err(|error| Refusal::form(format!("the body is not as it has to be: {error}")))
    }

    async fn bytes(mut self, bytes_max: usize) -> Result<Vec<u8>, Refusal> {
        let too_large = || Refusal::new(refusal::TOO_LARGE, format!("the body is longer than {bytes_max} bytes"));
        let read_max = bytes_max + DISCARDED_BYTES_MAX;
        let length = self.headers.get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        if length.is_some_and(|length: u64| length > read_max as u64) {
            return Err(too_large());
        }
        let (mut bytes, mut read) = (Vec::new(), 0);
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| unread(&error))?;
            let data = frame.data_ref().map_or(&[][..], |data| data);
            read += data.len();
            if read > read_max {
                break;
            }
            if read <= bytes_max {
                bytes.extend_from_slice(data);
            }
        }
        if read > bytes_max { Err(too_large()) } else { Ok(bytes) }
    }
}

/// A body that could not be read to its end.
fn unread(error: &axum::Error) -> Refusal {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = source {
        if error.is::<tower_http::timeout::TimeoutError>() {
            return Refusal::plain(refusal::SLOW);
        }
        source = error.source();
    }
    Refusal::form("the body did not arrive to its end")
}
