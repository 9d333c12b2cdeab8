//! Calls that fail in the real program: strace makes one call of a run fail, one after the other.
//!
//! A first run is only recorded. Each call in it on a file of the key, by its name and its number within its thread, is
//! a point; a case is a point and an error. The tests try some cases of each call, `tools/fault-sweep` as many as it is
//! told.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use super::fixtures::{LONG, SEED, SMALL_GROUPS, TINY, stopped_key};
use super::program::{Outcome, Place};
use crate::layers_on_disk::layer_files;
use crate::skip::skip;
use keymill_reference::leanvm::Variant;

/// The calls, by the name that strace knows them by, and by those that messages have.
pub const CALLS: [(&str, &[&str]); 22] = [
    ("access", &["access"]),
    ("fallocate", &["fallocate"]),
    ("fdatasync", &["fdatasync"]),
    ("flock", &["flock"]),
    ("fsync", &["fsync"]),
    ("ftruncate", &["ftruncate"]),
    ("getdents64", &["readdir"]),
    ("linkat", &["linkat"]),
    ("lseek", &["lseek"]),
    // With the advice the mapping is made.
    ("madvise", &["madvise", "mmap"]),
    ("mkdir", &["mkdir"]),
    ("mmap", &["mmap"]),
    ("msync", &["msync"]),
    // Reading a file or a directory begins with opening it.
    ("openat", &["open", "read"]),
    ("pread64", &["pread"]),
    ("pwrite64", &["pwrite"]),
    ("read", &["read"]),
    ("rename", &["rename"]),
    ("renameat", &["rename"]),
    // Which the standard library and RocksDB use for several purposes.
    ("statx", &[""]),
    ("unlink", &["unlink"]),
    ("write", &["write"]),
];
/// Those that can find the disk full.
const ALLOCATING: [&str; 12] = [
    "fallocate",
    "fdatasync",
    "fsync",
    "ftruncate",
    "linkat",
    "mkdir",
    "msync",
    "openat",
    "pwrite64",
    "rename",
    "renameat",
    "write",
];
const SYNCS: [&str; 3] = ["fdatasync", "fsync", "msync"];
/// Cases of each call in the tests.
const CASES_A_CALL: usize = 2;

/// Runs a command on a key in `key` under strace: on a copy of one that was begun, or on none. Gives what strace wrote, or
/// nothing where it does not work.
pub fn traced(
    place: &Place,
    begun: Option<&Path>,
    environment: &[(&str, &str)],
    line: &str,
    flags: &[&str],
) -> Option<(Outcome, String)> {
    let (key, log) = (place.path("key"), place.path("log"));
    let _ = fs::remove_dir_all(&key);
    let _ = fs::remove_file(&log);
    if let Some(begun) = begun {
        let copied = Command::new("cp").arg("-a").arg(begun).arg(&key).status().unwrap();
        assert!(copied.success());
    }
    let names: Vec<_> = CALLS.iter().map(|(name, _)| *name).collect();
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "--seccomp-bpf", "-qq", "-y", "-e", "signal=none", "-o"])
        .arg(&log)
        .args(["-e", &format!("trace={}", names.join(","))])
        .args(flags);
    let outcome = place.run_under(strace, environment, line)?;
    Some((outcome, fs::read_to_string(log).ok()?))
}

/// A job in which calls fail.
struct Job {
    place: Place,
    line: String,
    /// A key that was begun before, from which each run goes on.
    begun: Option<PathBuf>,
    public_key: String,
    layers: BTreeMap<String, Vec<u8>>,
}

/// A call of the recorded run on a file of the key.
struct Point {
    call: usize,
    /// Which of the calls of this name in its thread, from 1 up.
    number: usize,
}

