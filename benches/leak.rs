//! Whether memory grows: many rounds of a whole key's life in one process, and what is resident after each.
//!
//! `tools/leak-bench` says how it is run. A round makes a key of 256 epochs, gives paths of it, signs with it and checks
//! it, through the library. Everything long-lived is traced meanwhile, so that what is never given back has a name. Built
//! with the feature `planted-leak`, which keeps some memory at every opening of a key, the bench has to find just that.

mod picture;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use keymill::audit::check;
use keymill::memory::ProcessMemory;
use keymill::resources::ResourceKind;
use keymill::resources::report::MemoryReport;
use keymill::resources::trace::Trace;
use keymill::{
    Epoch, JobOptions, KeyRequest, KeygenJob, MemoryRequest, NoProgress, PathReader, PublicKey, Scheme, Signer, verify,
};
use picture::{Fit, Picture};

const SCHEME: &str = "leansig-p1-l8-abort-v4-w8";
const EPOCHS: u64 = 256;
const THREADS: usize = 2;
const SIGNED_EPOCH: u64 = 17;
/// Rounds until the allocator, and the pages of the program that were ever needed, are about as large as they become.
const WARM_UP: usize = 20;
/// The rounds that growth is told for.
const TOLD_ROUNDS: usize = 200;
/// The most that memory may grow in so many rounds, or in fewer.
const GROWTH_MIB_MAX: f64 = 1.0;
const MIB: f64 = (1 << 20) as f64;
/// Where the feature `planted-leak` leaves memory, and what it calls it.
const PLANTED: (ResourceKind, &str) = (ResourceKind::Cache, "src/signing/path.rs:");

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let (rounds, svg) = options()?;
    let place = tempfile::tempdir()?;
    let trace_file = place.path().join("trace");
    let trace = Trace::create(&trace_file)?;
    trace.run();
    let mut resident_mib = Vec::with_capacity(WARM_UP + rounds);
    for number in 0..WARM_UP + rounds {
        live(&place.path().join("key")).map_err(|error| format!("round {number}: {error}"))?;
        resident_mib.push(ProcessMemory::read()?.resident_bytes as f64 / MIB);
    }
    trace.end()?;
    let report = MemoryReport::read(&trace_file, u64::MAX)?;
    let grew = show_growth(&resident_mib, svg.as_deref())?;
    show_left(&report);
    Ok(ExitCode::from(u8::from(!judge(grew, &report, resident_mib.len()))))
}

/// Rounds after the warm-up, and where a picture is to be written.
fn options() -> Result<(usize, Option<PathBuf>), Box<dyn Error>> {
    let (mut rounds, mut svg) = (TOLD_ROUNDS, None);
    let mut rest = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = rest.next() {
        let value = rest.next().ok_or_else(|| format!("{argument} needs a value"))?;
        match argument.as_str() {
            "--rounds" => rounds = value.parse()?,
            "--svg" => svg = Some(PathBuf::from(value)),
            _ => return Err(format!("unknown argument '{argument}'").into()),
        }
    }
    if rounds >= WARM_UP {
        Ok((rounds, svg))
    } else {
        Err(format!("--rounds has to be at least {WARM_UP}: fewer say nothing of growth").into())
    }
}

/// The life of a key, all in one.
fn live(directory: &Path) -> Result<(), Box<dyn Error>> {
    let scheme = Scheme::by_id(SCHEME)?;
    let options = JobOptions::DEFAULT
        .threads(THREADS)
        .group_batches(8)
        .memory(MemoryRequest::NoLimit);
    // With a secret of its own the key has signed nothing, and may sign.
    let request = KeyRequest::new(scheme).epochs(EPOCHS);
    let job = KeygenJob::builder(directory).request(request).options(options).open()?;
    let public_key = PublicKey::from_ssz(scheme, &job.run(&NoProgress)?.public_key)?;
    let reader = PathReader::open(directory)?;
    let mut paths = reader.stream();
    for epoch in 0..EPOCHS as u32 {
        paths.path(Epoch(epoch))?;
    }
    drop(reader);
    let mut signer = Signer::open(directory)?;
    let epoch = signer.paths().epoch(SIGNED_EPOCH)?;
    let signature = signer.sign(epoch, &[7; 32])?.to_ssz();
    drop(signer);
    verify(&public_key, epoch, &[7; 32], &signature)?;
    let found = check(directory, true, options)?;
    if !found.damage.is_empty() {
        return Err(format!("the key is damaged: {:?}", found.damage).into());
    }
    Ok(std::fs::remove_dir_all(directory)?)
}

/// Draws resident memory by round; whether it grew by more than it may.
fn show_growth(resident_mib: &[f64], svg: Option<&Path>) -> Result<bool, Box<dyn Error>> {
    let fit = Fit::through(resident_mib, WARM_UP);
    let picture = Picture {
        title: "resident memory after each round",
        unit: "MiB",
        values: resident_mib,
        warm_up: WARM_UP,
        fit,
    };
    print!("{}", picture.text());
    if let Some(path) = svg {
        std::fs::write(path, picture.svg()).map_err(|error| format!("'{}': {error}", path.display()))?;
    }
    let rounds = resident_mib.len() - WARM_UP;
    let grown_mib = fit.slope * rounds as f64;
    // In fewer rounds the allocator may take as much as in all of them.
    let allowed_mib = GROWTH_MIB_MAX * (rounds as f64 / TOLD_ROUNDS as f64).max(1.0);
    println!(
        "growth: {:.2} KiB a round, {grown_mib:.3} MiB in {rounds} rounds after {WARM_UP} of warm-up; \
         {allowed_mib:.1} MiB are allowed",
        fit.slope * 1024.0
    );
    Ok(grown_mib > allowed_mib)
}

fn show_left(report: &MemoryReport) {
    let traced: u64 = report.kinds.values().map(|count| count.allocated).sum();
    println!(
        "resources: {traced} came to be, {} events contradict others",
        report.flag_count
    );
    for ((kind, place), left) in &report.left {
        println!("left: {} {} of {place}, {} bytes", left.count, kind.name(), left.bytes);
    }
}

/// Whether all is as it should be: no growth and nothing left, or just the leak that was planted.
fn judge(grew: bool, report: &MemoryReport, rounds: usize) -> bool {
    if !cfg!(feature = "planted-leak") {
        let is_well = !grew && report.is_clean();
        println!("{}", if is_well { "no leak" } else { "memory leaks" });
        return is_well;
    }
    let (kind, file) = PLANTED;
    let named = report
        .left
        .iter()
        .all(|((found, place), left)| *found == kind && place.starts_with(file) && left.count >= rounds as u64);
    let is_found = grew && named && report.left.len() == 1 && report.flag_count == 0;
    println!(
        "the planted leak was {}",
        if is_found {
            "found, by growth and by name"
        } else {
            "NOT found"
        }
    );
    is_found
}
