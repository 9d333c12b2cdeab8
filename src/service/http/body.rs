//! The body of a request, read within bounds, or dropped.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use http_body_util::BodyExt;
use tokio::time::timeout;
use tower_http::timeout::TimeoutError;

use super::refusal::{self, Refusal};
use crate::service::limits::DISCARDED_BYTES_MAX;

/// A body that is read at most once.
pub(super) struct Unread {
    body: Body,
    /// What the head says of its length.
    length: Option<u64>,
    /// The client sends it when it is asked to alone.
    waits_to_be_asked: bool,
    has_failed: bool,
}

impl Unread {
    pub(super) fn new(headers: &HeaderMap, body: Body) -> Self {
        let length = headers.get(CONTENT_LENGTH);
        Self {
            length: length.and_then(|length| length.to_str().ok()?.parse().ok()),
            waits_to_be_asked: headers.contains_key(EXPECT),
            has_failed: false,
            body,
        }
    }

    /// All of it, if it has at most so many bytes, and there is room for it all the time.
    pub(super) async fn read(
        &mut self,
        bytes_max: usize,
        has_room: impl Fn() -> Result<(), Refusal>,
    ) -> Result<Vec<u8>, Refusal> {
        let too_large = || Refusal::new(refusal::TOO_LARGE, format!("the body is longer than {bytes_max} bytes"));
        if self.length.is_some_and(|length| length > bytes_max as u64) {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        self.waits_to_be_asked = false;
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| {
                self.has_failed = true;
                unread(&error)
            })?;
            let data = frame.data_ref().map_or(&[][..], |data| data);
            if bytes.len() + data.len() > bytes_max {
                return Err(too_large());
            }
            has_room()?;
            bytes.extend_from_slice(data);
        }
        Ok(bytes)
    }

    /// Reads and drops what is left of it, if that is not too much and comes soon. Says whether nothing is left.
    pub(super) async fn discard(&mut self, time_max: Duration) -> bool {
        if self.body.is_end_stream() {
            return true;
        }
        let is_long = self.length.is_some_and(|length| length > DISCARDED_BYTES_MAX as u64);
        if self.has_failed || self.waits_to_be_asked || is_long {
            return false;
        }
        let rest = async {
            let mut dropped = 0;
            while dropped <= DISCARDED_BYTES_MAX {
                match self.body.frame().await {
                    Some(Ok(frame)) => dropped += frame.data_ref().map_or(0, Bytes::len),
                    Some(Err(_)) => return false,
                    None => return true,
                }
            }
            false
        };
        timeout(time_max, rest).await.unwrap_or(false)
    }
}

/// A body that could not be read to its end.
fn unread(error: &axum::Error) -> Refusal {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = source {
        if error.is::<TimeoutError>() {
            return Refusal::plain(refusal::SLOW);
        }
        source = error.source();
    }
    Refusal::form("the body did not arrive to its end")
}
