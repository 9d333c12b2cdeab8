//! A service within its bounds: clients that are slow, that do not read, or that are too many, and a disk that does not answer.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::limits::Limits;
use super::options::{Listen, ServiceOptions};
use super::run::{Service, ServiceEnd, ServiceHandle};
use crate::error::Result;
use crate::faults::{Fate, Faults};
use crate::keydir::KeyDir;
use crate::signing::tests::key;

const SHORT: Duration = Duration::from_millis(200);
/// Before this a test is not failed for what takes long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A service in this process, at a socket in a directory of its own.
pub(super) struct Running {
    pub(super) key: TempDir,
    socket: PathBuf,
    sign: String,
    pub(super) handle: ServiceHandle,
    thread: Option<JoinHandle<Result<ServiceEnd>>>,
    _place: TempDir,
}

impl Running {
    pub(super) fn start(limits: Limits) -> Self {
        let (key, place) = (key(), tempfile::tempdir().unwrap());
        let socket = place.path().join("socket");
        let mut options = ServiceOptions::new(Listen::Unix(socket.clone())).threads(2);
        options.limits = limits;
        let service = Service::open(&[key.path().to_owned()], options).unwrap();
        let public_key = KeyDir::open(key.path()).unwrap().manifest().public_key().unwrap();
        Self {
            sign: format!("/api/v1/lean/sign/0x{}", hex::encode(public_key)),
            key,
            socket,
            handle: service.handle(),
            thread: Some(std::thread::spawn(move || service.run())),
            _place: place,
        }
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The answer to a request without a body, on a connection of its own.
    pub(super) fn call(&self, method: &str, path: &str) -> String {
        let mut stream = self.connect();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: k\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        all_of(&mut stream)
    }

    /// The answer to one request on a connection of its own.
    pub(super) fn ask(&self, slot: u64, message: u8) -> String {
        let body = format!(
            r#"{{"type":"BLOCK","slot":"{slot}","signing_root":"0x{}"}}"#,
            hex::encode([message; 32])
        );
        let mut stream = self.connect();
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: k\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            self.sign,
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        all_of(&mut stream)
    }

    /// The address of the path of a slot.
    pub(super) fn paths(&self, slot: u64) -> String {
        format!("{}/{slot}", self.sign.replace("/sign/", "/paths/"))
    }

    fn end(&mut self) -> ServiceEnd {
        self.handle.end();
        self.thread.take().unwrap().join().unwrap().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.end();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn all_of(stream: &mut UnixStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[track_caller]
pub(super) fn is_refused(answer: &str, code: &str, reason: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{answer}");
    assert!(answer.contains(&format!(r#""reason":"{reason}""#)), "{answer}");
}

/// A disk that does not answer synced writes below a directory.
struct StalledDisk {
    _faults: Faults,
    /// Dropped, it lets the disk answer.
    _release: Sender<()>,
    is_reached: Receiver<()>,
}

fn stalled_disk(running: &Running) -> StalledDisk {
    let (release, is_released) = channel::<()>();
    let (reached, is_reached) = channel();
    let faults = Faults::below(running.key.path(), move |call, _| {
        if call == "a synced write" {
            // Nobody may be waiting for it any more.
            let _ = reached.send(());
            // It is never sent: the other side goes away.
            let _ = is_released.recv();
        }
        Fate::Pass
    });
    StalledDisk {
        _faults: faults,
        _release: release,
        is_reached,
    }
}

#[test]
fn a_body_that_comes_byte_by_byte_has_its_time_as_a_whole() {
    let running = Running::start(Limits {
        body_max: SHORT,
        linger_max: SHORT,
        ..Limits::default()
    });
    let mut stream = running.connect();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: k\r\nContent-Length: 1000\r\n\r\n",
        running.sign
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut reader = stream.try_clone().unwrap();
    let answer = std::thread::spawn(move || all_of(&mut reader));
    let begun = Instant::now();
    // No pause is long.
    while stream.write_all(b" ").is_ok() {
        assert!(begun.elapsed() < PATIENCE, "it reads on and on");
        std::thread::sleep(Duration::from_millis(10));
    }
    is_refused(&answer.join().unwrap(), "408", "slow");
}

#[test]
fn a_request_whose_ledger_waits_for_the_disk_is_answered_and_gives_its_signature_later() {
    let running = Running::start(Limits {
        request_max: SHORT,
        ..Limits::default()
    });
    let disk = stalled_disk(&running);
    is_refused(&running.ask(1, 1), "504", "stalled");
    drop(disk);
    // Its epoch is spent by now, or as soon as the write has ended.
    let begun = Instant::now();
    let again = loop {
        let again = running.ask(1, 1);
        if !again.starts_with("HTTP/1.1 504") {
            break again;
        }
        assert!(begun.elapsed() < PATIENCE, "{again}");
    };
    assert!(
        again.starts_with("HTTP/1.1 200 ") && again.contains("signature"),
        "{again}"
    );
    is_refused(&running.ask(1, 2), "412", "spent");
}

#[test]
fn a_service_ends_although_the_disk_does_not_answer() {
    let times = Limits::default();
    assert!(times.drain_max + 2 * times.threads_end_max < Duration::from_secs(2));
    let mut running = Running::start(Limits {
        drain_max: SHORT,
        threads_end_max: SHORT,
        ..times
    });
    assert!(running.ask(1, 1).starts_with("HTTP/1.1 200 "));
    let disk = stalled_disk(&running);
    let mut stream = running.connect();
    let body = format!(
        r#"{{"type":"BLOCK","slot":"2","signing_root":"0x{}"}}"#,
        "01".repeat(32)
    );
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: k\r\nContent-Length: {}\r\n\r\n{body}",
        running.sign,
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    disk.is_reached.recv_timeout(PATIENCE).unwrap();
    let begun = Instant::now();
    assert_eq!(running.end(), ServiceEnd::Early);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    drop(disk);
}

#[test]
fn a_service_that_nothing_holds_ends_whole() {
    let mut running = Running::start(Limits::default());
    assert!(running.ask(1, 1).starts_with("HTTP/1.1 200 "));
    assert_eq!(running.end(), ServiceEnd::Whole);
}

#[test]
fn an_answer_that_nobody_takes_ends_its_connection() {
    let running = Running::start(Limits {
        answer_max: SHORT,
        ..Limits::default()
    });
    let paths = running.sign.replace("/sign/", "/paths/");
    let mut stream = running.connect();
    // Answers of some hundred kilobytes, more than a socket holds.
    let asked = format!("GET {paths}/0?count=256 HTTP/1.1\r\nHost: k\r\n\r\n").repeat(50);
    stream.write_all(asked.as_bytes()).unwrap();
    let begun = Instant::now();
    while stream.write_all(b"\r\n").is_ok() {
        assert!(begun.elapsed() < PATIENCE, "it waits for ever");
        std::thread::sleep(Duration::from_millis(10));
    }
    // One who takes the answers has all of them.
    let mut stream = running.connect();
    let last = asked.trim_end().to_owned() + "\r\nConnection: close\r\n\r\n";
    stream.write_all(last.as_bytes()).unwrap();
    assert_eq!(all_of(&mut stream).matches("HTTP/1.1 200 OK").count(), 50);
}

#[test]
fn connections_without_a_request_are_closed_and_keep_no_place_from_another() {
    let running = Running::start(Limits {
        connections_max: 8,
        new_connections_max: 4,
        ..Limits::default()
    });
    let asked: Vec<_> = (0..8)
        .map(|_| {
            let mut stream = running.connect();
            stream.write_all(b"GET /upcheck HTTP/1.1\r\nHost: k\r\n\r\n").unwrap();
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200");
            stream
        })
        .collect();
    let mut idle: Vec<_> = (0..50).map(|_| running.connect()).collect();
    assert!(running.ask(1, 1).starts_with("HTTP/1.1 200 "));
    let mut byte = [0];
    for stream in &mut idle[..46] {
        assert_eq!(stream.read(&mut byte).unwrap(), 0, "it was closed for another");
    }
    drop(asked);
}

#[test]
fn a_connection_that_asks_for_nothing_is_closed_soon_and_one_that_has_asked_later() {
    let running = Running::start(Limits {
        first_head_max: SHORT,
        ..Limits::default()
    });
    let mut asked = running.connect();
    asked.write_all(b"GET /upcheck HTTP/1.1\r\nHost: k\r\n\r\n").unwrap();
    let mut silent = running.connect();
    silent.write_all(b"GET /upcheck HT").unwrap();
    assert_eq!(all_of(&mut silent), "");
    std::thread::sleep(SHORT);
    asked.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut bytes = Vec::new();
    let open = asked.read_to_end(&mut bytes).unwrap_err();
    assert_eq!(open.kind(), ErrorKind::WouldBlock);
    assert!(bytes.starts_with(b"HTTP/1.1 200 "));
    asked
        .write_all(b"GET /upcheck HTTP/1.1\r\nHost: k\r\nConnection: close\r\n\r\n")
        .unwrap();
    assert!(all_of(&mut asked).starts_with("HTTP/1.1 200 "));
}
