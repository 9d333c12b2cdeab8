//! Signatures a second of a service, over what the processor could give at most; with clients on the same machine.
//!
//! A service in this process signs for clients in this process, each on a connection of its own to the Unix socket. The
//! bound is the number of cores over the time that a signature takes: path, codeword, chain values, and verifying.
//!
//! `cargo bench --bench serve [-- SCHEME... [--clients N] [--requests N]]`; without schemes, the two that devnets use.

mod measure;
#[expect(dead_code, reason = "each bench takes what it needs")]
mod service;

use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use keymill::service::{Listen, Service, ServiceOptions};
use keymill::{Epoch, KeyDir, KeyRequest, KeygenJob, NoProgress, Scheme, Signer};
use measure::{median, processor_us};
use service::{Client, percentile};

const SCHEMES: [&str; 2] = ["leansig-p1-l32-abort-v46-w8", "leanvm-blake2s-l32-ts-v42-w8"];
/// Signatures whose time is the bound.
const BOUND_SIGNATURES: u32 = 200;
const ALONE: u64 = 200;

struct Arguments {
    schemes: Vec<&'static Scheme>,
    clients: usize,
    requests: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = arguments()?;
    let cores = std::thread::available_parallelism()?.get();
    println!(
        "{} clients, {} requests, {cores} cores; times in ms",
        arguments.clients, arguments.requests
    );
    println!(
        "{:<32} {:>9} {:>9} {:>6} {:>8} {:>8} {:>8} {:>9} {:>6}",
        "scheme", "served /s", "bound /s", "ratio", "p50", "p99", "alone", "library", "ratio"
    );
    for scheme in &arguments.schemes {
        measure(scheme, &arguments, cores)?;
    }
    Ok(())
}

fn measure(scheme: &'static Scheme, arguments: &Arguments, cores: usize) -> Result<(), Box<dyn Error>> {
    let parent = tempfile::tempdir()?;
    let (directory, socket) = (parent.path().join("key"), parent.path().join("socket"));
    let epochs = arguments.requests + u64::from(BOUND_SIGNATURES) + ALONE;
    let request = KeyRequest::new(scheme).epochs(epochs);
    KeygenJob::builder(&directory)
        .request(request)
        .open()?
        .run(&NoProgress)?;

    let mut signer = Signer::open(&directory)?;
    let (mut library, mut bound) = (Vec::new(), Vec::new());
    for epoch in (0..BOUND_SIGNATURES).map(Epoch) {
        let begun = Instant::now();
        signer.sign(epoch, &[0; 32])?;
        library.push(begun.elapsed().as_secs_f64() * 1e3);
        let (us, again) = processor_us(|| signer.sign(epoch, &[0; 32]));
        again?;
        bound.push(us);
    }
    drop(signer);
    let (library_ms, sign_us) = (median(library), mean(&bound));

    let service = Service::open(
        std::slice::from_ref(&directory),
        ServiceOptions::new(Listen::Unix(socket.clone())),
    )?;
    let handle = service.handle();
    let public_key = hex::encode(KeyDir::open(&directory)?.manifest().public_key().unwrap_or_default());
    let served = std::thread::scope(|scope| {
        let running = scope.spawn(|| service.run());
        let served = load(&socket, &public_key, arguments);
        handle.end();
        let ended = running.join().map_err(|_| "the service panicked")?;
        ended.map_err(|error| error.to_string())?;
        served.map_err(|error| error.to_string())
    })?;
    let bound_rate = cores as f64 * 1e6 / sign_us;
    println!(
        "{:<32} {:>9.0} {bound_rate:>9.0} {:>6.3} {:>8.2} {:>8.2} {:>8.2} {library_ms:>9.2} {:>6.2}",
        scheme.id(),
        served.rate,
        served.rate / bound_rate,
        percentile(&served.latencies_ms, 50),
        percentile(&served.latencies_ms, 99),
        served.alone_ms,
        served.alone_ms / library_ms,
    );
    Ok(())
}

struct Served {
    rate: f64,
    /// In ascending order.
    latencies_ms: Vec<f64>,
    alone_ms: f64,
}

/// Asks for a signature of every slot, once: by one client first, and then by all of them.
fn load(socket: &Path, public_key: &str, arguments: &Arguments) -> std::io::Result<Served> {
    let next = AtomicU64::new(u64::from(BOUND_SIGNATURES));
    let alone = client(socket, public_key, &next, u64::from(BOUND_SIGNATURES) + ALONE)?;
    next.store(u64::from(BOUND_SIGNATURES) + ALONE, Ordering::Relaxed);
    let end = u64::from(BOUND_SIGNATURES) + ALONE + arguments.requests;
    let begun = Instant::now();
    let latencies = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..arguments.clients)
            .map(|_| scope.spawn(|| client(socket, public_key, &next, end)))
            .collect();
        clients
            .into_iter()
            .map(|client| {
                client
                    .join()
                    .unwrap_or_else(|_| Err(std::io::Error::other("a client panicked")))
            })
            .collect::<std::io::Result<Vec<_>>>()
    })?;
    let rate = arguments.requests as f64 / begun.elapsed().as_secs_f64();
    let mut latencies_ms = latencies.concat();
    latencies_ms.sort_by(f64::total_cmp);
    Ok(Served {
        rate,
        latencies_ms,
        alone_ms: median(alone),
    })
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

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut arguments = Arguments {
        schemes: Vec::new(),
        clients: 64,
        requests: 20_000,
    };
    let mut given = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--clients" => arguments.clients = value()?.parse()?,
            "--requests" => arguments.requests = value()?.parse()?,
            id => arguments.schemes.push(Scheme::by_id(id)?),
        }
    }
    if arguments.schemes.is_empty() {
        arguments.schemes = SCHEMES.iter().map(|id| Scheme::by_id(id)).collect::<Result<_, _>>()?;
    }
    Ok(arguments)
}
