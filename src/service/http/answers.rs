//! The bodies that answers have.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde::Serialize;

/// Bytes of a type.
pub(crate) fn bytes(status: StatusCode, content_type: &'static str, bytes: impl Into<Body>) -> Response {
    let mut response = Response::new(bytes.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A value as JSON.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => bytes(status, "application/json", text),
        Err(_) => bytes(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", Body::empty()),
    }
}

/// Bytes as digits.
pub(crate) fn digits(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}