impl Job {
    fn new(place: Place, scheme: &str, epochs: &str, begun: Option<PathBuf>) -> Self {
        place.file("seed", SEED);
        let key = place.path("key");
        // By its whole name, so that it can be found in what strace writes.
        let line = format!(
            "keygen {} --scheme {scheme} --epochs {epochs} --seed-file seed --threads 1 --progress none",
            key.display()
        );
        let whole = line.replace("/key ", "/whole ");
        let public_key = place.run_with(&SMALL_GROUPS, &whole).exits(0).line();
        let layers = layer_files(&place.path("whole"));
        Self {
            place,
            line,
            begun,
            public_key,
            layers,
        }
    }

    /// Runs the job from its beginning under strace.
    fn traced(&self, flags: &[&str]) -> Option<(Outcome, String)> {
        traced(&self.place, self.begun.as_deref(), &SMALL_GROUPS, &self.line, flags)
    }

    /// What strace writes of a run that nothing disturbs.
    fn recorded(&self) -> Option<String> {
        let recorded = self.traced(&[]).filter(|(outcome, _)| outcome.code == Some(0));
        if recorded.is_none() {
            skip("strace is not installed, or may not trace here (Debian: strace)");
        }
        recorded.map(|(_, log)| log)
    }

    /// The calls on files of the key in a run that nothing disturbs.
    fn points(&self) -> Option<Vec<Point>> {
        let log = self.recorded()?;
        let root = self.place.path("").display().to_string();
        let root = root.trim_end_matches('/');
        let working_directory = format!("AT_FDCWD<{root}>");
        let seed = self.place.path("seed").display().to_string();
        let mut numbers = BTreeMap::<(&str, usize), usize>::new();
        let mut points = Vec::new();
        for line in log.lines() {
            let Some((thread, call)) = begun_call(line) else {
                continue;
            };
            let number = numbers.entry((thread, call)).or_default();
            *number += 1;
            let ours =
                line.replace(&working_directory, "").contains(root) || ["msync", "madvise"].contains(&CALLS[call].0);
            if ours && !line.contains(&seed) {
                points.push(Point { call, number: *number });
            }
        }
        Some(points)
    }

    /// Lets one call fail, and looks at all that has to hold then. Gives the exit code, and whether the call was met: of threads
    /// of RocksDB's own, another one can have made it this time.
    fn case(&self, point: &Point, error: &str) -> (i32, bool) {
        let (name, shown) = CALLS[point.call];
        let inject = format!("inject={name}:error={error}:when={}", point.number);
        let (outcome, log) = self.traced(&["-e", &inject]).unwrap();
        let lines = whole_lines(&log);
        // Mostly one; the calls of other threads are counted by themselves.
        let injected: Vec<_> = (0..lines.len())
            .filter(|&at| lines[at].contains("(INJECTED)"))
            .collect();
        let shown_lines: Vec<_> = injected.iter().map(|&at| lines[at].as_str()).collect();
        let all = format!("{inject}\n{}\n{}", shown_lines.join("\n"), outcome.all());
        let code = outcome.code.unwrap_or_else(|| panic!("a signal\n{all}"));
        assert!(code == 0 || code == 4, "{all}");
        assert!(!outcome.stderr.contains("panicked"), "{all}");
        if code == 4 {
            let store = outcome.stderr.contains("of the checkpoint store '") && outcome.stderr.contains("/key/state'");
            let of_ours = shown.iter().any(|call| outcome.stderr.contains(call));
            let named = shown_lines.iter().any(|line| names_file(&outcome.stderr, line, name));
            assert!(store || of_ours && named, "{all}");
            // RocksDB's binding makes a directory itself, and words it otherwise; and RocksDB does not say why a first open of
            // CURRENT failed.
            let is_unsaid = name == "mkdir" || outcome.stderr.contains("Direct I/O");
            if error == "ENOSPC" && !is_unsaid {
                assert!(outcome.stderr.contains("free some space"), "{all}");
            }
        }
        // Whatever is said to have been done is done, without another run to mend it.
        if code == 0 {
            self.is_whole(&outcome, &all);
        }
        for &at in injected.iter().filter(|_| SYNCS.contains(&name)) {
            assert_eq!(code, 4, "a failed sync is passed over\n{all}");
            let again = lines[at + 1..].iter().find(|later| same_sync(later, &lines[at], name));
            assert_eq!(again, None, "a failed sync is repeated\n{all}");
        }
        self.next_run_finishes(&all);
        (code, !injected.is_empty())
    }

