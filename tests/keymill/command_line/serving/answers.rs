//! What a service answers.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::client::{Service, free_port, fresh_key, message, metrics, request};
use crate::command_line::fixtures::{OTHER_TINY, SEED, TINY};
use crate::command_line::program::Place;

const LEANVM: &str = "leanvm-blake2s-l32-ts-v42-w8";

#[test]
fn a_signature_of_a_service_is_the_one_that_the_command_gives_and_verifies() {
    let place = Place::new();
    for (name, scheme) in [("key", TINY), ("leanvm", LEANVM)] {
        let public_key = fresh_key(&place, name, scheme, "200");
        let service = Service::start(&place, name);
        let signature = service.client().signature(&public_key, 7, &message(1));
        let (outcome, _) = end(service);
        outcome.exits(0);
        let line = format!("sign {name} --epoch 7 --message {}", message(1));
        assert_eq!(place.run(&line).exits(0).line(), signature);
        let other = format!("sign {name} --epoch 7 --message {}", message(2));
        place.run(&other).exits(1);
        place.file("signature", &signature);
        let line = format!(
            "verify --scheme {scheme} --public-key {public_key} --epoch 7 --message {} --signature signature",
            message(1)
        );
        place.run(&line).exits(0);
    }
}

fn end(mut service: Service) -> (crate::command_line::program::Outcome, std::time::Duration) {
    service.running.signal(rustix::process::Signal::TERM);
    service.running.end()
}

#[test]
fn a_slot_signs_one_message_as_often_as_it_is_asked_for_and_no_other() {
    let place = Place::new();
    let public_key = fresh_key(&place, "key", TINY, "256");
    let service = Service::start(&place, "key");
    let client = service.client();
    let first = client.signature(&public_key, 3, &message(1));
    assert_eq!(client.signature(&public_key, 3, &message(1)), first);
    let refused = client.sign(&public_key, 3, &message(2));
    assert_eq!((refused.status, refused.reason().as_str()), (412, "spent"));
    let health = client.get("/healthcheck");
    assert_eq!((health.status, health.json()["status"].as_str()), (200, Some("UP")));
    let known = client.get(&format!("/api/v1/lean/keys/0x{public_key}")).json();
    let expected = [
        ("spent", "1"),
        ("highest", "3"),
        ("left", "252"),
        ("first_slot", "0"),
        ("last_slot", "255"),
        ("scheme", TINY),
    ];
    for (field, value) in expected {
        assert_eq!(known[field].as_str(), Some(value), "{field} of {known}");
    }
}

#[test]
fn a_list_is_answered_in_its_order_and_spent_in_one_write_for_each_ledger() {
    let place = Place::new();
    let keys = [("one", TINY), ("two", OTHER_TINY)].map(|(name, scheme)| fresh_key(&place, name, scheme, "256"));
    let port = free_port();
    let service = Service::start(&place, &format!("one two --metrics-listen 127.0.0.1:{port}"));
    let client = service.client();
    let entry = |key: &str, slot, number| {
        let mut entry = request(slot, &message(number));
        entry["identifier"] = json!(format!("0x{key}"));
        entry
    };
    let mut list: Vec<_> = (0..40)
        .map(|number| entry(&keys[number as usize % 2], number / 2, number))
        .collect();
    // The same again, another message, a slot that the key does not have, and a key that is not here.
    list.push(list[0].clone());
    list.push(entry(&keys[0], 0, 99));
    list.push(entry(&keys[0], 256, 99));
    list.push(entry("00", 0, 99));
    let answer = client.post("/api/v1/lean/sign", serde_json::Value::Array(list.clone()).to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    let figures = String::from_utf8(metrics(port).body).unwrap();
    let written = figures
        .lines()
        .any(|line| line == "keymill_requests_per_commit_count 2");
    assert!(written, "{figures}");
    let answers = answer.json();
    for (number, entry) in list[..40].iter().enumerate() {
        let (key, slot) = (&keys[number % 2], number as u64 / 2);
        let signature = client.signature(key, slot, &message(number as u64));
        assert_eq!(answers[number]["signature"], json!(format!("0x{signature}")), "{entry}");
    }
    assert_eq!(answers[40], answers[0]);
    let refused: Vec<_> = (41..44)
        .map(|number| answers[number]["error"]["reason"].as_str().unwrap())
        .collect();
    assert_eq!(refused, ["spent", "outside_key", "unknown_key"]);
}

#[test]
fn what_is_not_in_its_form_is_refused_with_a_reason_and_spends_nothing() {
    let place = Place::new();
    let public_key = fresh_key(&place, "key", TINY, "256");
    let service = Service::start(&place, "key");
    let client = service.client();
    let good = request(1, &message(1));
    let with = |field: &str, value: serde_json::Value| {
        let mut wrong = good.clone();
        wrong[field] = value;
        wrong.to_string()
    };
    let path = format!("/api/v1/lean/sign/0x{public_key}");
    for (body, code, reason) in [
        (String::new(), 400, "form"),
        ("[]".to_owned(), 400, "form"),
        ("{}".to_owned(), 400, "form"),
        (with("slot", json!(1)), 400, "form"),
        (with("slot", json!("-1")), 400, "form"),
        (with("slot", json!("")), 400, "form"),
        (with("slot", json!("0x1")), 400, "form"),
        (with("slot", json!("18446744073709551616")), 400, "form"),
        (with("slot", json!("256")), 400, "outside_key"),
        (with("slot", json!("4294967296")), 400, "outside_key"),
        (with("type", json!("VOLUNTARY_EXIT")), 400, "form"),
        (with("signing_root", json!("0x00")), 400, "form"),
        (with("signing_root", json!(message(1))), 400, "form"),
        (with("signing_root", json!(null)), 400, "form"),
        (" ".repeat(70_000), 413, "too_large"),
    ] {
        let answer = client.post(&path, &body);
        let shown = &body[..body.len().min(200)];
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (code, reason),
            "{shown}: {answer:?}"
        );
    }
    for (path, code, reason) in [
        ("/api/v1/lean/sign/0x00", 404, "unknown_key"),
        ("/api/v1/lean/sign/nothex", 400, "form"),
        ("/", 404, "unknown_path"),
        ("/metrics", 404, "unknown_path"),
        ("/upcheck", 405, "method"),
    ] {
        let answer = client.post(path, good.to_string());
        assert_eq!((answer.status, answer.reason().as_str()), (code, reason), "{path}");
    }
    let paths = format!("/api/v1/lean/paths/0x{public_key}");
    for (path, code, reason) in [
        ("256", 400, "outside_key"),
        ("255?count=2", 400, "outside_key"),
        ("x", 400, "form"),
        ("0?count=x", 400, "form"),
        ("0?other=1", 400, "form"),
        ("0?count=0", 413, "too_large"),
        ("0?count=513", 413, "too_large"),
        ("18446744073709551615?count=512", 400, "outside_key"),
    ] {
        let answer = client.get(&format!("{paths}/{path}"));
        assert_eq!((answer.status, answer.reason().as_str()), (code, reason), "{path}");
    }
    let known = client.get(&format!("/api/v1/lean/keys/0x{public_key}")).json();
    assert_eq!(known["spent"], json!("0"));
}

