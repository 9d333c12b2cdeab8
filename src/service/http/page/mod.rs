//! The page of a service, at its metrics listener: for people, and live. It names keys and counts what they do; it has no secret,
//! and nothing signs there.

mod board;
mod draw;
mod live;
mod view;

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;

use super::answers::bytes;
use super::call::Call;
use super::refusal::{self, Refusal};
use super::state::State;
use crate::drawing::STYLE;
use draw::draw;
pub(crate) use live::{Live, keep_up_to_date};
use view::View;

/// Style, script and events come from where the page comes from, and nothing else is fetched, sent or embedded.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

fn answer(content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = bytes(StatusCode::OK, content_type, body);
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// `GET /`.
pub(super) async fn page(state: Arc<State>, _: Call) -> Result<Response, Refusal> {
    let drawn = super::keys::look_up(&state, |state| draw(&View::of(state))).await?;
    Ok(answer("text/html; charset=utf-8", drawn.html))
}

/// `GET /page.css`.
pub(super) async fn style(_: Arc<State>, _: Call) -> Result<Response, Refusal> {
    Ok(answer(
        "text/css; charset=utf-8",
        [STYLE, include_str!("page.css")].concat(),
    ))
}

/// `GET /page.js`.
pub(super) async fn script(_: Arc<State>, _: Call) -> Result<Response, Refusal> {
    Ok(answer("text/javascript; charset=utf-8", include_str!("page.js")))
}

/// `GET /events`.
pub(super) async fn events(state: Arc<State>, call: Call) -> Result<Response, Refusal> {
    let stream = state.live.stream(call.place.as_ref());
    let stream = stream.ok_or_else(|| Refusal::plain(refusal::WATCHED))?;
    Ok(answer("text/event-stream", Body::new(stream)))
}
