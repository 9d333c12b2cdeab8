//! Something that listens at a socket, and does with each connection what a test says.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::PATIENCE;
use crate::client::{Address, RemoteKey};
use crate::error::Result;

pub(super) const SCHEME: &str = "leansig-p1-l8-abort-v4-w8";

/// What becomes of a connection.
pub(super) enum Act {
    /// The request is read, and answered with this.
    Say(Vec<u8>),
    /// It is closed before anything is read.
    Close,
    /// The request is read, and what follows is this byte, again and again.
    Drip(u8),
    /// Nothing comes back for as long as the other side waits.
    Wait,
}

/// Something that listens at the socket `s` of a directory.
pub(super) struct Fake {
    pub(super) directory: tempfile::TempDir,
    seen: Arc<Mutex<Vec<String>>>,
    thread: JoinHandle<()>,
}

impl Fake {
    pub(super) fn new(acts: Vec<Act>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("s")).unwrap();
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&seen);
        let thread = std::thread::spawn(move || {
            for act in acts {
                let (stream, _) = listener.accept().unwrap();
                let request = play(stream, act);
                noted.lock().unwrap().push(request);
            }
        });
        Self {
            directory,
            seen,
            thread,
        }
    }

    pub(super) fn open(&self, more: &str) -> Result<RemoteKey> {
        open(self.directory.path(), more)
    }

    /// The requests, when all that was to happen has happened.
    pub(super) fn end(self) -> Vec<String> {
        self.thread.join().unwrap();
        self.seen.lock().unwrap().clone()
    }
}

fn play(mut stream: UnixStream, act: Act) -> String {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    if matches!(act, Act::Close) {
        return String::new();
    }
    let request = read_request(&mut stream);
    match act {
        // Who has given up does not read it.
        Act::Say(answer) => drop(stream.write_all(&answer)),
        Act::Drip(byte) => {
            while stream.write_all(&[byte]).is_ok() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        Act::Wait => drop(stream.read(&mut [0])),
        Act::Close => {}
    }
    request
}

fn read_request(stream: &mut UnixStream) -> String {
    let mut request = String::new();
    loop {
        let mut block = [0; 4096];
        let count = stream.read(&mut block).unwrap();
        if count == 0 {
            return request;
        }
        request += std::str::from_utf8(&block[..count]).unwrap();
        if let Some((head, body)) = request.split_once("\r\n\r\n") {
            let length = head.split("Content-Length: ").nth(1).unwrap();
            let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
            if body.len() >= length {
                return request;
            }
        }
    }
}

pub(super) fn public_key() -> String {
    format!("0x{}", "00".repeat(52))
}

pub(super) fn open(directory: &Path, more: &str) -> Result<RemoteKey> {
    let text = format!("unix:{}?key={}{more}", directory.join("s").display(), public_key());
    RemoteKey::open(&Address::parse(&text).unwrap().unwrap())
}

pub(super) fn answer(status: u16, body: &[u8]) -> Act {
    let head = format!(
        "HTTP/1.1 {status} S\r\nretry-after: 1\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Act::Say([head.as_bytes(), body].concat())
}

pub(super) fn refusal(status: u16, reason: &str) -> Act {
    let body = serde_json::json!({ "code": status, "reason": reason, "message": format!("because of {reason}") });
    answer(status, body.to_string().as_bytes())
}

pub(super) fn facts() -> Act {
    let body = serde_json::json!({ "scheme": SCHEME, "first_slot": "0", "last_slot": "255", "spent": "3" });
    answer(200, body.to_string().as_bytes())
}
