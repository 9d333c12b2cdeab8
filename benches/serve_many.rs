//! A service of many trimmed keys with one ledger: lists of all of them at one slot, every key at the end of its block at once,
//! and what memory it takes.
//!
//! `cargo bench --bench serve_many [-- --keys N --epochs 2^N --trim L --lists N --requests N --clients N --only PART
//! --directory DIR --set DIR --sync-delay-ms N]`
//!
//! 200 keys of 2^10 epochs of leanVM's scheme take half a minute to be made, most of it in the creation of their directories. With
//! `--set`, those are used that are there, as `keymill generate --keys-only` makes them, and their slots go on where the last run
//! ended. PART is `lists`, `ends` or `requests`; without it all three are measured.
//!
//! The bound is that of signatures of each list which are made once more behind it by all cores, and nothing else: path, codeword,
//! chain values, and verifying.

#[expect(dead_code, reason = "each bench takes what it needs")]
mod measure;
mod service;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keymill::ledger::{move_in, show};
use keymill::memory::ProcessMemory;
use keymill::service::{Listen, Service, ServiceOptions};
use keymill::{KeyDir, KeyRequest, KeygenJob, Level, NoProgress, Scheme};
use measure::median;
use service::{Bound, Client, Done, bound_ms, percentile, with_slow_syncs};

const SCHEME: &str = "leanvm-blake2s-l32-ts-v42-w8";
/// Keys whose signatures are the bound.
const BOUND_KEYS: usize = 100;
/// Keys of one list: a service takes no more.
const LIST_MAX: usize = 1000;

struct Arguments {
    keys: usize,
    epochs: u64,
    trim: Level,
    lists: u64,
    requests: u64,
    clients: usize,
    only: Option<String>,
    directory: PathBuf,
    set: Option<PathBuf>,
}

/// The keys of a set.
struct Set {
    directories: Vec<PathBuf>,
    /// In hex.
    public_keys: Vec<String>,
    /// Slots of a block.
    block: u64,
    /// The first slot that no key has signed.
    first: u64,
}

fn main() -> Done<()> {
    let arguments = arguments()?;
    let parent = tempfile::tempdir_in(&arguments.directory)?;
    let place = match &arguments.set {
        Some(set) => set.clone(),
        None => make(&parent.path().join("set"), &arguments)?,
    };
    let set = Set::open(&place, &arguments)?;
    let socket = parent.path().join("socket");
    let before = anonymous_mib();
    let begun = Instant::now();
    let service = Service::open(&[place], ServiceOptions::new(Listen::Unix(socket.clone())))?;
    println!(
        "{} keys of {SCHEME} opened in {:.1} s; anonymous memory {before:.1} MiB before, {:.1} MiB now; times in ms",
        service.keys(),
        begun.elapsed().as_secs_f64(),
        anonymous_mib()
    );
    let handle = service.handle();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| service.run().map_err(|error| error.to_string()));
        let measured = measure_all(&socket, &set, &arguments).map_err(|error| error.to_string());
        handle.end();
        running.join().map_err(|_| "the service panicked")??;
        measured
    })?;
    Ok(())
}

/// Makes the keys of a set, one after the other, and gives its directory.
fn make(set: &Path, arguments: &Arguments) -> Done<PathBuf> {
    std::fs::create_dir(set)?;
    let begun = Instant::now();
    for number in 0..arguments.keys {
        let directory = set.join(format!("key_{number}"));
        let request = KeyRequest::new(Scheme::by_id(SCHEME)?);
        let request = request.epochs(arguments.epochs).trim(arguments.trim);
        let job = KeygenJob::builder(&directory).request(request).open()?;
        job.run(&NoProgress)?;
        move_in(&directory, set)?;
    }
    println!(
        "{} keys of {} epochs, trim {}, made in {:.0} s",
        arguments.keys,
        arguments.epochs,
        arguments.trim,
        begun.elapsed().as_secs_f64()
    );
    Ok(set.to_owned())
}

impl Set {
    /// Finds the first keys of a set, as many as are asked for.
    fn open(place: &Path, arguments: &Arguments) -> Done<Self> {
        let mut directories = Vec::new();
        for entry in std::fs::read_dir(place)? {
            let directory = entry?.path();
            if directory.join("manifest.toml").exists() {
                directories.push(directory);
            }
        }
        directories.sort();
        directories.truncate(arguments.keys);
        let (mut public_keys, mut highest) = (Vec::new(), None);
        for directory in &directories {
            let status = show(directory)?;
            public_keys.push(hex::encode(status.manifest.public_key().unwrap_or_default()));
            highest = highest.max(status.highest);
        }
        let trim = KeyDir::open(&directories[0])?.manifest().plan().trim();
        let (block, first) = (1 << trim.0, highest.map_or(0, |highest| u64::from(highest) + 1));
        // The lists, and one before them, are within one block.
        let fits = trim == Level(0) || first % block + arguments.lists < block;
        Ok(Self {
            first: if fits { first } else { first.next_multiple_of(block) },
            directories,
            public_keys,
            block,
        })
    }

