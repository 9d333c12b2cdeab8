//! Paths of one key: copied, checked and streamed while its files are cached, and read cold.
//!
//! `cargo bench --bench path -- [SCHEME] [--key DIR]`; without a key one of 2^17 epochs is made first.
//!
//! Bounds, measured in turn: for a path that is copied, one copy of as many bytes from memory that is cached; for one that
//! is checked, a permutation a level, each of which waits for the one before; for one that is streamed, one permutation.

mod measure;

use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use keymill::xmss::hash::bound;
use keymill::{Epoch, JobOptions, KeyRequest, KeygenJob, MemoryRequest, NoProgress, PathReader, Scheme, Secret};
use measure::{median, processor_us};
use rustix::fs::{Advice, fadvise};

const EPOCHS: u64 = 1 << 17;
const ROUNDS: usize = 25;
/// Paths a round.
const PATHS: u64 = 2000;
const COLD_PATHS: usize = 60;

fn main() -> Result<(), Box<dyn Error>> {
    let (scheme, key) = arguments()?;
    let parent = tempfile::tempdir()?;
    let directory = match key {
        Some(directory) => directory,
        None => make_key(scheme, &parent.path().join("key"))?,
    };
    let reader = PathReader::open(&directory)?;
    println!(
        "{}: {} epochs; medians of {ROUNDS} alternating rounds of {PATHS} paths, one core",
        reader.manifest().scheme().id(),
        reader.manifest().plan().stored().count()
    );
    warm(&reader)?;
    drop(reader);
    cold(&directory)
}

fn arguments() -> Result<(&'static Scheme, Option<PathBuf>), Box<dyn Error>> {
    let (mut scheme, mut key) = (Scheme::by_id("leansig-p2-l32-top-v64-w8")?, None);
    let mut rest = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--key" => key = Some(PathBuf::from(rest.next().ok_or("--key needs a directory")?)),
            id => scheme = Scheme::by_id(id)?,
        }
    }
    Ok((scheme, key))
}

fn make_key(scheme: &'static Scheme, directory: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let request = KeyRequest::new(scheme)
        .epochs(EPOCHS.min(scheme.lifetime()))
        .secret(Secret::Seed([7; 32]));
    let options = JobOptions::DEFAULT
        .threads(0)
        .group_batches(8)
        .memory(MemoryRequest::NoLimit);
    KeygenJob::builder(directory)
        .request(request)
        .options(options)
        .open()?
        .run(&NoProgress)?;
    Ok(directory.to_owned())
}

/// Epochs that jump about in a key, the same in each run (the constants of Knuth's MMIX generator).
fn scattered(reader: &PathReader) -> impl Iterator<Item = Epoch> {
    let stored = reader.manifest().plan().stored();
    let mut state = 1_u64;
    std::iter::repeat_with(move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Epoch((stored.start + (state >> 32) % stored.count()) as u32)
    })
}

fn warm(reader: &PathReader) -> Result<(), Box<dyn Error>> {
    let scheme = reader.manifest().scheme();
    let start = reader.manifest().plan().stored().start;
    let height = usize::from(scheme.log_lifetime());
    let source = vec![7_u8; (height + 1) * scheme.digest_bytes()];
    let mut copied = vec![0; source.len()];
    let mut times_us: [Vec<f64>; 6] = Default::default();
    for _ in 0..ROUNDS {
        let mut timed = |number: usize, work: &mut dyn FnMut() -> Result<(), Box<dyn Error>>| {
            let (time_us, worked) = processor_us(&mut *work);
            times_us[number].push(time_us / PATHS as f64);
            worked
        };
        let epochs: Vec<Epoch> = scattered(reader).take(PATHS as usize).collect();
        timed(0, &mut || {
            for &epoch in &epochs {
                black_box(reader.unchecked_path(epoch)?);
            }
            Ok(())
        })?;
        timed(1, &mut || {
            for _ in 0..PATHS {
                copied.copy_from_slice(black_box(&source));
                black_box(&mut copied);
            }
            Ok(())
        })?;
        timed(2, &mut || {
            for &epoch in &epochs {
                black_box(reader.path(epoch)?);
            }
            Ok(())
        })?;
        timed(3, &mut || {
            bound::run_serial(scheme, height * PATHS as usize);
            Ok(())
        })?;
        timed(4, &mut || {
            let mut paths = reader.stream();
            for number in start..start + PATHS {
                black_box(paths.path(reader.epoch(number)?)?);
            }
            Ok(())
        })?;
        timed(5, &mut || {
            bound::run_serial(scheme, PATHS as usize);
            Ok(())
        })?;
    }
    let medians = times_us.map(median);
    println!("{:<28} {:>9} {:>9} {:>7}", "warm", "path us", "bound us", "ratio");
    for (name, number) in [
        ("copied, any epoch", 0),
        ("checked, any epoch", 2),
        ("streamed, in order", 4),
    ] {
        let (path, bound) = (medians[number], medians[number + 1]);
        println!("{name:<28} {path:>9.3} {bound:>9.3} {:>7.2}", path / bound);
    }
    Ok(())
}

/// A reader that is opened with nothing in the page cache, and its first path, again and again.
fn cold(directory: &Path) -> Result<(), Box<dyn Error>> {
    let (mut open_pages, mut path_pages, mut path_us) = (Vec::new(), Vec::new(), Vec::new());
    let epochs: Vec<Epoch> = scattered(&PathReader::open(directory)?).take(COLD_PATHS).collect();
    for epoch in epochs {
        drop_cached(directory)?;
        let before = major_faults()?;
        let reader = PathReader::open(directory)?;
        let opened = major_faults()?;
        let started = Instant::now();
        black_box(reader.unchecked_path(epoch)?);
        path_us.push(started.elapsed().as_secs_f64() * 1e6);
        path_pages.push(major_faults()? - opened);
        open_pages.push(opened - before);
    }
    if path_pages.iter().all(|&pages| pages == 0.0) {
        println!("cold: nothing was read; the key is in memory, on tmpfs for example (--key takes one on a disk)");
        return Ok(());
    }
    let most = |pages: Vec<f64>| pages.into_iter().fold(0.0, f64::max);
    println!(
        "cold, any epoch: at most {} pages to open the key, then at most {} a path in {:.0} us (median of {COLD_PATHS})",
        most(open_pages),
        most(path_pages),
        median(path_us)
    );
    Ok(())
}

/// Drops the clean pages of the layer files from the page cache; nobody must have them mapped.
fn drop_cached(directory: &Path) -> Result<(), Box<dyn Error>> {
    for entry in std::fs::read_dir(directory.join("layers"))? {
        fadvise(&File::open(entry?.path())?, 0, None, Advice::DontNeed)?;
    }
    Ok(())
}

/// Page faults of this process that waited for a disk: field 12 of /proc/self/stat (proc(5)).
fn major_faults() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    Ok(after_name.split_whitespace().nth(9).unwrap_or_default().parse()?)
}
