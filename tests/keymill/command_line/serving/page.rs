//! The page at the metrics listener: for people, live, and without anything that is secret.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::client::{Answer, Service, free_port, fresh_key, message, metrics, read_answer};
use crate::command_line::fixtures::{LONG, SEED, TINY, seed, stopped_key};
use crate::command_line::program::{PATIENCE, Place, SOON};

const STREAMS_MAX: usize = 16;
const CONNECTIONS_MAX: usize = 64;

fn start(place: &Place, keys: &str) -> (Service, u16) {
    let port = free_port();
    (
        Service::start(place, &format!("{keys} --metrics-listen 127.0.0.1:{port}")),
        port,
    )
}

fn get(port: u16, path: &str) -> Answer {
    let mut stream = ask(port, path, "close");
    read_answer(&mut stream).unwrap()
}

fn ask(port: u16, path: &str, connection: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: {connection}\r\n\r\n"
    )
    .unwrap();
    stream
}

fn page(port: u16) -> String {
    let answer = get(port, "/");
    assert_eq!(answer.status, 200, "{answer:?}");
    String::from_utf8(answer.body).unwrap()
}

/// What stands in the element with an id.
fn shown(page: &str, id: &str) -> String {
    let behind = page.split(&format!(" id=\"{id}\"")).nth(1);
    let behind = behind.unwrap_or_else(|| panic!("no {id} in\n{page}"));
    let (_, content) = behind.split_once('>').unwrap();
    content.split('<').next().unwrap().to_owned()
}

/// The values of an attribute.
fn attributes<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let begin = format!(" {name}=\"");
    let parts = page.split(begin.as_str()).skip(1);
    parts.map(|part| part.split('"').next().unwrap()).collect()
}

/// Events as they come.
struct Events {
    lines: BufReader<TcpStream>,
}

impl Events {
    fn open(port: u16) -> Result<Self, u16> {
        let mut lines = BufReader::new(ask(port, "/events", "keep-alive"));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).unwrap() > 0, "{head}");
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        if status != 200 {
            return Err(status);
        }
        assert!(head.contains("content-type: text/event-stream"), "{head}");
        Ok(Self { lines })
    }

    /// The next one; none if the stream has ended.
    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.lines.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return Some(serde_json::from_str(data).unwrap());
            }
        }
    }
}

#[test]
fn the_page_is_complete_without_its_script_and_escapes_what_others_have_named() {
    let place = Place::new();
    let hostile = "<i>&\"'<b>";
    place.file("seed", SEED);
    let line = format!("keygen {hostile} --scheme {TINY} --epochs 256");
    let public_key = place.run(&line).exits(0).line();
    fresh_key(&place, "other", TINY, "256");
    let (service, port) = start(&place, &format!("{hostile} other"));
    service.client().signature(&public_key, 7, &message(1));
    service.client().sign(&public_key, 7, &message(2));
    let page = page(port);
    assert!(
        page.contains("&lt;i&gt;&amp;&quot;&#39;&lt;b&gt;") && !page.contains("<i>"),
        "{page}"
    );
    for (id, value) in [
        ("state", "ready"),
        ("signatures", "1"),
        ("waiting", "0 of 4,096"),
        ("commits", "1"),
        ("requests-per-commit", "1.0"),
        ("left", "248"),
        ("refused", "1"),
        ("refused-spent", "1"),
        ("key0-highest", "7"),
        ("key0-left", "248"),
        ("key0-share", "0.4%"),
        ("key0-state", "ready"),
        ("key1-left", "256"),
        ("key1-highest", "none yet"),
    ] {
        assert_eq!(shown(&page, id), value, "{id} in\n{page}");
    }
    assert!(page.contains("<span>10 min ago</span>"), "{page}");
    assert!(
        shown(&page, "last").ends_with(" ago") && shown(&page, "memory").contains("MiB"),
        "{page}"
    );
    assert!(page.contains(&format!("0x{public_key}")));
    let ids = attributes(&page, "id");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    // Nothing secret, and no place of the machine.
    let secret = std::fs::read_to_string(place.path("other/secret")).unwrap();
    for word in secret.split(['"', '\n', ' ', ':']).filter(|word| word.len() >= 16) {
        assert!(!page.contains(word) || word.starts_with("keymill"), "{word}");
    }
    assert!(
        !page.contains(place.path("").to_str().unwrap().trim_end_matches('/')),
        "{page}"
    );
}

