//! What the benches of a service have in common: a client at a Unix socket, the bound that a service is compared with, and syncs
//! that take longer than those of the disk at hand.

use std::io::{BufRead, BufReader, Error, Result, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::Instant;

use keymill::xmss::hash::{Kernel, PrfKey};
use keymill::{Epoch, KeyDir, PathReader, PublicKey, Signature, Verifier};

pub type Done<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Runs the bench once more, from its beginning, with so many milliseconds added to every sync of the process: below strace, which
/// stops it at its syncs alone. Returns only if that cannot be.
pub fn with_slow_syncs(delay_ms: u64, arguments: &[String]) -> Error {
    const SYNCS: &str = "fsync,fdatasync,msync,sync_file_range";
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return error,
    };
    let mut strace = Command::new("strace");
    strace.args(["-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e"]);
    strace.args([format!("trace={SYNCS}"), "-e".to_owned()]);
    strace.arg(format!("inject={SYNCS}:delay_exit={}", delay_ms * 1000));
    strace.arg(program).args(arguments).exec()
}

/// A key, and what signs with it in memory: no ledger, no other thread.
pub struct Bound {
    paths: PathReader,
    kernel: Box<dyn Kernel>,
    prf_key: PrfKey,
    verifier: Verifier,
}

impl Bound {
    pub fn open(directory: &Path) -> Done<Self> {
        let key = KeyDir::open(directory)?;
        let public_key = key.manifest().public_key().unwrap_or_default();
        let public_key = PublicKey::from_ssz(key.manifest().scheme(), &public_key)?;
        Ok(Self {
            paths: PathReader::open(directory)?,
            kernel: key.kernel(),
            prf_key: key.prf_key()?,
            verifier: Verifier::new(&public_key),
        })
    }

    /// All that a signature takes: path, codeword, chain values, verifying. The same attempts as in the service.
    fn sign(&self, slot: u64) -> Done<()> {
        let (epoch, message) = (Epoch(slot as u32), message(slot));
        let path = self.paths.path(epoch)?;
        let codeword = self.kernel.find_codeword(&self.prf_key, epoch, &message);
        let codeword = codeword.ok_or("no codeword")?;
        let scheme = self.paths.manifest().scheme();
        let mut hashes = vec![0; scheme.chains() * scheme.digest_bytes()];
        let positions = &codeword.positions;
        self.kernel.reveal(&self.prf_key, epoch, positions, &mut hashes);
        let signature = Signature::new(scheme, codeword.rho, path.siblings, hashes)?;
        Ok(self.verifier.verify(epoch, &message, &signature)?)
    }
}

/// Makes signatures of keys at slots once more, on all cores and nothing else, and gives the milliseconds. What a service does over
/// this is its share of what the processor can give at most.
pub fn bound_ms(keys: &[Bound], signatures: &[(usize, u64)]) -> Done<f64> {
    let next = AtomicUsize::new(0);
    let sign = || -> std::result::Result<(), String> {
        while let Some(&(key, slot)) = signatures.get(next.fetch_add(1, Ordering::Relaxed)) {
            keys[key].sign(slot).map_err(|error| error.to_string())?;
        }
        Ok(())
    };
    let begun = Instant::now();
    let cores = std::thread::available_parallelism()?.get();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(sign)).collect();
        let mut ended = threads.into_iter().map(ScopedJoinHandle::join);
        ended.try_for_each(|ended| ended.map_err(|_| "a thread panicked".to_owned())?)
    })?;
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}

/// What is signed at a slot.
fn message(slot: u64) -> [u8; 32] {
    let mut message = [0; 32];
    message[24..].copy_from_slice(&slot.to_be_bytes());
    message
}

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
    let root = hex::encode(message(slot));
    format!(r#"{{{more}"type":"ATTESTATION","slot":"{slot}","signing_root":"0x{root}"}}"#)
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
