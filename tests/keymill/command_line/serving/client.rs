//! A service that runs, and requests to it over its socket: HTTP as plain as it can be.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::command_line::program::{PATIENCE, Place, Running};

/// A service at the socket `socket` of a place.
pub struct Service {
    pub running: Running,
    socket: PathBuf,
}

impl Service {
    /// Starts one for these keys, and waits until it answers.
    pub fn start(place: &Place, arguments: &str) -> Self {
        let line = format!("serve {arguments} --listen unix:socket");
        Self::of(place, place.command(&line))
    }

    /// Starts this command, and waits until a service answers at the socket `socket`.
    pub fn of(place: &Place, mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut service = Self {
            running: Running::of(command, "serve"),
            socket: place.path("socket"),
        };
        let begun = Instant::now();
        while service.client().ask("GET", "/upcheck", "", b"").is_err() {
            assert!(service.running.is_running(), "{}", service.running.end().0.all());
            assert!(begun.elapsed() < PATIENCE, "it does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        service
    }

    pub fn client(&self) -> Client {
        Client(self.socket.clone())
    }
}

/// What asks a service.
#[derive(Clone)]
pub struct Client(PathBuf);

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The word for why it was refused.
    pub fn reason(&self) -> String {
        self.json()["reason"].as_str().unwrap_or_default().to_owned()
    }
}

impl Client {
    pub fn connect(&self) -> std::io::Result<UnixStream> {
        let stream = UnixStream::connect(&self.0)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// Asks on a connection of its own. An error if the service ended before it had answered.
    pub fn ask(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> std::io::Result<Answer> {
        let mut stream = self.connect()?;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: keymill\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes())?;
        // A service that has answered early reads no further.
        let _ = stream.write_all(body);
        read_answer(&mut stream)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "", b"").unwrap()
    }

    pub fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.ask("POST", path, "", body.as_ref()).unwrap()
    }

    pub fn try_sign(&self, public_key: &str, slot: u64, message: &str) -> std::io::Result<Answer> {
        let body = request(slot, message).to_string();
        self.ask(
            "POST",
            &format!("/api/v1/lean/sign/0x{public_key}"),
            "",
            body.as_bytes(),
        )
    }

    pub fn sign(&self, public_key: &str, slot: u64, message: &str) -> Answer {
        self.try_sign(public_key, slot, message).unwrap()
    }

    /// The signature of a message that is not refused, in hex.
    #[track_caller]
    pub fn signature(&self, public_key: &str, slot: u64, message: &str) -> String {
        let answer = self.sign(public_key, slot, message);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["signature"].as_str().unwrap()[2..].to_owned()
    }
}

/// A port that is free at this moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// What the metrics listener at a port answers to who says nothing of formats.
pub fn metrics(port: u16) -> Answer {
    figures(port, "")
}

/// What it answers to Prometheus.
pub fn open_metrics(port: u16) -> Answer {
    figures(
        port,
        "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5\r\n",
    )
}

fn figures(port: u16, headers: &str) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request = format!("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    read_answer(&mut stream).unwrap()
}

/// The status of what the metrics listener at a port answers, whether or not the answer comes to an end.
pub fn status_at_port(port: u16, method: &str, path: &str) -> u16 {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut line = [0; 12];
    stream.read_exact(&mut line).unwrap();
    std::str::from_utf8(&line[9..]).unwrap().parse().unwrap()
}

/// A request to sign.
pub fn request(slot: u64, message: &str) -> Value {
    json!({ "type": "ATTESTATION", "slot": slot.to_string(), "signing_root": format!("0x{message}") })
}

/// Reads an answer to the end of its connection.
pub fn read_answer(stream: &mut impl Read) -> std::io::Result<Answer> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.ok_or_else(|| std::io::Error::other("no answer"))?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = bytes[end + 4..].to_vec();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    if length.is_some_and(|length| length.parse() != Ok(body.len())) {
        return Err(std::io::Error::other("the answer was cut off"));
    }
    Ok(Answer {
        status: status.unwrap_or_else(|| panic!("{head}")),
        head,
        body,
    })
}

/// A message of 32 bytes, from a number.
pub fn message(number: u64) -> String {
    format!("{number:064x}")
}

/// Makes a key of fresh randomness, which may sign from the beginning, and gives its public key.
pub fn fresh_key(place: &Place, name: &str, scheme: &str, epochs: &str) -> String {
    let line = format!("keygen {name} --scheme {scheme} --epochs {epochs}");
    place.run(&line).exits(0).line()
}

/// What is spent of a key, as the program says that is not the service.
pub fn spent(place: &Place, key: &Path) -> u64 {
    let line = format!("ledger show {} --json", key.display());
    let outcome = place.run(&line);
    // 1 says that it is used up.
    assert!(matches!(outcome.code, Some(0 | 1)), "{}", outcome.all());
    outcome.json()["spent"].as_u64().unwrap()
}