#[test]
fn nothing_that_the_page_asks_for_is_elsewhere_and_its_policy_lets_nothing_else_in() {
    let place = Place::new();
    fresh_key(&place, "key", TINY, "256");
    let (_service, port) = start(&place, "key");
    let page = page(port);
    let asked: Vec<_> = [attributes(&page, "href"), attributes(&page, "src")].concat();
    assert!(asked.len() >= 3, "{asked:?}");
    for path in ["", "events"].into_iter().chain(asked) {
        assert!(path.chars().all(|c| c.is_ascii_lowercase() || c == '.'), "{path}");
        if path == "events" {
            assert!(Events::open(port).is_ok());
            continue;
        }
        let answer = get(port, &format!("/{path}"));
        assert_eq!(answer.status, 200, "{path}");
        if path != "metrics" {
            let policy = answer
                .head
                .lines()
                .find_map(|line| line.strip_prefix("content-security-policy: "));
            let policy = policy.unwrap_or_else(|| panic!("{path}: {}", answer.head));
            let sources: Vec<_> = policy.split("; ").collect();
            assert_eq!(sources[0], "default-src 'none'");
            for source in &sources {
                assert!(source.ends_with(" 'self'") || source.ends_with(" 'none'"), "{source}");
            }
        }
        let text = String::from_utf8(answer.body).unwrap();
        for word in ["http://", "https://", "@import", "url(//", "innerHTML", "eval("] {
            assert!(!text.contains(word), "{word} in {path}");
        }
    }
    // Where the policy forbids it, it would do nothing.
    for word in [" style=\"", "<style", "<script>", " onclick", "javascript:"] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn an_event_comes_after_a_signature_and_tells_of_it() {
    let place = Place::new();
    let public_key = fresh_key(&place, "key", TINY, "256");
    let (service, port) = start(&place, "key");
    let shape = attributes(&page(port), "data-shape")[0].to_owned();
    let mut events = Events::open(port).unwrap();
    let first = events.next().unwrap();
    assert_eq!(
        first["values"]["signatures"], "0",
        "the first one has everything: {first}"
    );
    assert_eq!(first["shape"].to_string(), shape);
    service.client().signature(&public_key, 9, &message(1));
    let begun = Instant::now();
    // What is written before the signature leaves can be told a second before it.
    let mut values = serde_json::Map::new();
    while !values.contains_key("signatures") {
        assert!(begun.elapsed() < PATIENCE, "no event tells of it");
        let event = events.next().unwrap();
        assert_eq!(event["shape"].to_string(), shape);
        values.extend(event["values"].as_object().unwrap().clone());
    }
    for (id, value) in [
        ("signatures", "1"),
        ("key0-highest", "9"),
        ("key0-left", "246"),
        ("commits", "1"),
    ] {
        assert_eq!(values[id], value, "{id}");
    }
    assert_eq!(values["key0-bar"], serde_json::json!([1, 256]));
    assert!(
        !values.contains_key("refused"),
        "what has not changed is not sent: {values:?}"
    );
    let page = page(port);
    for id in ["signatures", "key0-highest", "key0-left", "commits"] {
        assert_eq!(shown(&page, id), values[id].as_str().unwrap(), "{id}");
    }
}

#[test]
fn so_many_pages_are_live_and_no_more_and_they_keep_no_service_from_ending() {
    let place = Place::new();
    fresh_key(&place, "key", TINY, "256");
    let (mut service, port) = start(&place, "key");
    let mut open: Vec<_> = (0..STREAMS_MAX).map(|_| Events::open(port).unwrap()).collect();
    assert_eq!(Events::open(port).err(), Some(503));
    assert!(page(port).contains("refused-watched"));
    // More idle connections than there are places: they give way to each other and to Prometheus, and no live page does.
    let mut idle: Vec<_> = (0..CONNECTIONS_MAX + 20)
        .map(|_| ask(port, "/page.css", "keep-alive"))
        .collect();
    for stream in &mut idle[CONNECTIONS_MAX..] {
        assert!(stream.read(&mut [0; 100]).unwrap() > 0);
    }
    assert_eq!(metrics(port).status, 200);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1500) {
        assert!(open[0].next().is_some());
    }
    // What had come before is read by now.
    for events in &mut open {
        assert!((0..3).all(|_| events.next().is_some()));
    }
    // One that nobody reads any more gives its place back.
    open.pop();
    let begun = Instant::now();
    while Events::open(port).is_err() {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(50));
    }
    for events in &mut open {
        assert!(events.next().is_some());
    }
    service.running.signal(Signal::TERM);
    let (outcome, took) = service.running.end();
    outcome.exits(0);
    assert!(took < SOON, "{took:?}");
    while open[0].next().is_some() {}
}

