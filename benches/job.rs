//! A job, from an empty directory to a sealed key, over its own kernel: leaves and the tree of each batch on as many
//! threads, in memory and with nothing else. Kernel and job take turns.
//!
//! `cargo bench --bench job -- [SCHEME] [--epochs 2^N] [--rounds R] [--group-batches G] [--directory DIR]`
//!
//! `wall` compares rates, and is what a user sees. `CPU` compares processor time, and hardly depends on what else the
//! machine does meanwhile; it leaves out the kernel threads of the disk, and time that nothing runs in.

#[expect(dead_code, reason = "each bench takes what it needs")]
mod measure;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use keymill::plan::NodeIndex;
use keymill::xmss::arena::{Arena, ArenaOverflow};
use keymill::xmss::hash::{Kernel, PrfKey};
use keymill::{
    Epoch, JobOptions, KeyRequest, KeygenJob, Level, MemoryRequest, NoProgress, Parameter, Plan, Scheme, Secret,
};
use measure::median;
use rustix::time::{ClockId, clock_gettime};

/// Levels that a batch folds, as the job has them.
const BATCH_LEVELS: u8 = 10;
/// The kernel runs before and after each job for this part of its epochs.
const KERNEL_SHARE: u64 = 4;

struct Arguments {
    scheme: &'static Scheme,
    epochs: u64,
    rounds: usize,
    group_batches: usize,
    directory: PathBuf,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = arguments()?;
    println!(
        "{}: {} epochs a job, {} rounds, medians; groups of {}; in {}",
        arguments.scheme.id(),
        arguments.epochs,
        arguments.rounds,
        arguments.group_batches,
        arguments.directory.display()
    );
    println!(
        "{:>7} {:>12} {:>12} {:>11} {:>10}",
        "threads", "job /s", "kernel /s", "wall ratio", "CPU ratio"
    );
    let mut rates = Vec::new();
    for threads in [1, 2] {
        let rounds = (0..arguments.rounds).map(|_| round(&arguments, threads));
        let rounds = rounds.collect::<Result<Vec<_>, _>>()?;
        let of = |value: fn(&Round) -> f64| median(rounds.iter().map(value).collect());
        let rate = arguments.epochs as f64 / of(|round| round.job.wall_s);
        println!(
            "{threads:>7} {rate:>12.0} {:>12.0} {:>11.4} {:>10.4}",
            arguments.epochs as f64 / of(|round| round.kernel.wall_s),
            of(|round| round.kernel.wall_s / round.job.wall_s),
            of(|round| round.kernel.cpu_s / round.job.cpu_s),
        );
        rates.push(rate);
    }
    println!("two threads over one: {:.3}", rates[1] / rates[0]);
    Ok(())
}

/// Time that a number of epochs took.
#[derive(Clone, Copy)]
struct Cost {
    wall_s: f64,
    cpu_s: f64,
}

struct Round {
    job: Cost,
    kernel: Cost,
}

fn round(arguments: &Arguments, threads: usize) -> Result<Round, Box<dyn Error>> {
    let share = (arguments.epochs / KERNEL_SHARE)
        .max(1)
        .next_multiple_of(1 << BATCH_LEVELS);
    let before = measured(|| run_kernel(arguments.scheme, threads, share))?;
    let job = measured(|| run_job(arguments, threads))?;
    let after = measured(|| run_kernel(arguments.scheme, threads, share))?;
    let scaled = |of: fn(&Cost) -> f64| (of(&before) + of(&after)) / 2.0 * arguments.epochs as f64 / share as f64;
    let kernel = Cost {
        wall_s: scaled(|cost| cost.wall_s),
        cpu_s: scaled(|cost| cost.cpu_s),
    };
    Ok(Round { job, kernel })
}

