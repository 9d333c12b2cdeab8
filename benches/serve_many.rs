//! A service of many trimmed keys with one ledger: lists of all of them at one slot, every key at the end of its block at once,
//! and what memory it takes.
//!
//! `cargo bench --bench serve_many [-- --keys N --epochs 2^N --trim L --lists N --requests N --clients N --directory DIR]`
//!
//! 200 keys of 2^10 epochs of leanVM's scheme take half a minute to be made, most of it in the creation of their directories.
//! The bound is the number of cores over the processor time of a signature: path, codeword, chain values, and verifying.

mod measure;
mod service;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keymill::ledger::move_in;
use keymill::memory::ProcessMemory;
use keymill::service::{Listen, Service, ServiceOptions};
use keymill::{Epoch, KeyDir, KeyRequest, KeygenJob, Level, NoProgress, Scheme, Signer};
use measure::{median, processor_us};
use service::{Client, percentile};

const SCHEME: &str = "leanvm-blake2s-l32-ts-v42-w8";
/// Signatures whose time is the bound.
const BOUND_SIGNATURES: u32 = 100;
/// Keys of one list: a service takes no more.
const LIST_MAX: usize = 1000;

struct Arguments {
    keys: usize,
    epochs: u64,
    trim: Level,
    lists: u64,
    requests: u64,
    clients: usize,
    directory: PathBuf,
}

type Done<T> = Result<T, Box<dyn Error>>;

fn main() -> Done<()> {
    let arguments = arguments()?;
    let parent = tempfile::tempdir_in(&arguments.directory)?;
    let set = parent.path().join("set");
    std::fs::create_dir(&set)?;
    let begun = Instant::now();
    let (public_keys, sign_us) = make(&set, &arguments)?;
    println!(
        "{} keys of {} epochs of {SCHEME}, trim {}, made in {:.0} s; times in ms",
        arguments.keys,
        arguments.epochs,
        arguments.trim,
        begun.elapsed().as_secs_f64()
    );
    let socket = parent.path().join("socket");
    let before = anonymous_mib();
    let begun = Instant::now();
    let service = Service::open(&[set], ServiceOptions::new(Listen::Unix(socket.clone())))?;
    println!(
        "opened in {:.1} s; anonymous memory {before:.1} MiB before, {:.1} MiB now",
        begun.elapsed().as_secs_f64(),
        anonymous_mib()
    );
    let handle = service.handle();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| service.run().map_err(|error| error.to_string()));
        let measured = measure_all(&socket, &public_keys, sign_us, &arguments).map_err(|error| error.to_string());
        handle.end();
        running.join().map_err(|_| "the service panicked")??;
        measured
    })?;
    Ok(())
}

/// Makes the keys of a set, and gives their public keys and the processor time of a signature.
fn make(set: &Path, arguments: &Arguments) -> Done<(Vec<String>, f64)> {
    let scheme = Scheme::by_id(SCHEME)?;
    let mut public_keys = Vec::new();
    let mut sign_us = 0.0;
    for number in 0..arguments.keys {
        let directory = set.join(format!("key_{number}"));
        let request = KeyRequest::new(scheme).epochs(arguments.epochs).trim(arguments.trim);
        let job = KeygenJob::builder(&directory).request(request).open()?;
        public_keys.push(hex::encode(job.run(&NoProgress)?.public_key));
        if number == 0 {
            sign_us = bound_us(&directory)?;
        }
        move_in(&directory, set)?;
    }
    Ok((public_keys, sign_us))
}

/// Of a key that is not trimmed, so that no block counts.
fn bound_us(beside: &Path) -> Done<f64> {
    let parent = tempfile::tempdir()?;
    let directory = parent.path().join("bound");
    let scheme = KeyDir::open(beside)?.manifest().scheme();
    let job = KeygenJob::builder(&directory).request(KeyRequest::new(scheme).epochs(1024));
    job.open()?.run(&NoProgress)?;
    let mut signer = Signer::open(&directory)?;
    let mut times = Vec::new();
    for epoch in (0..BOUND_SIGNATURES).map(Epoch) {
        signer.sign(epoch, &[0; 32])?;
        let (us, again) = processor_us(|| signer.sign(epoch, &[0; 32]));
        again?;
        times.push(us);
    }
    Ok(times.iter().sum::<f64>() / times.len() as f64)
}