    fn next_run_finishes(&self, all: &str) {
        let rerun = self.place.run_with(&SMALL_GROUPS, &self.line);
        assert_eq!(rerun.code, Some(0), "{all}\n-- and afterwards\n{}", rerun.all());
        self.is_whole(&rerun, all);
    }

    /// The key is finished, as a run has said that ended with 0.
    fn is_whole(&self, run: &Outcome, all: &str) {
        assert_eq!(run.line(), self.public_key, "{all}");
        assert!(
            layer_files(&self.place.path("key")) == self.layers,
            "the layer files differ\n{all}"
        );
        let check = self.place.run("check key");
        assert_eq!(check.code, Some(0), "{all}\n-- and afterwards\n{}", check.all());
    }

    /// Tries cases of every call that the job makes.
    fn sweep(&self) {
        let Some(points) = self.points() else {
            return;
        };
        let cases_a_call = match std::env::var("FAULT_SWEEP_CASES").as_deref() {
            Ok("all") => usize::MAX,
            Ok(number) => number.parse().unwrap(),
            Err(_) => CASES_A_CALL,
        };
        let (mut cases_tried, mut cases_met) = (0, 0);
        for (call, (name, _)) in CALLS.iter().enumerate() {
            let errors: &[_] = if ALLOCATING.contains(name) {
                &["EIO", "ENOSPC", "EINTR"]
            } else {
                &["EIO", "EINTR"]
            };
            let of_call: Vec<_> = points.iter().filter(|point| point.call == call).collect();
            let cases = of_call.len() * errors.len();
            let tried = cases.min(cases_a_call);
            let mut codes = BTreeMap::<i32, u64>::new();
            for number in 0..tried {
                // Spread over the run, each time with the next error.
                let (point, error) = if tried == cases {
                    (number / errors.len(), number)
                } else {
                    (number * of_call.len() / tried, number + call)
                };
                let (code, is_met) = self.case(of_call[point], errors[error % errors.len()]);
                *codes.entry(code).or_default() += 1;
                cases_tried += 1;
                cases_met += usize::from(is_met);
            }
            let [harmless, ended] = [0, 4].map(|code| codes.get(&code).copied().unwrap_or_default());
            println!("{name:10} {cases:4} cases, {tried:4} tried: {ended:4} exit 4, {harmless:4} harmless or repeated");
        }
        assert!(points.len() > 100, "{}", points.len());
        assert!(
            10 * cases_met >= 9 * cases_tried,
            "{cases_met} calls of {cases_tried} failed"
        );
    }
}

/// The thread and the call of a line that begins one.
pub fn begun_call(line: &str) -> Option<(&str, usize)> {
    let (thread, rest) = line.split_once(' ')?;
    let (name, _) = rest.trim_start().split_once('(')?;
    let call = CALLS.iter().position(|&(call, _)| call == name)?;
    Some((thread, call))
}

/// The lines of a log, each with the beginning that another thread has cut it off from.
fn whole_lines(log: &str) -> Vec<String> {
    let mut begun = BTreeMap::new();
    let mut lines = Vec::new();
    for line in log.lines() {
        let (thread, rest) = line.split_once(' ').unwrap_or((line, ""));
        if let Some((beginning, _)) = line.split_once(" <unfinished ...>") {
            begun.insert(thread, beginning);
            continue;
        }
        let end = rest
            .trim_start()
            .strip_prefix("<... ")
            .and_then(|rest| rest.split_once(" resumed>"));
        lines.push(match end {
            Some((_, end)) => format!("{}{end}", begun.remove(thread).unwrap_or_default()),
            None => line.to_owned(),
        });
    }
    lines
}