fn measured(work: impl FnOnce() -> Result<(), Box<dyn Error>>) -> Result<Cost, Box<dyn Error>> {
    let (started, cpu_before_s) = (Instant::now(), cpu_s());
    work()?;
    Ok(Cost {
        wall_s: started.elapsed().as_secs_f64(),
        cpu_s: cpu_s() - cpu_before_s,
    })
}

/// Processor time of this process, of all its threads.
fn cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn run_job(arguments: &Arguments, threads: usize) -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir_in(&arguments.directory)?;
    let request = KeyRequest::new(arguments.scheme)
        .epochs(arguments.epochs)
        .secret(Secret::Seed([7; 32]));
    let options = JobOptions::DEFAULT
        .threads(threads)
        .group_batches(arguments.group_batches)
        .memory(MemoryRequest::NoLimit);
    let key = directory.path().join("key");
    let job = KeygenJob::builder(&key).request(request).options(options).open()?;
    job.run(&NoProgress)?;
    Ok(())
}

/// Whole batches, each computed by one thread.
fn run_kernel(scheme: &'static Scheme, threads: usize, epochs: u64) -> Result<(), Box<dyn Error>> {
    let kernel = scheme.kernel(&Parameter::of(&[1; 20]));
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let mut computing = Vec::new();
        for _ in 0..threads {
            computing.push(scope.spawn(|| {
                let mut nodes = Vec::new();
                let mut arena = Arena::new(scheme.scratch_bytes());
                loop {
                    let batch = next.fetch_add(1, Ordering::Relaxed);
                    if batch << BATCH_LEVELS >= epochs {
                        return Ok(());
                    }
                    compute_batch(kernel.as_ref(), scheme.digest_bytes(), batch, &mut nodes, &arena)?;
                    arena.reset();
                }
            }));
        }
        let ends = computing
            .into_iter()
            .map(|thread| thread.join().map_err(|_| "a thread panicked"));
        ends.collect::<Result<Vec<Result<(), ArenaOverflow>>, _>>()
    })?
    .into_iter()
    .collect::<Result<(), ArenaOverflow>>()?;
    Ok(())
}

fn compute_batch(
    kernel: &dyn Kernel,
    digest_bytes: usize,
    batch: u64,
    nodes: &mut Vec<u8>,
    arena: &Arena,
) -> Result<(), ArenaOverflow> {
    nodes.resize(digest_bytes << BATCH_LEVELS, 0);
    let first = batch << BATCH_LEVELS;
    kernel.leaves(&PrfKey::new([7; 32]), Epoch(first as u32), nodes, arena)?;
    let mut parents = Vec::new();
    for level in 1..=BATCH_LEVELS {
        parents.resize(nodes.len() / 2, 0);
        kernel.parents(Level(level), NodeIndex(first >> level), nodes, &mut parents);
        std::mem::swap(nodes, &mut parents);
    }
    Ok(())
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut parsed = Arguments {
        scheme: Scheme::by_id("leansig-p2-l32-top-v64-w8")?,
        epochs: 1 << 18,
        rounds: 3,
        group_batches: 8,
        directory: std::env::temp_dir(),
    };
    // Cargo adds --bench.
    let mut rest = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--epochs" => parsed.epochs = count(&value()?)?,
            "--rounds" => parsed.rounds = value()?.parse()?,
            "--group-batches" => parsed.group_batches = value()?.parse()?,
            "--directory" => parsed.directory = Path::new(&value()?).to_owned(),
            id => parsed.scheme = Scheme::by_id(id)?,
        }
    }
    // As the key's interval is cut and widened.
    let epochs = parsed.epochs.min(parsed.scheme.lifetime());
    parsed.epochs = Plan::new(parsed.scheme, 0, epochs)?.stored().count();
    Ok(parsed)
}

fn count(text: &str) -> Result<u64, std::num::ParseIntError> {
    match text.split_once('^') {
        Some((base, exponent)) => Ok(base.parse::<u64>()?.pow(exponent.parse()?)),
        None => text.parse(),
    }
}