#[test]
fn paths_are_those_that_the_command_prints() {
    let place = Place::new();
    let public_key = fresh_key(&place, "key", TINY, "256");
    let service = Service::start(&place, "key");
    let answer = service
        .client()
        .get(&format!("/api/v1/lean/paths/0x{public_key}/5?count=3"))
        .json();
    let printed = place.run("path key --epoch 5 --count 3 --format json").exits(0);
    let printed: Vec<serde_json::Value> = printed
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answer["paths"].as_array().unwrap().len(), 3);
    let digits = |text: &serde_json::Value| text.as_str().unwrap().trim_start_matches("0x").to_owned();
    for (path, printed) in answer["paths"].as_array().unwrap().iter().zip(&printed) {
        assert_eq!(digits(&path["leaf"]), digits(&printed["leaf"]), "{printed}");
        let siblings: Vec<_> = path["siblings"].as_array().unwrap().iter().map(digits).collect();
        let expected: Vec<_> = printed["siblings"].as_array().unwrap().iter().map(digits).collect();
        assert_eq!(siblings, expected);
    }
}

#[test]
fn a_client_without_the_token_is_refused_but_may_ask_whether_the_service_is_up() {
    let place = Place::new();
    let public_key = fresh_key(&place, "key", TINY, "256");
    place.file("token", "0123456789abcdef-token\n");
    let service = Service::start(&place, "key --token-file token");
    let client = service.client();
    let path = format!("/api/v1/lean/sign/0x{public_key}");
    let body = request(1, &message(1)).to_string();
    for headers in [
        "",
        "Authorization: Bearer 0123456789abcdef-tokem\r\n",
        "Authorization: Basic 0123456789abcdef-token\r\n",
    ] {
        let answer = client.ask("POST", &path, headers, body.as_bytes()).unwrap();
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (401, "unauthorized"),
            "{headers}"
        );
    }
    assert_eq!(client.get("/api/v1/lean/publicKeys").status, 401);
    assert_eq!(
        (client.get("/upcheck").status, client.get("/healthcheck").status),
        (200, 200)
    );
    let shown = "Authorization: Bearer 0123456789abcdef-token\r\n";
    assert_eq!(client.ask("POST", &path, shown, body.as_bytes()).unwrap().status, 200);
}

#[test]
fn a_key_whose_past_is_not_known_is_refused_with_412() {
    let place = Place::new();
    place.file("seed", SEED);
    let line = format!("keygen key --scheme {TINY} --epochs 256 --seed-file seed");
    let public_key = place.run(&line).exits(0).line();
    let service = Service::start(&place, "key");
    let refused = service.client().sign(&public_key, 1, &message(1));
    assert_eq!((refused.status, refused.reason().as_str()), (412, "no_history"));
}

#[test]
fn a_key_whose_secret_is_under_a_passphrase_is_served_with_it_and_not_without() {
    let place = Place::new();
    place.file("passphrase", "correct horse battery staple\n");
    std::fs::set_permissions(place.path("passphrase"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let line = format!("keygen key --scheme {TINY} --epochs 256 --seal --passphrase-file passphrase");
    let public_key = place.run(&line).exits(0).line();
    place.run("serve key --listen unix:socket").says(&["passphrase"]);
    let service = Service::start(&place, "key --passphrase-file passphrase");
    service.client().signature(&public_key, 1, &message(1));
}
