//! From the start of a service to its end.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use rustix::process::Signal;

use super::client::{Service, fresh_key, message};
use crate::command_line::fixtures::{LONG, TINY};
use crate::command_line::program::{Place, SOON};
use crate::skip::skip;

#[test]
fn a_socket_is_for_its_owner_alone_and_goes_with_the_service() {
    let place = Place::new();
    fresh_key(&place, "key", TINY, "256");
    let mut service = Service::start(&place, "key");
    let mode = std::fs::metadata(place.path("socket")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    service.running.signal(Signal::TERM);
    let (outcome, took) = service.running.end();
    outcome.exits(0);
    assert!(took < SOON, "{took:?}");
    assert!(!place.path("socket").exists());
}

#[test]
fn a_service_holds_its_keys_and_its_socket_as_long_as_it_lives() {
    let place = Place::new();
    fresh_key(&place, "key", TINY, "256");
    fresh_key(&place, "other", TINY, "256");
    let mut service = Service::start(&place, "key");
    place
        .run("serve key --listen unix:elsewhere")
        .exits(3)
        .says(&["process"]);
    place
        .run("serve other --listen unix:socket")
        .exits(2)
        .says(&["another service listens there"]);
    let line = format!("sign key --epoch 1 --message {}", message(1));
    place.run(&line).exits(3);
    // One that was killed leaves its socket behind.
    service.running.signal(Signal::KILL);
    service.running.end();
    assert!(place.path("socket").exists());
    let mut service = Service::start(&place, "key");
    service.running.signal(Signal::TERM);
    service.running.end().0.exits(0);
}

#[test]
fn a_request_that_was_taken_is_answered_when_the_service_is_asked_to_end() {
    let place = Place::new();
    let public_key = fresh_key(&place, "key", LONG, "1");
    let mut service = Service::start(&place, "key");
    let client = service.client();
    let asked: Vec<_> = (0..20)
        .map(|slot| {
            let (client, public_key) = (client.clone(), public_key.clone());
            std::thread::spawn(move || client.try_sign(&public_key, slot, &message(slot)))
        })
        .collect();
    std::thread::sleep(Duration::from_millis(20));
    service.running.signal(Signal::TERM);
    let (outcome, took) = service.running.end();
    outcome.exits(0);
    assert!(took < SOON + Duration::from_secs(1), "{took:?}");
    // One that came too late was not taken; of the others each has its signature, and each signature its place in the ledger.
    let answers: Vec<_> = asked.into_iter().map(|asked| asked.join().unwrap()).collect();
    for (slot, answer) in answers.iter().enumerate() {
        let Ok(answer) = answer else { continue };
        assert_eq!(answer.status, 200, "{answer:?}");
        let line = format!("sign key --epoch {slot} --message {}", message(slot as u64));
        let again = place.run(&line).exits(0).line();
        assert_eq!(answer.json()["signature"], serde_json::json!(format!("0x{again}")));
    }
}

#[test]
fn what_cannot_be_served_is_said_before_the_service_begins() {
    let place = Place::new();
    for name in ["key", "other"] {
        fresh_key(&place, name, TINY, "256");
    }
    place.run("serve").exits(2);
    place.run("serve absent --listen unix:s").exits(3);
    for twice in ["key key", "key other ./key", "key other/../key"] {
        place
            .run(&format!("serve {twice} --listen unix:s"))
            .exits(2)
            .says(&["is named twice"]);
    }
    for (flags, words) in [
        ("--listen nowhere", "unix:PATH or tcp:ADDRESS:PORT"),
        ("--listen unix:", "unix:PATH or tcp:ADDRESS:PORT"),
        ("--listen tcp:localhost", "an IP address and a port"),
        ("--listen tcp:127.0.0.1:0", "--anyone-on-this-machine-may-sign"),
        (
            "--listen tcp:0.0.0.0:0 --anyone-on-this-machine-may-sign",
            "other machines",
        ),
        ("--listen unix:absent/socket", "absent/socket"),
        ("--listen unix:key", "something else has this name"),
        ("--listen unix:s --max-waiting 0", "--max-waiting"),
        ("--listen unix:s --token-file key", "--token-file"),
        ("--listen unix:s --token-file absent", "--token-file"),
    ] {
        place.run(&format!("serve key {flags}")).exits(2).says(&[words]);
    }
    place.file("short", "short");
    place
        .run("serve key --listen unix:s --token-file short")
        .exits(2)
        .says(&["16 to 256"]);
    assert!(!place.path("s").exists());
}

#[test]
fn a_service_that_has_no_memory_left_refuses_and_says_when_to_ask_again() {
    let place = Place::new();
    let public_key = fresh_key(&place, "key", TINY, "256");
    let service = Service::start(&place, "key --memory 1M");
    let refused = service.client().sign(&public_key, 1, &message(1));
    assert_eq!((refused.status, refused.reason().as_str()), (503, "memory"));
    assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);
    assert_eq!(service.client().get("/healthcheck").status, 503);
}

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let place = Place::new();
    fresh_key(&place, "key", TINY, "256");
    let service = Service::start(&place, "key");
    let mut stream = service.client().connect().unwrap();
    let request = "GET /upcheck HTTP/1.1\r\nHost: keymill\r\n\r\n";
    // Three at once, of which the last closes the connection.
    let last = "GET /upcheck HTTP/1.1\r\nHost: keymill\r\nConnection: close\r\n\r\n";
    stream
        .write_all(format!("{request}{request}{last}").as_bytes())
        .unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stream, &mut text).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 3, "{text}");
}

#[test]
fn two_keys_with_the_same_one_time_keys_are_not_served_side_by_side() {
    let place = Place::new();
    place.file("seed", crate::command_line::fixtures::SEED);
    let scheme = "leanvm-blake2s-l32-ts-v42-w8";
    for (name, epochs) in [("short", "100"), ("long", "200")] {
        let line = format!("keygen {name} --scheme {scheme} --epochs {epochs} --seed-file seed");
        place.run(&line).exits(0);
    }
    place
        .run("serve short long --listen unix:s")
        .exits(3)
        .says(&["the same one-time keys"]);
    assert!(!place.path("s").exists());
}

#[test]
fn the_limit_of_open_files_is_raised_to_what_is_needed_and_one_that_is_too_low_is_told_of() {
    let place = Place::new();
    fresh_key(&place, "key", TINY, "256");
    for (limit, needed, is_warned) in [("100:4096", 1152, false), ("100:500", 500, true)] {
        let mut prlimit = std::process::Command::new("prlimit");
        prlimit.arg(format!("--nofile={limit}"));
        if prlimit.arg("true").output().is_err() {
            return skip("there is no prlimit here");
        }
        let mut prlimit = std::process::Command::new("prlimit");
        prlimit.arg(format!("--nofile={limit}"));
        let command = place.under(prlimit, "serve key --listen unix:socket");
        let mut service = Service::of(&place, command);
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", service.running.id())).unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let soft: u64 = line.split_whitespace().nth(3).unwrap().parse().unwrap();
        assert!(soft >= needed, "{line}");
        service.running.signal(Signal::TERM);
        let outcome = service.running.end().0.exits(0);
        assert_eq!(outcome.stderr.contains("open files"), is_warned, "{}", outcome.all());
    }
}