/// Whether a message names the file that an injected line is about.
fn names_file(message: &str, line: &str, call: &str) -> bool {
    if ["msync", "madvise"].contains(&call) {
        return message.contains("/layers/");
    }
    // A draft is named by the file that it is to become, whether it has a name of its own or none.
    let of_draft = [".keymill-", "O_TMPFILE", "(deleted)", " linkat("];
    if of_draft.iter().any(|word| line.contains(word)) {
        let replaced = ["/manifest.toml'", "/secret'", "/ledger.mark'"];
        return replaced.iter().any(|name| message.contains(name));
    }
    // A name may be relative to the directory before it.
    let name = line.split('"').nth(1).unwrap_or_default();
    let mut paths = line.split(['<', '>', '"']).filter(|part| part.starts_with('/'));
    paths.any(|path| message.contains(&format!("'{path}'")) || message.contains(&format!("'{path}/{name}'")))
}

/// Whether a line is a sync of the file whose sync failed. Of mappings strace shows only addresses, so there any counts.
fn same_sync(line: &str, failed: &str, call: &str) -> bool {
    let name = |line: &str| {
        let call = format!(" {call}(");
        let (_, rest) = line.split_once(&call)?;
        Some(rest.split(['<', '>']).nth(1).unwrap_or_default().to_owned())
    };
    match (name(line), name(failed)) {
        (Some(_), _) if call == "msync" => true,
        (Some(later), Some(failed)) => later == failed,
        _ => false,
    }
}

/// RocksDB makes them in threads of its own, and does not say what became of the last one.
#[test]
fn every_table_of_the_store_that_finds_no_room_is_an_error_with_advice_and_the_next_run_finishes() {
    let job = Job::new(Place::new(), LONG, "3072", None);
    let Some(log) = job.recorded() else {
        return;
    };
    let made = |line: &str| {
        let path = line.split('"').nth(1)?;
        (line.contains(" openat(") && line.contains("O_CREAT") && path.ends_with(".sst")).then(|| path.to_owned())
    };
    let tables: Vec<_> = log.lines().filter_map(made).collect();
    assert!(tables.len() > 3, "{tables:?}");
    let mut ended_early = 0;
    for table in tables {
        for call in ["openat", "write", "fdatasync"] {
            let inject = format!("inject={call}:error=ENOSPC:when=1");
            let (outcome, _) = job.traced(&["-P", &table, "-e", &inject]).unwrap();
            let all = format!("{inject} on {table}\n{}", outcome.all());
            assert!(matches!(outcome.code, Some(0 | 4)), "{all}");
            if outcome.code == Some(0) {
                job.is_whole(&outcome, &all);
            } else {
                ended_early += 1;
                let words = ["of the checkpoint store '", "/key/state'", "free some space"];
                assert!(words.iter().all(|word| outcome.stderr.contains(word)), "{all}");
            }
            job.next_run_finishes(&all);
        }
    }
    assert!(ended_early > 3, "{ended_early}");
}

#[test]
fn a_call_that_fails_in_a_small_job_is_named_and_the_next_run_finishes() {
    Job::new(Place::new(), TINY, "256", None).sweep();
}

#[test]
fn a_call_that_fails_in_a_job_of_several_batches_is_named_and_the_next_run_finishes() {
    Job::new(Place::new(), LONG, "3072", None).sweep();
}

/// To the end of the lifetime, with a first batch that is not whole.
#[test]
fn a_call_that_fails_in_a_job_of_leanvm_is_named_and_the_next_run_finishes() {
    let interval = "3000 --activation-epoch 4294964296 --trim 2";
    Job::new(Place::new(), Variant::S2.id(), interval, None).sweep();
}

#[test]
fn a_call_that_fails_in_a_resumed_job_is_named_and_the_next_run_finishes() {
    let place = Place::new();
    stopped_key(&place, "2^12", Signal::KILL);
    let begun = place.path("begun");
    fs::rename(place.path("key"), &begun).unwrap();
    Job::new(place, LONG, "2^12", Some(begun)).sweep();
}
