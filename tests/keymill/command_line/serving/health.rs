//! What a service says of itself: health, reloads, and the names under which it is reached.

use std::io::Write;
use std::net::TcpStream;
use std::time::Instant;

use serde_json::json;

use super::client::{Answer, Service, free_port, fresh_key, message, read_answer, request};
use crate::command_line::fixtures::{OTHER_TINY, SEED, TINY};
use crate::command_line::program::{PATIENCE, Place};

#[test]
fn health_names_every_key_and_its_state_and_no_place_of_the_disk() {
    let place = Place::new();
    let ready = fresh_key(&place, "ready", TINY, "256");
    let small = fresh_key(&place, "small", OTHER_TINY, "4");
    place.file("seed", SEED);
    let line = format!("keygen given --scheme {TINY} --epochs 256 --seed-file seed");
    let given = place.run(&line).exits(0).line();
    place.file("token", "0123456789abcdef-token\n");

    let service = Service::start(&place, "ready small --token-file token");
    let health = |service: &Service| service.client().get("/healthcheck");
    let answer = health(&service);
    assert_eq!(answer.status, 200, "{answer:?}");
    let expected = json!({ "status": "UP", "memory": "enough", "keys": [
        { "public_key": format!("0x{ready}"), "state": "ready" },
        { "public_key": format!("0x{small}"), "state": "ready" },
    ] });
    assert_eq!(answer.json(), expected);
    let ask = |method: &str, path: &str, body: &str| {
        let token = "Authorization: Bearer 0123456789abcdef-token\r\n";
        let answer = service.client().ask(method, path, token, body.as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    let known = ask("GET", &format!("/api/v1/lean/keys/0x{small}"), "");
    let number = |field: &str| known[field].as_str().unwrap().parse::<u64>().unwrap();
    let entry = |slot: u64| {
        let mut entry = request(slot, &message(slot));
        entry["identifier"] = json!(format!("0x{small}"));
        entry
    };
    // All but one that is not the last.
    let (first, last) = (number("first_slot"), number("last_slot"));
    let list: Vec<_> = (first..=last).filter(|&slot| slot != first + 1).map(entry).collect();
    let signed = ask("POST", "/api/v1/lean/sign", &json!(list).to_string());
    assert!(
        signed
            .as_array()
            .unwrap()
            .iter()
            .all(|entry| entry["signature"].is_string()),
        "{signed}"
    );
    assert_eq!(health(&service).status, 200);
    ask("POST", "/api/v1/lean/sign", &json!([entry(first + 1)]).to_string());
    let answer = health(&service);
    assert_eq!(answer.json()["status"], json!("DOWN"));
    assert_eq!(answer.json()["keys"][1]["state"], json!("used_up"));
    let outcome = end(service);
    assert_eq!(outcome, Some(0));

    let service = Service::start(&place, "ready given --token-file token");
    let answer = health(&service);
    assert_eq!((answer.status, &answer.json()["status"]), (503, &json!("DOWN")));
    let expected = json!([
        { "public_key": format!("0x{ready}"), "state": "ready" },
        { "public_key": format!("0x{given}"), "state": "no_history" },
    ]);
    assert_eq!(answer.json()["keys"], expected);
    assert!(!String::from_utf8_lossy(&answer.body).contains('/'));
}

fn end(mut service: Service) -> Option<i32> {
    service.running.signal(rustix::process::Signal::TERM);
    service.running.end().0.code
}

#[test]
fn a_client_sees_how_the_reload_ended_that_it_asked_for() {
    let place = Place::new();
    fresh_key(&place, "key", TINY, "256");
    let service = Service::start(&place, "key");
    let client = service.client();
    let none = json!({ "begun": "0", "done": "0", "failures": [] });
    assert_eq!(client.get("/reload").json(), none);
    let asked = client.post("/reload", "");
    assert_eq!(asked.status, 202, "{asked:?}");
    assert_eq!(asked.json()["begun"], json!("1"));
    let begun = Instant::now();
    while client.get("/reload").json()["done"] != json!("1") {
        assert!(begun.elapsed() < PATIENCE, "the reload does not end");
    }
    let done = json!({ "begun": "1", "done": "1", "failures": [] });
    assert_eq!(client.get("/reload").json(), done);
}

/// The answer of a port to a request that names this host; none if the header is left out.
fn ask(port: u16, path: &str, host: Option<&str>) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let host = host.map_or(String::new(), |host| format!("Host: {host}\r\n"));
    let head = format!("GET {path} HTTP/1.1\r\n{host}Connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    read_answer(&mut stream).unwrap()
}

#[test]
fn a_page_whose_name_leads_to_this_machine_reaches_neither_listener() {
    let place = Place::new();
    fresh_key(&place, "key", TINY, "256");
    let (port, metrics) = (free_port(), free_port());
    let line = format!(
        "serve key --listen tcp:127.0.0.1:{port} --anyone-on-this-machine-may-sign --metrics-listen 127.0.0.1:{metrics} \
         --host-name signer.internal"
    );
    let mut running = place.start(&[], &line);
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", metrics)).is_err() {
        assert!(running.is_running() && begun.elapsed() < PATIENCE, "it does not listen");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    for (port, path) in [(port, "/api/v1/lean/publicKeys"), (metrics, "/metrics")] {
        for host in ["127.0.0.1", "localhost:80", "[::1]", "Signer.Internal:9"] {
            assert_eq!(ask(port, path, Some(host)).status, 200, "{path} {host}");
        }
        for host in [Some("page.example"), Some("127.0.0.1.page.example"), None] {
            let answer = ask(port, path, host);
            assert_eq!(
                (answer.status, answer.reason().as_str()),
                (421, "host"),
                "{path} {host:?}"
            );
        }
    }
}
