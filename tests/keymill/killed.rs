//! kill -9 at random moments, then the same command again: in the end the same bytes.
//!
//! The loop of kills is one: the test lets it go on for some 200 kills, `tools/crash-loop` for as many as it is told.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::layers_on_disk::layer_files;
use keymill_reference::Numbers;

const POSEIDON: &str = "leansig-p2-l18-top-v64-w8";
const LEANVM: &str = "leanvm-blake2s-l32-ts-v42-w8";
/// First epoch, number of epochs and trim of the keys; the second one begins and ends within a batch.
type Intervals = [(&'static str, &'static str, &'static str); 2];

/// As many as take some tenths of a second.
fn intervals(scheme: &str) -> Intervals {
    if scheme.starts_with("leanvm-") {
        // To the end of the lifetime, and across its middle with fillers at every level.
        [("4294934528", "2^15", "4"), ("2147470001", "30000", "0")]
    } else {
        [("0", "2^13", "0"), ("3000", "5000", "0")]
    }
}

/// A key that so many kills have not let finish is finished without another one.
const KILLS_A_KEY_MAX: u32 = 25;

fn keymill(arguments: &[&str], directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keymill"));
    let names = std::env::vars_os().map(|(name, _)| name);
    for name in names.filter(|name| name.to_string_lossy().starts_with("KEYMILL_")) {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .arg(directory)
        .env("HOME", directory.parent().unwrap())
        .env_remove("XDG_CONFIG_HOME")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What must not depend on kills.
#[derive(PartialEq, Eq)]
struct Key {
    public_key: serde_json::Value,
    manifest: Vec<u8>,
    layers: BTreeMap<String, Vec<u8>>,
    /// What `check` says, which looks at every record and every node.
    check: serde_json::Value,
}

impl Key {
    fn read(directory: &Path, public_key: serde_json::Value) -> Result<Self, String> {
        let check = keymill(&["check", "--json"], directory).output().unwrap();
        let told = serde_json::from_slice(&check.stdout).unwrap_or_default();
        if !check.status.success() {
            return Err(format!("check finds damage: {told}"));
        }
        Ok(Self {
            public_key,
            manifest: std::fs::read(directory.join("manifest.toml")).unwrap(),
            layers: layer_files(directory),
            check: told,
        })
    }

    /// The first thing in which two keys differ.
    fn difference(&self, other: &Self) -> Option<String> {
        let layer = |(name, bytes): (&String, &Vec<u8>)| other.layers.get(name) != Some(bytes);
        if let Some((name, _)) = self.layers.iter().find(|&(name, bytes)| layer((name, bytes))) {
            return Some(format!("layers/{name} differs"));
        }
        let parts = [
            ("the number of layer files", self.layers.len() == other.layers.len()),
            ("the public key", self.public_key == other.public_key),
            ("the manifest", self.manifest == other.manifest),
            ("what check says of the records", self.check == other.check),
        ];
        let differing = parts.into_iter().find(|(_, same)| !same);
        differing.map(|(what, _)| format!("{what} differs"))
    }
}

/// How a key stood when its job was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The directory was not there, or not created completely.
    Creation,
    /// Some batches were not committed.
    Batches,
    /// All batches were committed: it was checked, folded or sealed.
    Crown,
    /// It was sealed; only the output was missing.
    Sealed,
}

/// The stage of a key, and how many of its batches are committed.
fn stage(directory: &Path) -> Result<(Stage, u64), String> {
    let output = keymill(&["status", "--json"], directory).output().unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    let absent = [
        "there is no key directory",
        "not created completely",
        "no manifest.toml",
    ];
    if absent.iter().any(|message| messages.contains(message)) {
        return Ok((Stage::Creation, 0));
    }
    if !output.status.success() {
        return Err(format!("status fails after the kill: {output:?}"));
    }
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let done = status["batches_done"].as_u64().unwrap();
    Ok(match status["state"].as_str() {
        Some("sealed") => (Stage::Sealed, done),
        _ if status["batches"] == done => (Stage::Crown, done),
        _ => (Stage::Batches, done),
    })
}

/// When a run is killed.
enum Moment {
    /// So long after its start.
    Started(Duration),
    /// So long after its last batch was committed.
    AllCommitted(Duration),
}

impl Moment {
    /// Waits until the moment has come, or the run has ended before it.
    fn wait(&self, directory: &Path, child: &mut Child) {
        let (Self::Started(delay) | Self::AllCommitted(delay)) = self;
        if matches!(self, Self::AllCommitted(_)) {
            let all =
                |status: keymill::audit::KeyStatus| status.batches_done == status.manifest.plan().batches().count();
            while child.try_wait().unwrap().is_none() && !keymill::audit::status(directory).is_ok_and(all) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        std::thread::sleep(*delay);
    }
}

/// What a loop has seen.
#[derive(Default)]
struct Tally {
    kills: u64,
    terminations: u64,
    resumes: u64,
    batches: u64,
    batches_redone: u64,
    keys: u64,
    /// Kills by the stage of the key that they left.
    stages: [u64; 4],
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [creation, batches, crown, sealed] = self.stages;
        writeln!(f, "SIGKILL           {}", self.kills)?;
        writeln!(f, "SIGTERM           {}", self.terminations)?;
        writeln!(
            f,
            "  they left       {creation} directories not created completely, {batches} keys with some batches, {crown} \
             with all but no seal, {sealed} sealed"
        )?;
        writeln!(f, "resumes           {}", self.resumes)?;
        writeln!(f, "keys finished     {}, all with the same bytes", self.keys)?;
        writeln!(f, "batches committed {}", self.batches)?;
        write!(
            f,
            "batches redone    {} (committed before a kill, computed again)",
            self.batches_redone
        )
    }
}

/// Makes keys and kills their jobs, as its seed says.
struct CrashLoop {
    scheme: String,
    intervals: Intervals,
    seed: u64,
    numbers: Numbers,
    parent: PathBuf,
    seed_file: PathBuf,
    /// The keys of these intervals, made without a disturbance.
    whole: Vec<Key>,
    /// How long the last one of them took here.
    whole_us: u64,
    /// One signal of so many is SIGTERM; 0 for none.
    terminate_one_in: u64,
    tally: Tally,
}

impl CrashLoop {
    fn new(scheme: &str, parent: &Path, seed: u64, terminate_one_in: u64) -> Self {
        let seed_file = parent.join("seed");
        std::fs::write(&seed_file, std::array::from_fn::<u8, 32, _>(|at| 0x4b + at as u8)).unwrap();
        let mut crash_loop = Self {
            scheme: scheme.to_owned(),
            intervals: intervals(scheme),
            seed,
            numbers: Numbers(seed),
            parent: parent.to_owned(),
            seed_file,
            whole: Vec::new(),
            whole_us: 0,
            terminate_one_in,
            tally: Tally::default(),
        };
        for number in 0..crash_loop.intervals.len() {
            let directory = parent.join(format!("whole-{number}"));
            let begun = Instant::now();
            let output = crash_loop.keygen(&directory, number, 1, "1").output().unwrap();
            crash_loop.whole_us = begun.elapsed().as_micros() as u64;
            assert!(output.status.success(), "{output:?}");
            let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            crash_loop
                .whole
                .push(Key::read(&directory, told["public_key"].clone()).unwrap());
        }
        crash_loop
    }

    fn keygen(&self, directory: &Path, interval: usize, threads: u64, group_batches: &str) -> Command {
        let (scheme, (first, count, trim)) = (&self.scheme, self.intervals[interval]);
        let line = format!(
            "keygen --json --progress none --scheme {scheme} --activation-epoch {first} --epochs {count} --trim {trim} \
             --threads {threads}"
        );
        let arguments: Vec<_> = line.split(' ').collect();
        let mut command = keymill(&arguments, directory);
        command
            .arg("--seed-file")
            .arg(&self.seed_file)
            .env("KEYMILL_GROUP_BATCHES", group_batches);
        command
    }

    /// Makes keys until there were so many kills.
    fn run(mut self, kills: u64) -> Tally {
        while self.tally.kills < kills {
            let directory = self.parent.join("key");
            if let Err(problem) = self.one_key(&directory) {
                panic!("seed {}, after {} kills: {problem}", self.seed, self.tally.kills);
            }
            self.tally.keys += 1;
            std::fs::remove_dir_all(&directory).unwrap();
        }
        self.tally
    }

    /// Makes one key, killing its job now and then, until it is finished.
    fn one_key(&mut self, directory: &Path) -> Result<(), String> {
        let interval = self.numbers.below(self.intervals.len() as u64) as usize;
        let mut committed = 0;
        let mut runs = 0;
        loop {
            // Mostly groups of one batch, so that there are as many commits as there can be.
            let group_batches = ["1", "1", "3", "auto"][self.numbers.below(4) as usize];
            let threads = 1 + self.numbers.below(2);
            let moment = self.moment();
            let terminate = self.terminate_one_in > 0 && self.numbers.below(self.terminate_one_in) == 0;
            let mut child = self
                .keygen(directory, interval, threads, group_batches)
                .spawn()
                .unwrap();
            runs += 1;
            self.tally.resumes += u64::from(runs > 1);
            if runs <= KILLS_A_KEY_MAX {
                moment.wait(directory, &mut child);
                signal(&mut child, terminate);
            }
            let output = child.wait_with_output().unwrap();
            match output.status.code() {
                Some(0) => return self.finished(directory, interval, committed, &output),
                None => self.tally.kills += 1,
                // SIGTERM, before the program had said what is to become of it.
                Some(130) if terminate => self.tally.terminations += 1,
                _ => return Err(format!("{output:?}")),
            }
            let (stage, now) = stage(directory)?;
            self.tally.stages[stage as usize] += 1;
            self.tally.batches_redone += committed.saturating_sub(now);
            committed = now;
        }
    }

    /// What a run does first (creation, or the check of what is there) is a small part of it, and so are crown and seal,
    /// which are short enough to be missed if they are not aimed at.
    fn moment(&mut self) -> Moment {
        let kind = self.numbers.below(5) as usize;
        let longest_us = self.whole_us / [24, 8, 3, 2, 240][kind];
        let delay = Duration::from_micros(self.numbers.below(longest_us.max(1)));
        match kind {
            4 => Moment::AllCommitted(delay),
            _ => Moment::Started(delay),
        }
    }

    /// Compares a finished key with the one that was made without a disturbance.
    fn finished(&mut self, directory: &Path, interval: usize, committed: u64, output: &Output) -> Result<(), String> {
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).map_err(|_| format!("{output:?}"))?;
        let key = Key::read(directory, told["public_key"].clone())?;
        if let Some(difference) = key.difference(&self.whole[interval]) {
            return Err(difference);
        }
        let batches = key.check["batches_checked"].as_u64().unwrap();
        // Each batch is 1,024 epochs, or fewer at the ends of the interval.
        let computed = told["epochs_computed"].as_u64().unwrap().div_ceil(1024);
        let redone = computed.saturating_sub(batches - committed);
        self.tally.batches += batches;
        self.tally.batches_redone += redone;
        match self.tally.batches_redone {
            0 => Ok(()),
            redone => Err(format!(
                "{redone} batches were committed, and computed again all the same"
            )),
        }
    }
}

/// Kills or terminates a process that may have ended meanwhile.
fn signal(child: &mut Child, terminate: bool) {
    if !terminate {
        child.kill().unwrap();
        return;
    }
    let id = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    // It has not been waited for, so the number is still its own.
    kill_process(id, Signal::TERM).unwrap();
}

fn killed(scheme: &str, kills: u64) -> Tally {
    let parent = tempfile::tempdir().unwrap();
    let tally = CrashLoop::new(scheme, parent.path(), 1, 0).run(kills);
    println!("{tally}");
    tally
}

#[test]
fn jobs_killed_at_200_random_moments_end_with_the_bytes_of_one_that_was_not() {
    let tally = killed(POSEIDON, 200);
    assert!(tally.keys >= 5, "{tally}");
    for stage in [Stage::Creation, Stage::Batches, Stage::Crown] {
        assert!(tally.stages[stage as usize] > 0, "no kill during {stage:?}\n{tally}");
    }
}

#[test]
fn jobs_of_leanvm_killed_at_random_moments_end_with_the_bytes_of_one_that_was_not() {
    let tally = killed(LEANVM, 24);
    assert!(tally.keys > 0 && tally.stages[Stage::Batches as usize] > 4, "{tally}");
}

/// `tools/crash-loop` runs this one, and says in the environment how long and from which seed.
#[test]
#[ignore = "it is as long as CRASH_LOOP_KILLS says; tools/crash-loop runs it"]
fn crash_loop() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let scheme = std::env::var("CRASH_LOOP_SCHEME").unwrap_or(POSEIDON.to_owned());
    let parent = tempfile::tempdir().unwrap();
    let kept = parent.path().to_owned();
    let kills = number("CRASH_LOOP_KILLS").unwrap_or(200);
    let seed = number("CRASH_LOOP_SEED").unwrap_or(1);
    let looped = || CrashLoop::new(&scheme, &kept, seed, 10).run(kills);
    match std::panic::catch_unwind(looped) {
        Ok(tally) => println!("{tally}"),
        Err(problem) => {
            println!("the directory is kept: {}", parent.keep().display());
            std::panic::resume_unwind(problem);
        }
    }
}
