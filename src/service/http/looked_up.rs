//! Figures that are looked up when they are asked for.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;

use super::answers::digits;
use super::keys::left;
use super::state::State;
use crate::service::keys::HeldKey;

/// Labels and a value.
type Labelled = (Vec<(&'static str, String)>, f64);

/// A figure. Without a value it is left out.
#[derive(Debug)]
struct Gauge {
    name: &'static str,
    help: &'static str,
    values: Vec<Labelled>,
}

/// What is looked up when it is asked for.
#[derive(Debug)]
pub(super) struct LookedUp(Vec<Gauge>);

impl LookedUp {
    /// As it is at this moment. Waits for ledgers that are being written.
    pub(super) fn now(state: &State) -> Self {
        let mut figures = Self(Vec::new());
        let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        figures.add("keymill_build_info", "The version; always 1", vec![(version, 1.0)]);
        figures.one(
            "keymill_start_time_seconds",
            "When the service began, since 1970",
            seconds(state.figures.started_unix_ms),
        );
        figures.add_keys(state);
        figures.one("keymill_waiting", "Requests that wait", state.engine.waiting() as f64);
        figures.one(
            "keymill_waiting_limit",
            "Requests that may wait",
            state.engine.waiting_max() as f64,
        );
        let layers = state.engine.keys().layers();
        for (name, help, count) in [
            ("keymill_mapped_files", "Layer files that are mapped", layers.mappings()),
            (
                "keymill_mapped_files_limit",
                "Layer files that may be",
                layers.mappings_max(),
            ),
        ] {
            figures.one(name, help, count as f64);
        }
        let memory = state.memory.sample();
        figures.one(
            "keymill_memory_held_bytes",
            "Memory that is held",
            memory.held_bytes as f64,
        );
        let limit = memory.limit_bytes.map(|bytes| (Vec::new(), bytes as f64));
        figures.add(
            "keymill_memory_limit_bytes",
            "The limit that it is compared with",
            limit.into_iter().collect(),
        );
        figures
    }

    fn add_keys(&mut self, state: &State) {
        let (mut failed, mut blocks_ahead) = (0, 0);
        let [mut info, mut stored, mut spent, mut epochs_left, mut highest, mut last] = [const { Vec::new() }; 6];
        for key in state.engine.keys().iter() {
            let manifest = key.signing.paths().manifest();
            let mut with_scheme = labels(key);
            with_scheme.push(("scheme", manifest.scheme().id().to_owned()));
            info.push((with_scheme, 1.0));
            stored.push((labels(key), manifest.plan().stored().count() as f64));
            let Some(ledger) = key.standing() else {
                failed += 1;
                continue;
            };
            blocks_ahead += key.signing.paths().blocks_above(ledger.highest);
            spent.push((labels(key), ledger.spent as f64));
            epochs_left.push((labels(key), left(key, ledger.first_epoch, ledger.highest) as f64));
            highest.extend(ledger.highest.map(|epoch| (labels(key), f64::from(epoch))));
            last.extend(ledger.last_unix_ms.map(|unix_ms| (labels(key), seconds(unix_ms))));
        }
        let keys = state.engine.keys().iter().len();
        self.one("keymill_keys", "Keys that the service holds", keys as f64);
        self.one("keymill_keys_failed", "Keys that cannot sign now", f64::from(failed));
        self.add("keymill_key_info", "The scheme of a key; always 1", info);
        self.add("keymill_epochs", "Slots that the key has", stored);
        self.add("keymill_epochs_spent", "Slots that have signed", spent);
        self.add(
            "keymill_epochs_left",
            "Slots above the highest spent one that may sign",
            epochs_left,
        );
        self.add("keymill_highest_epoch", "The highest spent slot", highest);
        self.add(
            "keymill_last_signature_timestamp_seconds",
            "When a slot was last spent, since 1970",
            last,
        );
        self.one(
            "keymill_blocks_ahead",
            "Blocks of trimmed keys in memory of which no slot is spent yet",
            blocks_ahead as f64,
        );
    }

    fn one(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.add(name, help, vec![(Vec::new(), value)]);
    }

    fn add(&mut self, name: &'static str, help: &'static str, values: Vec<Labelled>) {
        self.0.push(Gauge { name, help, values });
    }
}

fn labels(key: &HeldKey) -> Vec<(&'static str, String)> {
    vec![("public_key", digits(&key.public_key))]
}

fn seconds(unix_ms: u64) -> f64 {
    unix_ms as f64 / 1000.0
}

impl Collector for LookedUp {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for Gauge { name, help, values } in self.0.iter().filter(|gauge| !gauge.values.is_empty()) {
            let kind = ConstGauge::new(0.0_f64).metric_type();
            let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
            for (labels, value) in values {
                let value = ConstGauge::new(*value);
                if labels.is_empty() {
                    value.encode(metric)?;
                    break;
                }
                value.encode(metric.encode_family(labels)?)?;
            }
        }
        Ok(())
    }
}