    /// The slot behind those of the lists.
    fn behind_lists(&self, arguments: &Arguments) -> u64 {
        self.first + 1 + arguments.lists
    }
}

fn measure_all(socket: &Path, set: &Set, arguments: &Arguments) -> Done<()> {
    let is_asked = |part: &str| arguments.only.as_ref().is_none_or(|only| only == part);
    if is_asked("lists") {
        lists(socket, set, arguments)?;
        println!("anonymous memory {:.1} MiB", anonymous_mib());
    }
    let next = (set.behind_lists(arguments) + set.block / 2).next_multiple_of(set.block);
    if is_asked("ends") {
        block_ends(socket, set, next)?;
        println!("anonymous memory {:.1} MiB", anonymous_mib());
    }
    if is_asked("requests") {
        let slots = Slots::new(next + 1, arguments.requests, set.public_keys.len());
        let begun = Instant::now();
        let times = ask_all(socket, &set.public_keys, &slots, arguments.clients)?;
        println!(
            "{} requests one by one: {:.0} a second; anonymous memory {:.1} MiB",
            times.len(),
            times.len() as f64 / begun.elapsed().as_secs_f64(),
            anonymous_mib()
        );
    }
    Ok(())
}

/// All keys at one slot in one list, slot after slot, and the bound in turn with them.
fn lists(socket: &Path, set: &Set, arguments: &Arguments) -> Done<()> {
    let mut client = Client::connect(socket)?;
    let mut sign = |slot| -> Done<f64> {
        let mut total_ms = 0.0;
        for part in set.public_keys.chunks(LIST_MAX) {
            let (ms, signed) = client.sign_all(part, slot)?;
            if signed != part.len() {
                return Err(format!("slot {slot}: {signed} of {} are signed", part.len()).into());
            }
            total_ms += ms;
        }
        Ok(total_ms)
    };
    let bounds = set.directories.iter().take(BOUND_KEYS);
    let bounds = bounds
        .map(|directory| Bound::open(directory))
        .collect::<Done<Vec<_>>>()?;
    let bound = |slot| {
        let signatures: Vec<_> = (0..bounds.len()).map(|key| (key, slot)).collect();
        bound_ms(&bounds, &signatures)
    };
    // Computes the blocks that are not there yet.
    sign(set.first)?;
    bound(set.first)?;
    let (mut lists_ms, mut total_bound_ms) = (Vec::new(), 0.0);
    for slot in set.first + 1..set.behind_lists(arguments) {
        lists_ms.push(sign(slot)?);
        total_bound_ms += bound(slot)?;
    }
    let count = lists_ms.len();
    let rate = (set.public_keys.len() * count) as f64 * 1e3 / lists_ms.iter().sum::<f64>();
    let bound_rate = (bounds.len() * count) as f64 * 1e3 / total_bound_ms;
    println!(
        "lists of {} keys: p50 {:.1}, {rate:.0} signatures a second, bound {bound_rate:.0}, ratio {:.3}",
        set.public_keys.len().min(LIST_MAX),
        median(lists_ms),
        rate / bound_rate
    );
    Ok(())
}

/// Every key in the second half of a block, then in its last slot, and in the first slot of the next block, which is `next`.
fn block_ends(socket: &Path, set: &Set, next: u64) -> Done<()> {
    for (slot, what) in [
        (next - (set.block / 4).max(2), "in the second half of a block"),
        (next - 1, "at the end of it"),
        (next, "at the beginning of the next"),
    ] {
        let keys = set.public_keys.len();
        let slots = Slots::new(slot, keys as u64, keys);
        let mut times = ask_all(socket, &set.public_keys, &slots, 1)?;
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
        lists: 20,
        requests: 20_000,
        clients: 16,
        only: None,
        directory: std::env::temp_dir(),
        set: None,
    };
    let given: Vec<_> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    for pair in given.chunks(2) {
        let [argument, value] = pair else {
            return Err(format!("{} needs a value", pair[0]).into());
        };
        match argument.as_str() {
            "--keys" => arguments.keys = value.parse()?,
            "--epochs" => arguments.epochs = epochs(value)?,
            "--trim" => arguments.trim = Level(value.parse()?),
            "--lists" => arguments.lists = value.parse()?,
            "--requests" => arguments.requests = value.parse()?,
            "--clients" => arguments.clients = value.parse()?,
            "--only" => arguments.only = Some(value.clone()),
            "--directory" => arguments.directory = value.into(),
            "--set" => arguments.set = Some(value.into()),
            "--sync-delay-ms" => {
                let others: Vec<_> = given.chunks(2).filter(|other| other[0] != *argument).collect();
                return Err(with_slow_syncs(value.parse()?, &others.concat()).into());
            }
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
