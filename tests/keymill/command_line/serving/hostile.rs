//! Slow and hostile clients, beside whom a good one is served.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use super::client::{Service, fresh_key, message};
use crate::command_line::fixtures::TINY;
use crate::command_line::program::Place;

/// Of the anonymous memory of a process, in KiB.
fn anonymous_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn clients_that_send_half_a_request_or_nothing_keep_nobody_from_signing() {
    let place = Place::new();
    let public_key = fresh_key(&place, "key", TINY, "256");
    let service = Service::start(&place, "key");
    let client = service.client();
    let begun_kib = anonymous_kib(service.running.id());
    let halves = [
        "",
        "P",
        "POST /api",
        "POST /reload HTTP/1.1\r\nHost",
        "POST /api/v1/lean/sign HTTP/1.1\r\nHost: k\r\nContent-Length: 100\r\n\r\n[{",
    ];
    let held: Vec<UnixStream> = (0..300)
        .map(|number| {
            let mut stream = client.connect().unwrap();
            stream.write_all(halves[number % halves.len()].as_bytes()).unwrap();
            stream
        })
        .collect();
    client.signature(&public_key, 1, &message(1));
    let grown_kib = anonymous_kib(service.running.id()).saturating_sub(begun_kib);
    assert!(grown_kib < 300 * 40, "{grown_kib} KiB for 300 connections");
    drop(held);
    client.signature(&public_key, 2, &message(2));
}

#[test]
fn what_is_not_http_and_what_is_too_much_of_it_is_refused() {
    let place = Place::new();
    let public_key = fresh_key(&place, "key", TINY, "256");
    let service = Service::start(&place, "key");
    let client = service.client();
    let flood = format!(
        "GET /upcheck HTTP/1.1\r\nHost: k\r\n{}\r\n",
        "X-Header: y\r\n".repeat(200)
    );
    let long = format!(
        "GET /upcheck HTTP/1.1\r\nHost: k\r\nX-Header: {}\r\n\r\n",
        "y".repeat(40_000)
    );
    let endless =
        format!("POST /api/v1/lean/sign/0x{public_key} HTTP/1.1\r\nHost: k\r\nContent-Length: 99999999999\r\n\r\n");
    let chunks = format!(
        "POST /api/v1/lean/sign/0x{public_key} HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        format!("1000\r\n{}\r\n", "x".repeat(0x1000)).repeat(20)
    );
    for (sent, statuses) in [
        (b"\x16\x03\x01\x02\x00\x01\x00".to_vec(), &["400"][..]),
        (b"\xff\xfe\xfd / HTTP/1.1\r\n\r\n".to_vec(), &["400"]),
        (b"GET /\xff\xfe HTTP/1.1\r\nHost: k\r\n\r\n".to_vec(), &["400", "404"]),
        (flood.into_bytes(), &["431"]),
        (long.into_bytes(), &["431"]),
        (endless.into_bytes(), &["413"]),
        (chunks.into_bytes(), &["413"]),
        (b"GET /upcheck HTTP/3.7\r\n\r\n".to_vec(), &["400", "505"]),
    ] {
        let mut stream = client.connect().unwrap();
        // One that is answered early is cut off behind that.
        let _ = stream.write_all(&sent);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let shown = String::from_utf8_lossy(&sent[..sent.len().min(80)]).into_owned();
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(statuses.contains(&status), "{shown}: '{answer}'");
    }
    let body = b"{\"type\":\"BLOCK\",\"slot\":\"1\",\"signing_root\":\"\xff\xfe\"}";
    let answer = client.post(&format!("/api/v1/lean/sign/0x{public_key}"), body);
    assert_eq!((answer.status, answer.reason().as_str()), (400, "form"));
    client.signature(&public_key, 1, &message(1));
}

#[test]
fn many_requests_leave_no_memory_behind() {
    let place = Place::in_memory();
    let public_key = fresh_key(&place, "key", TINY, "256");
    let service = Service::start(&place, "key");
    let client = service.client();
    let ask = |count: u64| {
        for number in 0..count {
            // Every slot once, then the same again and others, which are refused.
            client.sign(&public_key, number % 256, &message(number % 512));
        }
    };
    ask(1000);
    let begun_kib = anonymous_kib(service.running.id());
    ask(2000);
    let grown_kib = anonymous_kib(service.running.id()).saturating_sub(begun_kib);
    assert!(grown_kib < 1024, "{grown_kib} KiB more after 2000 requests");
}

#[test]
fn a_page_in_a_browser_signs_nothing() {
    let place = Place::new();
    let public_key = fresh_key(&place, "key", TINY, "256");
    let service = Service::start(&place, "key");
    let client = service.client();
    let path = format!("/api/v1/lean/sign/0x{public_key}");
    let body = super::client::request(1, &message(1)).to_string();
    for origin in ["https://page.example", "null", "http://127.0.0.1:9000"] {
        let headers = format!("Origin: {origin}\r\nContent-Type: text/plain\r\n");
        let answer = client.ask("POST", &path, &headers, body.as_bytes()).unwrap();
        assert_eq!((answer.status, answer.reason().as_str()), (403, "browser"), "{origin}");
    }
    let known = client.get(&format!("/api/v1/lean/keys/0x{public_key}")).json();
    assert_eq!(known["spent"], serde_json::json!("0"));
}

#[test]
fn a_thousand_connections_that_ask_for_nothing_keep_nobody_out() {
    let place = Place::new();
    let public_key = fresh_key(&place, "key", TINY, "256");
    let service = Service::start(&place, "key");
    let client = service.client();
    // This process may have fewer files open; what it cannot hold it lets go, and the service is asked all the time.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let held_max = limit.map_or(1000, |most| most.saturating_sub(300).min(1000) as usize);
    let mut held = std::collections::VecDeque::new();
    for number in 0..1500 {
        if held.len() == held_max {
            held.pop_front();
        }
        held.push_back(client.connect().unwrap());
        if number % 100 == 0 {
            client.signature(&public_key, number / 100, &message(number));
        }
    }
    client.signature(&public_key, 200, &message(1));
}
