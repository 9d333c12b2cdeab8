//! A client of a service at a Unix socket.

use std::io::{BufRead, BufReader, Error, Result, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

/// A connection that is kept.
pub struct Client {
    stream: UnixStream,
    answers: BufReader<UnixStream>,
}

impl Client {
    pub fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)?;
        let answers = BufReader::new(stream.try_clone()?);
        Ok(Self { stream, answers })
    }

    /// Asks for a signature as bytes, and gives the milliseconds until it is there.
    pub fn sign(&mut self, public_key: &str, slot: u64) -> Result<f64> {
        let begun = Instant::now();
        let body = request(slot, "");
        self.post(
            &format!("/api/v1/lean/sign/0x{public_key}"),
            "application/octet-stream",
            &body,
        )?;
        Ok(begun.elapsed().as_secs_f64() * 1e3)
    }

    /// Asks for the signatures of all these keys at one slot in one list. Gives the milliseconds until they are there, and how
    /// many were signed.
    pub fn sign_all(&mut self, public_keys: &[String], slot: u64) -> Result<(f64, usize)> {
        let begun = Instant::now();
        let entries = public_keys
            .iter()
            .map(|key| request(slot, &format!(r#""identifier":"0x{key}","#)));
        let body = format!("[{}]", entries.collect::<Vec<_>>().join(","));
        let answer = self.post("/api/v1/lean/sign", "application/json", &body)?;
        let signed = String::from_utf8_lossy(&answer).matches(r#""signature""#).count();
        Ok((begun.elapsed().as_secs_f64() * 1e3, signed))
    }

    fn post(&mut self, path: &str, accept: &str, body: &str) -> Result<Vec<u8>> {
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nContent-Length: {length}");
        self.stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes())?;
        read_answer(&mut self.answers)
    }
}

fn request(slot: u64, more: &str) -> String {
    format!(r#"{{{more}"type":"ATTESTATION","slot":"{slot}","signing_root":"0x{slot:064x}"}}"#)
}

fn read_answer(answers: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut line = String::new();
    answers.read_line(&mut line)?;
    if !line.contains(" 200 ") {
        return Err(Error::other(format!("not signed: {line}")));
    }
    let mut length = 0;
    while line != "\r\n" {
        line.clear();
        answers.read_line(&mut line)?;
        if let Some(text) = line.strip_prefix("content-length: ") {
            length = text.trim().parse().map_err(Error::other)?;
        }
    }
    let mut body = vec![0; length];
    answers.read_exact(&mut body)?;
    Ok(body)
}

/// The value below which so many of a hundred are.
pub fn percentile(ascending: &[f64], percent: usize) -> f64 {
    ascending[(ascending.len() * percent / 100).min(ascending.len() - 1)]
}
