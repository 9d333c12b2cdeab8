//! What a service counts, in OpenMetrics.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::answers::bytes;
use super::call::Call;
use super::refusal::{self, Refusal};
use super::sign::Duty;
use super::state::State;
use crate::service::figures::{EngineFigures, seconds};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

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
    signing_seconds: Family<ByType, Histogram>,
    attestation_seconds: Histogram,
    signatures: Family<ByType, Counter>,
    refusals: Family<ByReason, Counter>,
    pub(crate) engine: EngineFigures,
}

impl Default for Figures {
    fn default() -> Self {
        let mut registry = Registry::default();
        let signing_seconds = Family::new_with_constructor(seconds as fn() -> Histogram);
        let (signatures, refusals) = (Family::default(), Family::default());
        let (attestation_seconds, engine) = (seconds(), EngineFigures::default());
        // Names of the lean clients' common metrics (leanMetrics) where there is one.
        registry.register_with_unit(
            "lean_pq_sig_attestation_signing_time",
            "Time from an attestation's request to its signature",
            Unit::Seconds,
            attestation_seconds.clone(),
        );
        registry.register_with_unit(
            "keymill_signing",
            "Time from a request to its signature",
            Unit::Seconds,
            signing_seconds.clone(),
        );
        registry.register("keymill_signatures", "Signatures given out", Family::clone(&signatures));
        registry.register("keymill_refusals", "Requests refused", Family::clone(&refusals));
        registry.register_with_unit(
            "keymill_commit",
            "Time of one write of a ledger",
            Unit::Seconds,
            engine.commit_seconds.clone(),
        );
        registry.register(
            "keymill_requests_per_commit",
            "Requests that one write of a ledger was for",
            engine.requests_per_commit.clone(),
        );
        let figures = Self {
            registry,
            signing_seconds,
            attestation_seconds,
            signatures,
            refusals,
            engine,
        };
        // A figure that is 0 is there, so that a rate can be told from the first event on.
        for duty in Duty::ALL {
            drop(figures.signatures.get_or_create(&by_type(duty)));
        }
        for (_, reason, _) in refusal::REASONS {
            drop(figures.refusals.get_or_create(&ByReason { reason }));
        }
        figures
    }
}

fn by_type(duty: Duty) -> ByType {
    ByType { r#type: duty.name() }
}

impl Figures {
    /// A signature was given out, so long after it was asked for.
    pub(super) fn signed(&self, duty: Duty, time: Duration) {
        let time_s = time.as_secs_f64();
        self.signatures.get_or_create(&by_type(duty)).inc();
        self.signing_seconds.get_or_create(&by_type(duty)).observe(time_s);
        if duty == Duty::Attestation {
            self.attestation_seconds.observe(time_s);
        }
    }

    /// A request was refused.
    pub(super) fn refused(&self, refusal: &Refusal) {
        let reason = refusal.reason;
        self.refusals.get_or_create(&ByReason { reason }).inc();
    }
}

/// `GET /metrics`.
pub(super) async fn metrics(state: Arc<State>, _: Call) -> Result<Response, Refusal> {
    let text = super::keys::look_up(&state, text).await?;
    let text = text.map_err(|error| Refusal::new(refusal::FAILED, error.to_string()))?;
    Ok(bytes(StatusCode::OK, OPEN_METRICS, text))
}

fn text(state: &State) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    encode(&mut text, &state.figures.registry)?;
    // The end of the text follows what is looked up now.
    let end = text.trim_end_matches("# EOF\n").len();
    text.truncate(end);
    let mut looked_up = String::new();
    let mut registry = Registry::default();
    registry.register_collector(Box::new(LookedUp::now(state)));
    encode(&mut looked_up, &registry)?;
    text.push_str(&looked_up);
    Ok(text)
}

/// A figure: name, help, and its values with the public keys that they are of.
type Gauge = (&'static str, &'static str, Vec<(Option<String>, f64)>);

/// What is looked up when it is asked for.
#[derive(Debug)]
struct LookedUp(Vec<Gauge>);

impl LookedUp {
    fn now(state: &State) -> Self {
        let (mut left, mut highest, mut last) = (Vec::new(), Vec::new(), Vec::new());
        let mut failed = 0;
        for key in state.engine.keys().iter() {
            let label = || Some(super::answers::digits(&key.public_key));
            let Ok(ledger) = key.standing() else {
                failed += 1;
                continue;
            };
            left.push((
                label(),
                super::keys::left(key, ledger.first_epoch, ledger.highest) as f64,
            ));
            highest.extend(ledger.highest.map(|epoch| (label(), f64::from(epoch))));
            last.extend(ledger.last_unix_ms.map(|unix_ms| (label(), unix_ms as f64 / 1000.0)));
        }
        let memory = state.memory.sample();
        let one = |value: f64| vec![(None, value)];
        let keys = state.engine.keys().iter().len();
        Self(vec![
            ("keymill_keys", "Keys that the service holds", one(keys as f64)),
            (
                "keymill_keys_failed",
                "Keys that cannot sign now",
                one(f64::from(failed)),
            ),
            (
                "keymill_waiting",
                "Requests that wait",
                one(state.engine.waiting() as f64),
            ),
            (
                "keymill_epochs_left",
                "Slots above the highest spent one that may sign",
                left,
            ),
            ("keymill_highest_epoch", "The highest spent slot", highest),
            (
                "keymill_last_signature_timestamp_seconds",
                "When a slot was last spent, since 1970",
                last,
            ),
            (
                "keymill_memory_held_bytes",
                "Memory that is held",
                one(memory.held_bytes as f64),
            ),
            (
                "keymill_memory_limit_bytes",
                "The limit that it is compared with",
                memory.limit_bytes.map_or(Vec::new(), |bytes| one(bytes as f64)),
            ),
        ])
    }
}

impl prometheus_client::collector::Collector for LookedUp {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (name, help, values) in &self.0 {
            let Some((_, first)) = values.first() else {
                continue;
            };
            let kind = ConstGauge::new(*first).metric_type();
            let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
            for (public_key, value) in values {
                match public_key {
                    None => ConstGauge::new(*value).encode(metric)?,
                    Some(public_key) => {
                        let labels = [("public_key", public_key.as_str())];
                        ConstGauge::new(*value).encode(metric.encode_family(&labels)?)?;
                        continue;
                    }
                }
                break;
            }
        }
        Ok(())
    }
}
