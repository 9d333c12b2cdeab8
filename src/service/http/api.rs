//! The router: every route of a listener, and what is common to all of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{RawPathParams, Request};
use axum::http::header::{AUTHORIZATION, ORIGIN};
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use tower_http::timeout::RequestBodyTimeoutLayer;

use super::call::Call;
use super::refusal::{self, Refusal};
use super::routes::{Listener, ROUTES, Route};
use super::state::State;

/// The longest pause within a body.
const BODY_PAUSE_MAX: Duration = Duration::from_secs(5);

/// What all handlers share.
pub(crate) type Api = Arc<State>;

/// The routes of a listener.
pub(crate) fn router(state: &Api, listener: Listener) -> Router {
    let mut router = Router::new();
    for route in ROUTES.iter().filter(|route| route.listener == listener) {
        let state = Arc::clone(state);
        let filter = if route.method == Method::POST {
            MethodFilter::POST
        } else {
            MethodFilter::GET
        };
        let handle =
            move |parameters: RawPathParams, request: Request| answer(Arc::clone(&state), route, parameters, request);
        router = router.route(route.path, on(filter, handle));
    }
    let refuse = |state: &Api, row| {
        let state = Arc::clone(state);
        move || std::future::ready(refused(&state, Refusal::plain(row)))
    };
    router
        .fallback(refuse(state, refusal::UNKNOWN_PATH))
        .method_not_allowed_fallback(refuse(state, refusal::METHOD))
        .layer(RequestBodyTimeoutLayer::new(BODY_PAUSE_MAX))
}

async fn answer(state: Api, route: &'static Route, parameters: RawPathParams, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    // A page of anybody can have a browser send requests to this machine, and the browser names the page (RFC 6454).
    if route.listener == Listener::Signing && parts.headers.contains_key(ORIGIN) {
        return refused(&state, Refusal::plain(refusal::BROWSER));
    }
    if !route.is_open && !is_allowed(&state, &parts.headers) {
        return refused(&state, Refusal::plain(refusal::UNAUTHORIZED));
    }
    let parameters: BTreeMap<_, _> = parameters
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let call = Call::new(parts, parameters, body);
    (route.handler)(Arc::clone(&state), call)
        .await
        .unwrap_or_else(|refusal| refused(&state, refusal))
}

fn refused(state: &State, refusal: Refusal) -> Response {
    state.figures.refused(&refusal);
    refusal.into_response()
}

fn is_allowed(state: &State, headers: &HeaderMap) -> bool {
    let Some(token) = &state.token else {
        return true;
    };
    let shown = headers.get(AUTHORIZATION);
    shown.is_some_and(|value| token.is_shown_by(value.as_bytes()))
}
