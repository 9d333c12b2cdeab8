//! Signatures a second of a service, over what the processor could give at most; with clients on the same machine.
//!
//! A service in this process signs for clients in this process, each on a connection of its own to the Unix socket. In turn with
//! it, all cores make a part of the same signatures once more and do nothing else: path, codeword, chain values, and verifying. That
//! is the bound.
//!
//! `cargo bench --bench serve [-- SCHEME... [--clients N] [--requests N] [--sync-delay-ms N]]`; without schemes, the two that devnets
//! use.

#[expect(dead_code, reason = "each bench takes what it needs")]
mod measure;
#[expect(dead_code, reason = "each bench takes what it needs")]
mod service;

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use keymill::service::{Listen, Service, ServiceOptions};
use keymill::{Epoch, KeyDir, KeyRequest, KeygenJob, NoProgress, Scheme, Signer};
use measure::median;
use service::{Bound, Client, Done, bound_ms, percentile, with_slow_syncs};

const SCHEMES: [&str; 2] = ["leansig-p1-l32-abort-v46-w8", "leanvm-blake2s-l32-ts-v42-w8"];
/// Signatures that the library makes alone, and that one client asks for alone.
const ALONE: u64 = 200;
/// How often service and bound take turns.
const ROUNDS: u64 = 10;
/// Of so many signatures that are served one is made once more.
const BOUND_PART: usize = 4;

struct Arguments {
    schemes: Vec<&'static Scheme>,
    clients: usize,
    requests: u64,
}

fn main() -> Done<()> {
    let arguments = arguments()?;
    println!(
        "{} clients, {} requests; times in ms",
        arguments.clients, arguments.requests
    );
    println!(
        "{:<32} {:>9} {:>9} {:>6} {:>8} {:>8} {:>8} {:>9} {:>6}",
        "scheme", "served /s", "bound /s", "ratio", "p50", "p99", "alone", "library", "ratio"
    );
    for scheme in &arguments.schemes {
        measure(scheme, &arguments)?;
    }
    Ok(())
}

fn measure(scheme: &'static Scheme, arguments: &Arguments) -> Done<()> {
    let parent = tempfile::tempdir()?;
    let (directory, socket) = (parent.path().join("key"), parent.path().join("socket"));
    let request = KeyRequest::new(scheme).epochs(arguments.requests + 2 * ALONE);
    KeygenJob::builder(&directory)
        .request(request)
        .open()?
        .run(&NoProgress)?;

    let library_ms = library_ms(&directory)?;
    let service = Service::open(
        std::slice::from_ref(&directory),
        ServiceOptions::new(Listen::Unix(socket.clone())),
    )?;
    let handle = service.handle();
    let public_key = hex::encode(KeyDir::open(&directory)?.manifest().public_key().unwrap_or_default());
    let served = std::thread::scope(|scope| {
        let running = scope.spawn(|| service.run());
        let served = load(&socket, &public_key, &directory, arguments).map_err(|error| error.to_string());
        handle.end();
        let ended = running.join().map_err(|_| "the service panicked")?;
        ended.map_err(|error| error.to_string())?;
        served
    })?;
    println!(
        "{:<32} {:>9.0} {:>9.0} {:>6.3} {:>8.2} {:>8.2} {:>8.2} {library_ms:>9.2} {:>6.2}",
        scheme.id(),
        served.rate,
        served.bound_rate,
        served.rate / served.bound_rate,
        percentile(&served.latencies_ms, 50),
        percentile(&served.latencies_ms, 99),
        served.alone_ms,
        served.alone_ms / library_ms,
    );
    Ok(())
}

/// A signature by the library and its commit, in the middle.
fn library_ms(directory: &Path) -> Done<f64> {
    let mut signer = Signer::open(directory)?;
    let mut times_ms = Vec::new();
    for epoch in (0..ALONE as u32).map(Epoch) {
        let begun = Instant::now();
        signer.sign(epoch, &[0; 32])?;
        times_ms.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(times_ms))
}

