//! `/metrics`: what a service counts and what it looks up, in OpenMetrics, or as Prometheus had it before that.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::ACCEPT;
use axum::response::Response;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::answers::bytes;
use super::call::Call;
use super::looked_up::LookedUp;
use super::refusal::{self, Refusal, Row};
use super::sign::Duty;
use super::state::State;
use super::text_format;
use crate::service::figures::{EngineFigures, seconds};
use crate::time::steady_unix_ms;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The bounds that leanMetrics asks for, so that figures of several clients can be added.
const LEAN_BUCKETS_S: [f64; 6] = [0.005, 0.01, 0.025, 0.05, 0.1, 1.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByType {
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

/// Everything that is counted as it happens. What can be looked up is looked up when it is asked for.
pub(crate) struct Figures {
    registry: Registry,
    /// When the service began, in milliseconds since 1970.
    pub(crate) started_unix_ms: u64,
    signing_seconds: Family<ByType, Histogram>,
    attestation_seconds: Histogram,
    attestations: Counter,
    signatures: Family<ByType, Counter>,
    refusals: Family<ByReason, Counter>,
    pub(crate) engine: EngineFigures,
}

impl Default for Figures {
    fn default() -> Self {
        let figures = Self {
            registry: Registry::default(),
            started_unix_ms: steady_unix_ms(),
            signing_seconds: Family::new_with_constructor(seconds as fn() -> Histogram),
            attestation_seconds: Histogram::new(LEAN_BUCKETS_S),
            attestations: Counter::default(),
            signatures: Family::default(),
            refusals: Family::default(),
            engine: EngineFigures::default(),
        };
        let registry = figures.registered();
        // A figure that is 0 is there, so that a rate can be told from the first event on.
        for duty in Duty::ALL {
            drop(figures.signatures.get_or_create(&by_type(duty)));
            drop(figures.signing_seconds.get_or_create(&by_type(duty)));
        }
        for (_, reason, _) in refusal::REASONS {
            drop(figures.refusals.get_or_create(&ByReason { reason }));
        }
        Self { registry, ..figures }
    }
}

fn by_type(duty: Duty) -> ByType {
    ByType { r#type: duty.name() }
}

impl Figures {
    fn registered(&self) -> Registry {
        let mut registry = Registry::default();
        // Names of the lean clients' common metrics (leanMetrics) where there is one.
        registry.register_with_unit(
            "lean_pq_sig_attestation_signing_time",
            "Time from an attestation's request to its signature",
            Unit::Seconds,
            self.attestation_seconds.clone(),
        );
        registry.register(
            "lean_pq_sig_attestation_signatures",
            "Attestations signed",
            self.attestations.clone(),
        );
        registry.register_with_unit(
            "keymill_signing",
            "Time from a request to its signature",
            Unit::Seconds,
            Family::clone(&self.signing_seconds),
        );
        registry.register(
            "keymill_signatures",
            "Signatures given out",
            Family::clone(&self.signatures),
        );
        registry.register("keymill_refusals", "Requests refused", Family::clone(&self.refusals));
        registry.register_with_unit(
            "keymill_commit",
            "Time of one write of a ledger",
            Unit::Seconds,
            self.engine.commit_seconds.clone(),
        );
        registry.register(
            "keymill_requests_per_commit",
            "Requests that one write of a ledger was for",
            self.engine.requests_per_commit.clone(),
        );
        registry.register(
            "keymill_blocks_computed_ahead",
            "Blocks of trimmed keys that were computed before they were needed",
            self.engine.blocks_ahead.clone(),
        );
        registry
    }

    /// A signature was given out, so long after it was asked for.
    pub(super) fn signed(&self, duty: Duty, time: Duration) {
        let time_s = time.as_secs_f64();
        self.signatures.get_or_create(&by_type(duty)).inc();
        self.signing_seconds.get_or_create(&by_type(duty)).observe(time_s);
        if duty == Duty::Attestation {
            self.attestation_seconds.observe(time_s);
            self.attestations.inc();
        }
    }

    /// A request was refused.
    pub(super) fn refused(&self, refusal: &Refusal) {
        let reason = refusal.reason;
        self.refusals.get_or_create(&ByReason { reason }).inc();
    }

    /// All signatures that were given out.
    pub(super) fn signatures(&self) -> u64 {
        let of = |duty| self.signatures.get_or_create(&by_type(duty)).get();
        Duty::ALL.into_iter().map(of).sum()
    }

    /// How often a request was refused for this reason.
    pub(super) fn refusals(&self, (_, reason, _): &Row) -> u64 {
        self.refusals.get_or_create(&ByReason { reason }).get()
    }
}

/// `GET /metrics`. Prometheus asks for OpenMetrics; whoever does not gets the older format.
pub(super) async fn metrics(state: Arc<State>, call: Call) -> Result<Response, Refusal> {
    let accepted = call.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let is_open_metrics = accepted.is_some_and(|accept| accept.contains("application/openmetrics-text"));
    let text = super::keys::look_up(&state, text).await?;
    let text = text.map_err(|error| Refusal::new(refusal::FAILED, error.to_string()))?;
    Ok(if is_open_metrics {
        bytes(StatusCode::OK, OPEN_METRICS, text)
    } else {
        bytes(
            StatusCode::OK,
            text_format::CONTENT_TYPE,
            text_format::of_open_metrics(&text),
        )
    })
}

fn text(state: &State) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    encode_registry(&mut text, &state.figures.registry)?;
    let mut registry = Registry::default();
    registry.register_collector(Box::new(LookedUp::now(state)));
    encode_registry(&mut text, &registry)?;
    encode_eof(&mut text)?;
    Ok(text)
}
