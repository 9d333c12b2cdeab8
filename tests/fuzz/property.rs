//! A short run of the fuzz targets' entries inside the unit tests: every file of a corpus, and changes of them that are
//! the same each time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use keymill_reference::Numbers;

type Entry = fn(&[u8]) -> Result<bool, String>;

/// More of a processor's time than any entry may take for the small inputs here.
const PATIENCE: Duration = Duration::from_secs(5);

/// What an entry may allocate at a time: so much, and so much more for each byte of its input.
#[derive(Clone, Copy)]
pub struct Allowance {
    pub base_bytes: u64,
    pub per_byte: u64,
}

/// Runs one entry over its corpus and `cases` changes of it.
pub fn withstands((name, entry): (&str, Entry), allowance: Allowance, cases: u64) {
    let corpus = corpus(name);
    let mut is_read = false;
    for (path, content) in &corpus {
        is_read |= check(
            entry,
            allowance,
            content,
            &format!("{name}, corpus file {}", path.display()),
        );
    }
    assert!(
        is_read,
        "{name}: nothing of the corpus is read, so that no promise is tried"
    );
    for seed in 0..cases {
        let mut numbers = Numbers(seed.wrapping_mul(0x0a07_61d6_478b_d642));
        let input = changed(&corpus, &mut numbers);
        check(entry, allowance, &input, &format!("{name}, seed {seed}"));
    }
}

fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    let read = |path: PathBuf| {
        let content = std::fs::read(&path).unwrap();
        (path, content)
    };
    files.into_iter().map(read).collect()
}

/// Runs an entry, and gives whether it read its input.
fn check(entry: Entry, allowance: Allowance, input: &[u8], what: &str) -> bool {
    let shown = || format!("{what}: {} bytes {}", input.len(), hex::encode(input));
    let begun = own_time();
    let mut outcome = None;
    let measured = allocation_counter::measure(|| {
        outcome = Some(catch_unwind(AssertUnwindSafe(|| entry(input))));
    });
    let is_read = match outcome {
        Some(Ok(Ok(is_read))) => is_read,
        Some(Ok(Err(broken))) => panic!("{}: {broken}", shown()),
        _ => panic!("{}: it panicked", shown()),
    };
    let taken = own_time() - begun;
    assert!(taken < PATIENCE, "{}: {taken:?}", shown());
    let allowed = allowance.base_bytes + allowance.per_byte * input.len() as u64;
    assert!(
        measured.bytes_max <= allowed,
        "{}: {} bytes were allocated, {allowed} are allowed",
        shown(),
        measured.bytes_max
    );
    is_read
}

/// What this thread had of a processor, whatever else the machine was doing.
fn own_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Bytes that matter to one form or another: signs, ends, and the marks of bincode's longer integers.
const TELLING: [u8; 16] = [
    0, 1, 4, 0x7f, 0x80, 0xff, 251, 252, 253, 254, b'\n', b'"', b'=', b'-', b'0', b'^',
];

fn changed(corpus: &[(PathBuf, Vec<u8>)], numbers: &mut Numbers) -> Vec<u8> {
    if numbers.below(8) == 0 {
        return (0..numbers.below(300)).map(|_| numbers.next() as u8).collect();
    }
    let mut bytes = pick(corpus, numbers).to_vec();
    for _ in 0..=numbers.below(3) {
        change(&mut bytes, corpus, numbers);
    }
    bytes
}

fn pick<'a>(corpus: &'a [(PathBuf, Vec<u8>)], numbers: &mut Numbers) -> &'a [u8] {
    &corpus[numbers.below(corpus.len() as u64) as usize].1
}

fn change(bytes: &mut Vec<u8>, corpus: &[(PathBuf, Vec<u8>)], numbers: &mut Numbers) {
    let at = numbers.below(bytes.len() as u64 + 1) as usize;
    match numbers.below(7) {
        0 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
        1 if at < bytes.len() => bytes[at] = TELLING[numbers.below(16) as usize],
        // Cut.
        2 => bytes.truncate(at),
        // Extend.
        3 => bytes.extend((0..numbers.below(40)).map(|_| numbers.next() as u8)),
        // Insert.
        4 => bytes.insert(at, TELLING[numbers.below(16) as usize]),
        // Splice.
        5 => {
            let other = pick(corpus, numbers);
            let from = numbers.below(other.len() as u64 + 1) as usize;
            bytes.truncate(at);
            bytes.extend(&other[from..]);
        }
        // A length that nothing follows.
        _ => {
            let end = bytes.len().min(at + 9);
            let mut length = vec![251 + numbers.below(3) as u8];
            length.extend((numbers.next() >> numbers.below(64)).to_le_bytes());
            bytes.splice(at..end, length);
        }
    }
}