fn measure_all(socket: &Path, public_keys: &[String], sign_us: f64, arguments: &Arguments) -> Done<()> {
    let cores = std::thread::available_parallelism()?.get();
    let bound_rate = cores as f64 * 1e6 / sign_us;
    lists(socket, public_keys, bound_rate, arguments)?;
    println!("anonymous memory {:.1} MiB", anonymous_mib());
    block_ends(socket, public_keys, arguments)?;
    println!("anonymous memory {:.1} MiB", anonymous_mib());
    let slots = Slots::new(
        arguments.lists + 2 * (1 << arguments.trim.0),
        arguments.requests,
        public_keys.len(),
    );
    let begun = Instant::now();
    let times = ask_all(socket, public_keys, &slots, arguments.clients)?;
    println!(
        "{} requests one by one: {:.0} a second; anonymous memory {:.1} MiB",
        times.len(),
        times.len() as f64 / begun.elapsed().as_secs_f64(),
        anonymous_mib()
    );
    Ok(())
}

/// All keys at one slot in one list.
fn lists(socket: &Path, public_keys: &[String], bound_rate: f64, arguments: &Arguments) -> Done<()> {
    let mut client = Client::connect(socket)?;
    let mut rates = Vec::new();
    for slot in 0..arguments.lists {
        for part in public_keys.chunks(LIST_MAX) {
            let (ms, signed) = client.sign_all(part, slot)?;
            if signed != part.len() {
                return Err(format!("slot {slot}: {signed} of {} are signed", part.len()).into());
            }
            rates.push(part.len() as f64 * 1e3 / ms);
        }
    }
    let rate = median(rates);
    println!(
        "lists of {} keys: {rate:.0} signatures a second, bound {bound_rate:.0}, ratio {:.3}",
        public_keys.len().min(LIST_MAX),
        rate / bound_rate
    );
    Ok(())
}

/// Every key in the second half of a block, then in its last slot, and in the first slot of the next block.
fn block_ends(socket: &Path, public_keys: &[String], arguments: &Arguments) -> Done<()> {
    let block = 1 << arguments.trim.0;
    let next = block * (arguments.lists / block + 1);
    for (slot, what) in [
        (next - block / 4, "in the second half of a block"),
        (next - 1, "at the end of it"),
        (next, "at the beginning of the next"),
    ] {
        let slots = Slots::new(slot, public_keys.len() as u64, public_keys.len());
        let mut times = ask_all(socket, public_keys, &slots, 1)?;
        times.sort_by(f64::total_cmp);
        println!(
            "every key {what}: p50 {:.2}, p99 {:.2}, most {:.2}",
            percentile(&times, 50),
            percentile(&times, 99),
            percentile(&times, 100)
        );
        // As slots are seconds apart.
        std::thread::sleep(Duration::from_secs(4));
    }
    Ok(())
}

/// Requests that clients take one after the other: all keys at one slot, then all at the next.
struct Slots {
    first: u64,
    requests: u64,
    keys: usize,
    next: AtomicU64,
}

impl Slots {
    fn new(first: u64, requests: u64, keys: usize) -> Self {
        let next = AtomicU64::new(0);
        Self {
            first,
            requests,
            keys,
            next,
        }
    }

    fn take(&self) -> Option<(usize, u64)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let keys = self.keys as u64;
        (number < self.requests).then(|| ((number % keys) as usize, self.first + number / keys))
    }
}

fn ask_all(socket: &Path, public_keys: &[String], slots: &Slots, clients: usize) -> Done<Vec<f64>> {
    let ask = || -> std::io::Result<Vec<f64>> {
        let mut client = Client::connect(socket)?;
        let mut times = Vec::new();
        while let Some((key, slot)) = slots.take() {
            times.push(client.sign(&public_keys[key], slot)?);
        }
        Ok(times)
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(ask)).collect();
        let mut times = Vec::new();
        for client in clients {
            times.extend(client.join().map_err(|_| "a client panicked")??);
        }
        Ok(times)
    })
}

fn anonymous_mib() -> f64 {
    let memory = ProcessMemory::read().unwrap_or_default();
    memory.anonymous_bytes as f64 / f64::from(1 << 20)
}

fn arguments() -> Done<Arguments> {
    let mut arguments = Arguments {
        keys: 200,
        epochs: 1 << 10,
        trim: Level(8),
        lists: 5,
        requests: 20_000,
        clients: 16,
        directory: std::env::temp_dir(),
    };
    let mut given = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = given.next() {
        let value = given.next().ok_or(format!("{argument} needs a value"))?;
        match argument.as_str() {
            "--keys" => arguments.keys = value.parse()?,
            "--epochs" => arguments.epochs = epochs(&value)?,
            "--trim" => arguments.trim = Level(value.parse()?),
            "--lists" => arguments.lists = value.parse()?,
            "--requests" => arguments.requests = value.parse()?,
            "--clients" => arguments.clients = value.parse()?,
            "--directory" => arguments.directory = value.into(),
            other => return Err(format!("{other} is not known").into()),
        }
    }
    Ok(arguments)
}

fn epochs(text: &str) -> Result<u64, std::num::ParseIntError> {
    match text.strip_prefix("2^") {
        Some(exponent) => Ok(1 << exponent.parse::<u32>()?),
        None => text.parse(),
    }
}