struct Served {
    rate: f64,
    bound_rate: f64,
    /// In ascending order.
    latencies_ms: Vec<f64>,
    alone_ms: f64,
}

/// Asks for a signature of every slot, once: by one client first, and then by all of them.
fn load(socket: &Path, public_key: &str, directory: &Path, arguments: &Arguments) -> Done<Served> {
    let next = AtomicU64::new(ALONE);
    let alone = client(socket, public_key, &next, 2 * ALONE)?;
    let bound = [Bound::open(directory)?];
    let (mut latencies_ms, mut served_s, mut bound_s, mut made) = (Vec::new(), 0.0, 0.0, 0);
    for round in 0..ROUNDS {
        let first = 2 * ALONE + arguments.requests * round / ROUNDS;
        let end = 2 * ALONE + arguments.requests * (round + 1) / ROUNDS;
        let begun = Instant::now();
        latencies_ms.extend(clients(socket, public_key, first..end, arguments.clients)?);
        served_s += begun.elapsed().as_secs_f64();
        let again: Vec<_> = (first..end).step_by(BOUND_PART).map(|slot| (0, slot)).collect();
        bound_s += bound_ms(&bound, &again)? / 1e3;
        made += again.len();
    }
    latencies_ms.sort_by(f64::total_cmp);
    Ok(Served {
        rate: arguments.requests as f64 / served_s,
        bound_rate: made as f64 / bound_s,
        latencies_ms,
        alone_ms: median(alone),
    })
}

/// Many clients at once, for these slots. Gives the times of their answers.
fn clients(socket: &Path, public_key: &str, slots: Range<u64>, count: usize) -> std::io::Result<Vec<f64>> {
    let next = AtomicU64::new(slots.start);
    let times = std::thread::scope(|scope| {
        let ask = || client(socket, public_key, &next, slots.end);
        let clients: Vec<_> = (0..count).map(|_| scope.spawn(ask)).collect();
        clients
            .into_iter()
            .map(|client| {
                client
                    .join()
                    .unwrap_or_else(|_| Err(std::io::Error::other("a client panicked")))
            })
            .collect::<std::io::Result<Vec<_>>>()
    })?;
    Ok(times.concat())
}

/// One client, which asks again as soon as it is answered. Gives the times of its answers.
fn client(socket: &Path, public_key: &str, next: &AtomicU64, end: u64) -> std::io::Result<Vec<f64>> {
    let mut client = Client::connect(socket)?;
    let mut times_ms = Vec::new();
    loop {
        let slot = next.fetch_add(1, Ordering::Relaxed);
        if slot >= end {
            return Ok(times_ms);
        }
        times_ms.push(client.sign(public_key, slot)?);
    }
}

fn arguments() -> Done<Arguments> {
    let mut arguments = Arguments {
        schemes: Vec::new(),
        clients: 64,
        requests: 20_000,
    };
    let (mut delay_ms, mut others) = (None, Vec::new());
    let mut given = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = given.next() {
        if argument == "--sync-delay-ms" {
            delay_ms = given.next();
            continue;
        }
        others.push(argument.clone());
        let mut value = || {
            let value = given.next().ok_or(format!("{argument} needs a value"));
            others.extend(value.clone());
            value
        };
        match argument.as_str() {
            "--clients" => arguments.clients = value()?.parse()?,
            "--requests" => arguments.requests = value()?.parse()?,
            id => arguments.schemes.push(Scheme::by_id(id)?),
        }
    }
    if let Some(delay_ms) = delay_ms {
        return Err(with_slow_syncs(delay_ms.parse()?, &others).into());
    }
    if arguments.schemes.is_empty() {
        arguments.schemes = SCHEMES.iter().map(|id| Scheme::by_id(id)).collect::<Result<_, _>>()?;
    }
    Ok(arguments)
}
