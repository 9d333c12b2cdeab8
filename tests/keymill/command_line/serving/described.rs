//! What is said of the service, beside what it is.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use keymill::service::{Listener, openapi};
use serde_json::Value;

use super::client::{Service, free_port, fresh_key, metrics, open_metrics, status_at_port};
use crate::command_line::fixtures::TINY;
use crate::command_line::program::Place;
use crate::skip::skip;

fn document() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/SERVICE.md")).unwrap()
}

/// Method and path of each operation, with the operation.
fn operations(openapi: &Value) -> Vec<(String, &Value)> {
    let paths = openapi["paths"].as_object().unwrap().iter();
    let of_path = |(path, methods)| {
        let methods: &serde_json::Map<String, Value> = Value::as_object(methods).unwrap();
        let named = methods
            .iter()
            .map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation));
        named.collect::<Vec<_>>()
    };
    paths.flat_map(of_path).collect()
}

#[test]
fn the_document_has_every_request_and_every_refusal() {
    let document = document();
    let rows = document
        .lines()
        .filter(|line| line.starts_with("| `GET ") || line.starts_with("| `POST "))
        .count();
    let both = [Listener::Signing, Listener::Metrics].map(openapi);
    let operations: Vec<_> = both.iter().flat_map(operations).collect();
    let requests: BTreeSet<_> = operations.iter().map(|(request, _)| request).collect();
    // Each listener describes itself; nothing else is at both.
    assert_eq!((rows, requests.len()), (operations.len() - 1, operations.len() - 1));
    for (request, operation) in &operations {
        let row = format!("| `{request}` | {} |", operation["summary"].as_str().unwrap());
        assert!(document.contains(&row), "{row}");
        for (code, response) in operation["responses"].as_object().unwrap() {
            for refusal in response["description"].as_str().unwrap().split("; `") {
                let Some((reason, means)) = refusal.trim_start_matches('`').split_once("`: ") else {
                    continue;
                };
                let row = format!("| {code} | `{reason}` | {means} |");
                assert!(document.contains(&row), "{row}");
            }
        }
    }
    let reasons = both[0]["components"]["schemas"]["Refusal"]["properties"]["reason"]["enum"]
        .as_array()
        .unwrap();
    for reason in reasons {
        assert!(
            document.contains(&format!("| `{}` |", reason.as_str().unwrap())),
            "{reason}"
        );
    }
}

#[test]
fn every_schema_of_a_description_is_one_that_it_refers_to() {
    for listener in [Listener::Signing, Listener::Metrics] {
        let openapi = openapi(listener);
        let text = openapi.to_string();
        let named = text.split("#/components/schemas/").skip(1);
        let named: BTreeSet<_> = named.filter_map(|reference| reference.split('"').next()).collect();
        let schemas = openapi["components"]["schemas"].as_object().unwrap();
        assert!(schemas.values().all(Value::is_object));
        assert!(schemas.keys().map(String::as_str).eq(named), "{listener:?}");
    }
}

#[test]
fn each_listener_answers_what_it_describes_and_nothing_that_the_other_one_describes() {
    let place = Place::new();
    let public_key = fresh_key(&place, "key", TINY, "256");
    let port = free_port();
    let service = Service::start(&place, &format!("key --metrics-listen 127.0.0.1:{port}"));
    let described = service.client().get("/openapi.json").json();
    assert_eq!(described, openapi(Listener::Signing));
    for listener in [Listener::Signing, Listener::Metrics] {
        let openapi = openapi(listener);
        for (request, operation) in operations(&openapi) {
            let (method, path) = request.split_once(' ').unwrap();
            let path = path
                .replace("{public_key}", &format!("0x{public_key}"))
                .replace("{slot}", "1");
            let of_signing = service.client().ask(method, &path, "", b"").unwrap().status;
            let of_metrics = status_at_port(port, method, &path);
            let [own, other] = match listener {
                Listener::Signing => [of_signing, of_metrics],
                Listener::Metrics => [of_metrics, of_signing],
            };
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.contains_key(&own.to_string()), "{request}: {own}");
            assert!(other == 404 || path == "/openapi.json", "{request}: {other}");
        }
    }
}