#[test]
fn keys_and_sets_that_are_made_beside_those_of_the_service_are_shown_with_how_far_they_are() {
    let place = Place::in_memory();
    stopped_key(&place, "2^14", Signal::TERM);
    fresh_key(&place, "served", TINY, "256");
    fresh_key(&place, "finished", TINY, "256");
    place.file("set-seed", seed(0x51));
    let set = format!(
        "generate --num-validators 2 --log-num-active-epochs 18 --scheme {LONG} --output-dir set --threads 1 --seed-file set-seed"
    );
    let mut running = place.start(&[], &set);
    let (_service, port) = start(&place, "served");
    let begun = Instant::now();
    let rows = |page: &str| -> Vec<(String, String)> {
        let Some((_, section)) = page.split_once("<section id=\"being-made\">") else {
            return Vec::new();
        };
        let section = section.split("</section>").next().unwrap();
        let rows = section.split("<tr><td data-name=\"Name\">").skip(1);
        rows.map(|row| {
            let id = attributes(row, "id")[0].trim_end_matches("-bar").to_owned();
            (row.split(" <").next().unwrap().to_owned(), id)
        })
        .collect()
    };
    let of = |page: &str, name: &str, what: &str| {
        let row = rows(page).into_iter().find(|(found, _)| found == name);
        row.map(|(_, id)| shown(page, &format!("{id}-{what}")))
    };
    loop {
        assert!(begun.elapsed() < PATIENCE, "{}", page(port));
        let page = page(port);
        let first = "set/validator_0_proposer_key";
        if of(&page, first, "rate").is_some_and(|rate| !rate.is_empty()) {
            assert_eq!(of(&page, "set", "done").as_deref(), Some("0 of 4 keys"), "{page}");
            assert_eq!(of(&page, "set", "state").as_deref(), Some("running"));
            assert_eq!(of(&page, first, "state").as_deref(), Some("running"));
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    running.signal(Signal::TERM);
    running.end().0.exits(130);
    let page = loop {
        assert!(begun.elapsed() < PATIENCE, "{}", page(port));
        let page = page(port);
        if of(&page, "set", "state").as_deref() == Some("interrupted") {
            break page;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let names: Vec<_> = rows(&page).into_iter().map(|(name, _)| name).collect();
    assert!(names.contains(&"key".to_owned()), "{names:?}");
    assert!(
        !names.iter().any(|name| ["served", "finished"].contains(&name.as_str())),
        "{names:?}"
    );
    let done = of(&page, "key", "done").unwrap();
    let done: u64 = done.split(" of ").next().unwrap().replace(',', "").parse().unwrap();
    assert_eq!(done, 1024 * place.batches_done("key"));
    assert_eq!(of(&page, "key", "state").as_deref(), Some("interrupted"));
}

#[test]
fn the_metrics_listener_neither_signs_nor_reloads() {
    let place = Place::new();
    let public_key = fresh_key(&place, "key", TINY, "256");
    let (service, port) = start(&place, "key");
    for path in [format!("/api/v1/lean/sign/0x{public_key}"), "/reload".to_owned()] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let body = super::client::request(1, &message(1)).to_string();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(" 404 "), "{answer}");
    }
    let known = service
        .client()
        .get(&format!("/api/v1/lean/keys/0x{public_key}"))
        .json();
    assert_eq!(known["spent"], "0");
}
