//! The table of routes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::http::Method;
use axum::response::Response;

use super::call::Call;
use super::refusal::{
    BEFORE_HISTORY, ENDING, FAILED, FORM, LEDGER, MEMORY, NO_HISTORY, OUTSIDE_KEY, QUEUE_FULL, RELOADING, Refusal, Row,
    SLOW, SPENT, STALLED, TOO_LARGE, UNKNOWN_KEY, USED_UP, WATCHED,
};
use super::state::State;
use super::{health, keys, list, metrics, openapi, page, reload, sign};
use crate::service::limits::{BODY_BYTES_MAX, LIST_BODY_BYTES_MAX};

/// The two places in which a service can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Where signatures are given out.
    Signing,
    /// Where figures are, which are for anybody who reaches it: nothing there signs, and nothing is secret.
    Metrics,
}

type Answered = Pin<Box<dyn Future<Output = Result<Response, Refusal>> + Send>>;

/// One address, its method, and what it does.
pub(crate) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) listener: Listener,
    /// Without the token, if there is one.
    pub(super) is_open: bool,
    pub(super) summary: &'static str,
    /// What stands behind '?', if anything may.
    pub(super) query: Option<(&'static str, &'static str)>,
    /// The schema of the body, and its bytes at most.
    pub(super) body: Option<(&'static str, usize)>,
    /// Refused while memory is nearly full, before anything of it is read.
    pub(super) takes_memory: bool,
    /// Status and schema of the answer.
    pub(super) answer: (u16, &'static str),
    /// Also as bytes, if the client accepts these.
    pub(super) also_bytes: bool,
    pub(super) refusals: &'static [Row],
    pub(super) handler: fn(Arc<State>, Call) -> Answered,
}

const SIGN_REFUSALS: &[Row] = &[
    FORM,
    OUTSIDE_KEY,
    UNKNOWN_KEY,
    SLOW,
    SPENT,
    NO_HISTORY,
    BEFORE_HISTORY,
    USED_UP,
    TOO_LARGE,
    QUEUE_FULL,
    FAILED,
    MEMORY,
    LEDGER,
    ENDING,
    STALLED,
];

macro_rules! handler {
    ($handler:path) => {
        |state, call| Box::pin($handler(state, call))
    };
}

const BARE: Route = Route {
    method: Method::GET,
    path: "/",
    listener: Listener::Signing,
    is_open: false,
    summary: "",
    query: None,
    body: None,
    takes_memory: false,
    answer: (200, "Text"),
    also_bytes: false,
    refusals: &[],
    handler: handler!(health::up),
};

/// Of a listener, at that listener.
const DESCRIPTION: Route = Route {
    path: "/openapi.json",
    is_open: true,
    summary: "Describe the requests that this listener answers",
    answer: (200, "Empty"),
    ..BARE
};

/// Of the page.
const PAGE: Route = Route {
    listener: Listener::Metrics,
    is_open: true,
    ..BARE
};

/// Every route.
pub(crate) const ROUTES: &[Route] = &[
    Route {
        method: Method::POST,
        path: "/api/v1/lean/sign/{public_key}",
        summary: "Sign one message",
        body: Some(("SignRequest", BODY_BYTES_MAX)),
        takes_memory: true,
        answer: (200, "Signature"),
        also_bytes: true,
        refusals: SIGN_REFUSALS,
        handler: handler!(sign::sign),
        ..BARE
    },
    Route {
        method: Method::POST,
        path: "/api/v1/lean/sign",
        summary: "Sign a list; each entry is signed, or refused with its reason",
        body: Some(("SignList", LIST_BODY_BYTES_MAX)),
        takes_memory: true,
        answer: (200, "SignedList"),
        refusals: &[FORM, SLOW, TOO_LARGE, QUEUE_FULL, FAILED, MEMORY, ENDING, STALLED],
        handler: handler!(list::sign_list),
        ..BARE
    },
    Route {
        path: "/api/v1/lean/publicKeys",
        summary: "List the public keys",
        answer: (200, "PublicKeys"),
        handler: handler!(keys::public_keys),
        ..BARE
    },
    Route {
        path: "/api/v1/lean/keys/{public_key}",
        summary: "Tell what is known of a key: its scheme, its slots, and how many are spent",
        answer: (200, "Key"),
        refusals: &[FORM, UNKNOWN_KEY, LEDGER],
        handler: handler!(keys::key),
        ..BARE
    },
    Route {
        path: "/api/v1/lean/paths/{public_key}/{slot}",
        summary: "Give authentication paths; nothing is spent",
        query: Some(("count", "How many slots in a row, from 1 to 512; 1 if it is left out")),
        takes_memory: true,
        answer: (200, "Paths"),
        refusals: &[
            FORM,
            OUTSIDE_KEY,
            UNKNOWN_KEY,
            TOO_LARGE,
            QUEUE_FULL,
            FAILED,
            MEMORY,
            ENDING,
            STALLED,
        ],
        handler: handler!(keys::paths),
        ..BARE
    },
    Route {
        path: "/upcheck",
        is_open: true,
        summary: "Tell that the process runs",
        handler: handler!(health::up),
        ..BARE
    },
    Route {
        path: "/healthcheck",
        is_open: true,
        summary: "Tell of each key whether it can sign; 503 if one cannot, or if memory is nearly full",
        answer: (200, "Health"),
        handler: handler!(health::health),
        ..BARE
    },
    Route {
        method: Method::POST,
        path: "/reload",
        summary: "Open ledgers again that could not be written, and read certificates again",
        answer: (202, "Reload"),
        refusals: &[RELOADING],
        handler: handler!(reload::reload),
        ..BARE
    },
    Route {
        path: "/reload",
        summary: "Tell how many reloads have begun and are done, and what the last one could not do",
        answer: (200, "Reload"),
        handler: handler!(reload::last_reload),
        ..BARE
    },
    Route {
        handler: handler!(openapi::of_signing),
        ..DESCRIPTION
    },
    Route {
        listener: Listener::Metrics,
        handler: handler!(openapi::of_metrics),
        ..DESCRIPTION
    },
    Route {
        path: "/metrics",
        listener: Listener::Metrics,
        is_open: true,
        summary: "Give figures in OpenMetrics; at the metrics listener alone",
        handler: handler!(metrics::metrics),
        ..BARE
    },
    Route {
        path: "/",
        answer: (200, "Page"),
        summary: "Show the service to people; at the metrics listener alone, as are the next three",
        handler: handler!(page::page),
        ..PAGE
    },
    Route {
        path: "/events",
        answer: (200, "Events"),
        summary: "Send the figures of the page as they change (server-sent events)",
        refusals: &[WATCHED],
        handler: handler!(page::events),
        ..PAGE
    },
    Route {
        path: "/page.css",
        answer: (200, "Style"),
        summary: "The style of the page",
        handler: handler!(page::style),
        ..PAGE
    },
    Route {
        path: "/page.js",
        answer: (200, "Script"),
        summary: "The script of the page",
        handler: handler!(page::script),
        ..PAGE
    },
];
