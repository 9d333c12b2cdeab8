//! Why a request is refused, as status, word and sentence.

use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::answers::json;
use crate::error::{Error, Reason};
use crate::failure::FailureKind;

/// Seconds after which a client may ask again.
const RETRY_AFTER_S: &str = "1";

/// Why something was refused. `message` is a sentence for people; `reason` is a word that does not change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// A row: status, word, and what it means.
pub(crate) type Row = (StatusCode, &'static str, &'static str);

macro_rules! reasons {
    ($($name:ident = $status:ident, $word:literal, $means:literal;)*) => {
        $(pub(crate) const $name: Row = (StatusCode::$status, $word, $means);)*
        /// Every reason, in the order of the codes.
        pub(crate) const REASONS: &[Row] = &[$($name),*];
    };
}

reasons! {
    FORM = BAD_REQUEST, "form", "the request is not in the form that it has to have";
    OUTSIDE_KEY = BAD_REQUEST, "outside_key", "the key does not have this slot";
    UNAUTHORIZED = UNAUTHORIZED, "unauthorized", "the token is missing or wrong";
    BROWSER = FORBIDDEN, "browser", "the request comes from a page in a browser";
    UNKNOWN_KEY = NOT_FOUND, "unknown_key", "the service does not hold this key";
    UNKNOWN_PATH = NOT_FOUND, "unknown_path", "there is nothing at this address";
    METHOD = METHOD_NOT_ALLOWED, "method", "this address takes another method";
    SLOW = REQUEST_TIMEOUT, "slow", "the body did not arrive in time";
    RELOADING = CONFLICT, "reloading", "a reload is running already";
    SPENT = PRECONDITION_FAILED, "spent", "the slot has signed another message";
    NO_HISTORY = PRECONDITION_FAILED, "no_history", "it is not known which slots the key has signed elsewhere";
    BEFORE_HISTORY = PRECONDITION_FAILED, "before_history", "the slot may have signed before this ledger began";
    USED_UP = PRECONDITION_FAILED, "used_up", "the key has no slot left that may sign";
    TOO_LARGE = PAYLOAD_TOO_LARGE, "too_large", "the body, or the number of slots, is larger than it may be";
    HOST = MISDIRECTED_REQUEST, "host", "the header Host has a name that is not one of this service";
    QUEUE_FULL = TOO_MANY_REQUESTS, "queue_full", "as many requests wait as may wait";
    FAILED = INTERNAL_SERVER_ERROR, "failed", "the key is damaged, or the machine failed";
    MEMORY = SERVICE_UNAVAILABLE, "memory", "memory is nearly full";
    LEDGER = SERVICE_UNAVAILABLE, "ledger", "the ledger could not be written; a reload opens it again";
    WATCHED = SERVICE_UNAVAILABLE, "watched", "as many pages are live as may be";
    ENDING = SERVICE_UNAVAILABLE, "ending", "the service ends";
    STALLED = GATEWAY_TIMEOUT, "stalled", "the answer was not ready in time; a slot that was asked for may be spent, and the same request gives its signature";
}

impl Refusal {
    /// A refusal for this reason, in its own words.
    pub(crate) fn new((status, reason, _): Row, message: impl Into<String>) -> Self {
        Self {
            code: status.as_u16(),
            reason,
            message: message.into(),
        }
    }

    /// A refusal whose meaning says everything.
    pub(crate) fn plain(row: Row) -> Self {
        Self::new(row, row.2)
    }

    /// The request is not in its form.
    pub(crate) fn form(message: impl Into<String>) -> Self {
        Self::new(FORM, message)
    }

    fn row(error: &Error) -> Row {
        match error.reason() {
            Reason::Spent => SPENT,
            Reason::NoHistory => NO_HISTORY,
            Reason::BeforeHistory => BEFORE_HISTORY,
            Reason::UsedUp => USED_UP,
            Reason::OutsideKey => OUTSIDE_KEY,
            Reason::Unknown => LEDGER,
            Reason::Interrupted => ENDING,
            _ => FAILED,
        }
    }

    /// What an error of the library is to a client. What an operator has to look at goes to the log.
    pub(crate) fn logged(error: &Error) -> Self {
        let refusal = Self::from(error);
        if refusal.code == FAILED.0.as_u16() || refusal.reason == LEDGER.1 {
            tracing::error!("{error}");
        }
        refusal
    }
}

impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        match error.kind() {
            FailureKind::Usage if error.reason() == Reason::Other => {
                Self::form("this message cannot be signed with this slot; another one can")
            }
            // The error speaks to the operator: of epochs and directories.
            _ => Self::plain(Self::row(error)),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json(status, &self);
        if status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
        ) {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
        }
        response
    }
}
