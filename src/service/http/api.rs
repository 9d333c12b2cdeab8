//! The router: every route of a listener, and what is common to all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::http::header::{AUTHORIZATION, CONNECTION, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use tokio::time::timeout;
use tower_http::timeout::RequestBodyDeadlineLayer;

use super::body::Unread;
use super::call::Call;
use super::refusal::{self, Refusal, Row};
use super::routes::{Listener, ROUTES, Route};
use super::state::State;
use crate::service::places::Place;

/// What all handlers share.
pub(crate) type Api = Arc<State>;

/// What an address leads to.
#[derive(Clone, Copy)]
enum Target {
    Route(&'static Route),
    /// It is refused, whatever the request is.
    Nothing(Row),
}

/// The routes of a listener.
pub(crate) fn router(state: &Api, listener: Listener) -> Router {
    let mut router = Router::new();
    let handle = |target| {
        let state = Arc::clone(state);
        move |request: Request| respond(Arc::clone(&state), listener, target, request)
    };
    for route in ROUTES.iter().filter(|route| route.listener == listener) {
        let filter = if route.method == Method::POST {
            MethodFilter::POST
        } else {
            MethodFilter::GET
        };
        router = router.route(route.path, on(filter, handle(Target::Route(route))));
    }
    router
        .fallback(handle(Target::Nothing(refusal::UNKNOWN_PATH)))
        .method_not_allowed_fallback(handle(Target::Nothing(refusal::METHOD)))
        .layer(RequestBodyDeadlineLayer::new(state.limits.body_max))
}

/// Answers one request, in the time that a request has.
async fn respond(state: Api, listener: Listener, target: Target, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let place = parts.extensions.get::<Arc<Place>>().cloned();
    let mut body = Unread::new(&parts.headers, body);
    let answer = answer(&state, listener, target, parts, &mut body, place.as_deref());
    let answer = timeout(state.limits.request_max, answer).await;
    let answer = answer.unwrap_or_else(|_| Err(Refusal::plain(refusal::STALLED)));
    // Who is still sending a body does not read the answer, and loses it when the connection is closed.
    let is_read = body.discard(state.limits.discard_max).await;
    let mut response = answer.unwrap_or_else(|refusal| {
        state.figures.refused(&refusal);
        refusal.into_response()
    });
    if !is_read {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
        if let Some(place) = place {
            place.leave_unread();
        }
    }
    response
}

async fn answer(
    state: &Api,
    listener: Listener,
    target: Target,
    mut parts: Parts,
    body: &mut Unread,
    place: Option<&Place>,
) -> Result<Response, Refusal> {
    // A page of anybody can have a browser send requests to this machine, and the browser names the page (RFC 6454).
    if listener == Listener::Signing && parts.headers.contains_key(ORIGIN) {
        return Err(Refusal::plain(refusal::BROWSER));
    }
    let is_guarded = listener == Listener::Metrics || state.hosts.guard_signing;
    if is_guarded && !state.hosts.are_named_by(&parts) {
        return Err(Refusal::plain(refusal::HOST));
    }
    let route = match target {
        Target::Route(route) => route,
        Target::Nothing(row) => return Err(Refusal::plain(row)),
    };
    if !route.is_open && !is_allowed(state, &parts.headers) {
        return Err(Refusal::plain(refusal::UNAUTHORIZED));
    }
    if route.takes_memory {
        state.has_room()?;
    }
    let bytes = match route.body {
        Some((_, bytes_max)) => body.read(bytes_max, || state.has_room()).await?,
        None => Vec::new(),
    };
    if let Some(place) = place {
        place.note_request();
    }
    let found = RawPathParams::from_request_parts(&mut parts, &()).await;
    let parameters: BTreeMap<_, _> = found
        .iter()
        .flat_map(RawPathParams::iter)
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    (route.handler)(Arc::clone(state), Call::new(parts, parameters, bytes)).await
}

fn is_allowed(state: &State, headers: &HeaderMap) -> bool {
    let Some(token) = &state.token else {
        return true;
    };
    let shown = headers.get(AUTHORIZATION);
    shown.is_some_and(|value| token.is_shown_by(value.as_bytes()))
}