#[test]
fn the_unit_is_one_that_systemd_takes() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/deploy/keymill.service");
    let place = Place::new();
    let text = std::fs::read_to_string(&unit).unwrap();
    // The program is not installed here.
    place.file("keymill.service", text.replace("/usr/bin/keymill", "/bin/true"));
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no"]).arg(place.path("keymill.service"));
    match verify.output() {
        Err(_) => skip("there is no systemd here"),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let of_unit: Vec<_> = said.lines().filter(|line| line.contains("keymill.service")).collect();
            assert!(of_unit.is_empty(), "{said}");
        }
    }
}

#[test]
fn figures_are_open_metrics_and_count_what_happened() {
    let place = Place::new();
    let public_key = fresh_key(&place, "key", TINY, "256");
    let port = free_port();
    let service = Service::start(&place, &format!("key --metrics-listen 127.0.0.1:{port}"));
    let client = service.client();
    client.signature(&public_key, 1, &super::client::message(1));
    client.sign(&public_key, 1, &super::client::message(2));
    let answer = open_metrics(port);
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("application/openmetrics-text"), "{}", answer.head);
    let text = String::from_utf8(answer.body).unwrap();
    assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1);
    for line in [
        "keymill_signatures_total{type=\"ATTESTATION\"} 1",
        "keymill_refusals_total{reason=\"spent\"} 1",
        "keymill_requests_per_commit_count 1",
        "lean_pq_sig_attestation_signing_time_seconds_count 1",
        "lean_pq_sig_attestation_signatures_total 1",
        &format!("keymill_key_info{{public_key=\"0x{public_key}\",scheme=\"{TINY}\"}} 1.0"),
        &format!("keymill_epochs{{public_key=\"0x{public_key}\"}} 256.0"),
        &format!("keymill_epochs_spent{{public_key=\"0x{public_key}\"}} 1.0"),
        "keymill_waiting_limit 4096.0",
        "keymill_keys 1.0",
        "keymill_keys_failed 0.0",
        "keymill_blocks_ahead 0.0",
        // One for each level of its tree.
        "keymill_mapped_files 9.0",
        &format!("keymill_epochs_left{{public_key=\"0x{public_key}\"}} 254.0"),
        &format!("keymill_highest_epoch{{public_key=\"0x{public_key}\"}} 1.0"),
    ] {
        assert!(text.lines().any(|found| found == line), "no '{line}' in\n{text}");
    }
}

/// Who does not ask for OpenMetrics, as curl does not, gets what Prometheus's own checker takes.
#[test]
fn figures_are_named_as_prometheus_has_it_and_the_document_says_what_each_is() {
    let place = Place::new();
    let public_key = fresh_key(&place, "key", TINY, "256");
    let port = free_port();
    let service = Service::start(&place, &format!("key --metrics-listen 127.0.0.1:{port} --memory 1G"));
    service.client().signature(&public_key, 1, &super::client::message(1));
    let answer = metrics(port);
    assert!(
        answer.head.contains("content-type: text/plain; version=0.0.4"),
        "{}",
        answer.head
    );
    let text = String::from_utf8(answer.body).unwrap();
    crate::promtool::check_figures(&text);
    // The buckets of leanMetrics.
    for bound in ["0.005", "0.01", "0.025", "0.05", "0.1", "1.0"] {
        let bucket = format!("lean_pq_sig_attestation_signing_time_seconds_bucket{{le=\"{bound}\"}}");
        assert!(text.contains(&bucket), "{bucket} in\n{text}");
    }
    let document = document();
    let types: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let rows = document
        .lines()
        .filter(|line| line.starts_with("| `keymill_") || line.starts_with("| `lean_"));
    assert_eq!(rows.count(), types.len());
    for (name, kind) in types.iter().filter_map(|line| line.split_once(' ')) {
        let behind = document.split(&format!("\n| `{name}")).nth(1);
        let behind = behind.unwrap_or_else(|| panic!("docs/SERVICE.md does not say what {name} is"));
        let cells: Vec<_> = behind.lines().next().unwrap().split(" | ").collect();
        assert_eq!(cells[1], kind, "{name}");
    }
}
