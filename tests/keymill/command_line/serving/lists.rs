//! Lists: their bounds, and entries that are refused alone.

use serde_json::{Value, json};

use super::client::{Answer, Client, Service, fresh_key, message, request};
use crate::command_line::fixtures::TINY;
use crate::command_line::program::Place;

fn entry(public_key: &str, slot: u64) -> Value {
    let mut entry = request(slot, &message(slot));
    entry["identifier"] = json!(format!("0x{public_key}"));
    entry
}

fn post(client: &Client, list: &[Value]) -> Answer {
    client.post("/api/v1/lean/sign", Value::from(list).to_string())
}

fn spent(client: &Client, public_key: &str) -> Value {
    client.get(&format!("/api/v1/lean/keys/0x{public_key}")).json()["spent"].take()
}

#[test]
fn an_entry_with_a_fault_is_refused_alone() {
    let place = Place::new();
    let public_key = fresh_key(&place, "key", TINY, "256");
    let service = Service::start(&place, "key");
    let client = service.client();
    let with = |field: &str, value: Value| {
        let mut wrong = entry(&public_key, 1);
        wrong[field] = value;
        wrong
    };
    let faults = [
        with("slot", json!(1)),
        with("slot", json!("1.5")),
        with("type", json!("EXIT")),
        with("signing_root", json!("0x00")),
        with("signing_root", Value::Null),
        with("identifier", json!("nothex")),
        with("identifier", json!(["0x00"])),
        request(1, &message(1)),
        json!(null),
        json!([]),
        json!("text"),
        json!({}),
    ];
    let mut list = vec![entry(&public_key, 0)];
    list.extend(faults.clone());
    let mut good = entry(&public_key, 255);
    good["other"] = json!({ "is": ["ignored"] });
    list.push(good);
    let answer = post(&client, &list);
    assert_eq!(answer.status, 200, "{answer:?}");
    let answers = answer.json();
    for (number, fault) in faults.iter().enumerate() {
        let error = &answers[number + 1]["error"];
        assert_eq!(error["reason"], json!("form"), "{fault}: {error}");
        assert!(error["message"].as_str().unwrap().len() < 300, "{error}");
    }
    for number in [0, faults.len() + 1] {
        assert!(answers[number]["signature"].is_string(), "{}", answers[number]);
    }
    assert_eq!(spent(&client, &public_key), json!("2"));
    for body in ["", "{}", "[1", "[1,]", "null", "[]x"] {
        let answer = client.post("/api/v1/lean/sign", body);
        assert_eq!((answer.status, answer.reason().as_str()), (400, "form"), "{body}");
    }
    assert_eq!(client.post("/api/v1/lean/sign", "[]").json(), json!([]));
}

#[test]
fn text_of_a_client_comes_back_no_longer_than_an_error_shows() {
    let place = Place::new();
    let public_key = fresh_key(&place, "key", TINY, "256");
    let service = Service::start(&place, "key");
    let mut body = request(1, &message(1));
    body["type"] = json!("x".repeat(50_000));
    let answer = service
        .client()
        .post(&format!("/api/v1/lean/sign/0x{public_key}"), body.to_string());
    assert_eq!((answer.status, answer.reason().as_str()), (400, "form"));
    assert!(answer.body.len() < 1000, "{} bytes", answer.body.len());
}

#[test]
fn a_list_has_as_many_entries_as_the_description_says() {
    let place = Place::new();
    let public_key = fresh_key(&place, "key", TINY, "256");
    let service = Service::start(&place, "key");
    let client = service.client();
    let most = client.get("/openapi.json").json()["components"]["schemas"]["SignList"]["maxItems"]
        .as_u64()
        .unwrap();
    let mut list: Vec<_> = (0..most).map(|number| entry(&public_key, number % 200)).collect();
    let signed = post(&client, &list);
    assert_eq!(signed.json().as_array().unwrap().len() as u64, most);
    assert!(
        signed
            .json()
            .as_array()
            .unwrap()
            .iter()
            .all(|entry| entry["signature"].is_string())
    );
    list.push(entry(&public_key, 201));
    let refused = post(&client, &list);
    assert_eq!((refused.status, refused.reason().as_str()), (413, "too_large"));
    // Also one of many small entries, which would be counted for long.
    let refused = client.post("/api/v1/lean/sign", format!("[{}1]", "1,".repeat(1_000_000)));
    assert_eq!((refused.status, refused.reason().as_str()), (413, "too_large"));
    assert_eq!(spent(&client, &public_key), json!("200"));
}

#[test]
fn what_is_more_than_may_ever_wait_is_too_large_and_is_not_asked_for_again() {
    let place = Place::new();
    let public_key = fresh_key(&place, "key", TINY, "256");
    let service = Service::start(&place, "key --max-waiting 3");
    let client = service.client();
    let list: Vec<_> = (0..4).map(|slot| entry(&public_key, slot)).collect();
    let refused = post(&client, &list);
    assert_eq!((refused.status, refused.reason().as_str()), (413, "too_large"));
    assert!(!refused.head.contains("retry-after"), "{}", refused.head);
    let paths = format!("/api/v1/lean/paths/0x{public_key}/0");
    assert_eq!(client.get(&format!("{paths}?count=4")).status, 413);
    assert_eq!(spent(&client, &public_key), json!("0"));
    assert_eq!(client.get(&format!("{paths}?count=3")).status, 200);
    assert_eq!(post(&client, &list[..3]).status, 200);
}

#[test]
fn as_many_requests_as_may_wait_wait_and_the_next_is_told_to_come_again() {
    let place = Place::new();
    let public_key = fresh_key(&place, "key", TINY, "256");
    let service = Service::start(&place, "key --max-waiting 200");
    let client = service.client();
    let list: Vec<_> = (0..200).map(|slot| entry(&public_key, slot)).collect();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                post(&client, &list);
            }
        });
        let begun = std::time::Instant::now();
        let refused = loop {
            let answer = client.sign(&public_key, 255, &message(1));
            if answer.status != 200 {
                break Some(answer);
            }
            if begun.elapsed() > crate::command_line::program::PATIENCE {
                break None;
            }
        };
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        let refused = refused.unwrap();
        assert_eq!((refused.status, refused.reason().as_str()), (429, "queue_full"));
        assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);
    });
}
