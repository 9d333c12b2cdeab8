//! Where heap memory goes: bytes and blocks by phase, and by file and line, as tables in Markdown.
//!
//! `cargo bench --features heap-profile --bench heap -- [SCHEME] [--epochs 2^N] [--directory DIR]`; `tools/heap-report` runs it.
//!
//! Phases: *plan*; *keygen*, from the empty directory to the last batch, with both checks; *seal*, the crown and the manifest;
//! *serve*, which opens the key, gives paths alone and streamed, signs, and checks the key. What a phase takes over from the
//! one before stands there, among what was left at its end.
//!
//! Every allocation through Rust's allocator is seen, and nothing else: RocksDB allocates in C++, stacks and mapped files are
//! not heap.

#[path = "heap/profile.rs"]
mod profile;

use std::error::Error;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use keymill::audit::check;
use keymill::{
    Event, JobOptions, KeyRequest, KeygenJob, MemoryRequest, PathReader, Phase, Plan, Progress, Scheme, Secret, Signer,
};
use profile::Profile;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const PATHS_ALONE: u64 = 1000;
const PATHS_STREAMED: u64 = 20_000;
const SIGNATURES: u64 = 16;
/// Frames of a call stack that are kept. The deepest place of our own code has to be among them, below whatever libraries it calls.
const FRAMES_MAX: usize = 40;
const OPTIONS: JobOptions = JobOptions::DEFAULT
    .threads(2)
    .group_batches(8)
    .memory(MemoryRequest::NoLimit);

struct Arguments {
    scheme: &'static Scheme,
    epochs: u64,
    directory: PathBuf,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = arguments()?;
    let place = tempfile::tempdir_in(&arguments.directory)?;
    let key = place.path().join("key");
    let phases = Phases::beginning_with("plan", place.path());
    let plan = Plan::new(arguments.scheme, 0, arguments.epochs)?;
    black_box(OPTIONS.memory_plan(&plan)?);
    let epochs = plan.stored().count();
    drop(plan);
    phases.enter("keygen");
    make_key(&arguments, &key, &phases)?;
    phases.enter("serve");
    serve(&key)?;
    let names = phases.end();
    println!(
        "`{}`, {epochs} epochs, {} threads",
        arguments.scheme.id(),
        OPTIONS.threads
    );
    for name in names {
        let text = std::fs::read(file(place.path(), name))?;
        print!("\n{}", Profile::parse(&text)?.table(name));
    }
    Ok(())
}

fn make_key(arguments: &Arguments, key: &Path, phases: &Phases) -> Result<(), Box<dyn Error>> {
    let request = KeyRequest::new(arguments.scheme)
        .epochs(arguments.epochs)
        .secret(Secret::Seed([7; 32]));
    KeygenJob::builder(key)
        .request(request)
        .options(OPTIONS)
        .open()?
        .run(phases)?;
    Ok(())
}

fn serve(key: &Path) -> Result<(), Box<dyn Error>> {
    let reader = PathReader::open(key)?;
    let stored = reader.manifest().plan().stored();
    let step = (stored.count() / PATHS_ALONE).max(1);
    for number in (stored.start..stored.end).step_by(step as usize) {
        black_box(reader.path(reader.epoch(number)?)?);
    }
    let mut paths = reader.stream();
    for number in (stored.start..stored.end).take(PATHS_STREAMED as usize) {
        black_box(paths.path(reader.epoch(number)?)?);
    }
    keymill::ledger::init(key, stored.start)?;
    let mut signer = Signer::open(key)?;
    for number in (stored.start..stored.end).take(SIGNATURES as usize) {
        let epoch = signer.paths().epoch(number)?;
        black_box(signer.sign(epoch, &[7; 32])?);
    }
    drop(signer);
    let report = check(key, false, OPTIONS)?;
    match report.damage.first() {
        None => Ok(()),
        Some(damage) => Err(damage.what.clone().into()),
    }
}

/// One profile a phase: dhat writes it when its profiler is dropped.
struct Phases<'a> {
    running: Mutex<(Vec<&'static str>, Option<dhat::Profiler>)>,
    place: &'a Path,
}

impl<'a> Phases<'a> {
    fn beginning_with(name: &'static str, place: &'a Path) -> Self {
        let phases = Self {
            running: Mutex::default(),
            place,
        };
        phases.enter(name);
        phases
    }

    fn enter(&self, name: &'static str) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.0.push(name);
        // The one before has to be gone before the next begins.
        running.1 = None;
        let profiler = dhat::Profiler::builder().trim_backtraces(Some(FRAMES_MAX));
        running.1 = Some(profiler.file_name(file(self.place, name)).build());
    }

    /// Ends the last phase, and gives the names of all.
    fn end(self) -> Vec<&'static str> {
        self.running.into_inner().unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Progress for Phases<'_> {
    fn event(&self, event: Event) {
        if event == Event::Phase(Phase::Folding) {
            self.enter("seal");
        }
    }
}

fn file(place: &Path, phase: &str) -> PathBuf {
    place.join(format!("dhat-{phase}.json"))
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut parsed = Arguments {
        scheme: Scheme::by_id("leansig-p2-l32-top-v64-w8")?,
        epochs: 1 << 17,
        directory: std::env::temp_dir(),
    };
    // Cargo adds --bench.
    let mut rest = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--epochs" => parsed.epochs = count(&value()?)?,
            "--directory" => parsed.directory = PathBuf::from(value()?),
            id => parsed.scheme = Scheme::by_id(id)?,
        }
    }
    parsed.epochs = parsed.epochs.min(parsed.scheme.lifetime());
    Ok(parsed)
}

fn count(text: &str) -> Result<u64, std::num::ParseIntError> {
    match text.split_once('^') {
        Some((base, exponent)) => Ok(base.parse::<u64>()?.pow(exponent.parse()?)),
        None => text.parse(),
    }
}
