//! Running the program: away from the caller's settings, and with everything it answers at hand.

use std::io::Read;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::skip::skip;

/// How long anything here may take before a test is failed rather than hung.
pub const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);
/// How soon a signal has to be answered, as docs/MEMORY.md promises.
pub const SOON: Duration = Duration::from_secs(2);

/// What decides on colours besides the terminal (CI counts as one that has them, whatever TERM says), and on the width of what is
/// printed.
const TERMINAL_VARIABLES: [&str; 6] = ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI", "COLUMNS", "LINES"];

/// Another user than root.
const NOBODY: u32 = 65534;

/// An empty directory that is home and working directory of the programs that a test runs. Names are relative to it.
pub struct Place {
    root: TempDir,
    program: PathBuf,
}

impl Place {
    pub fn new() -> Self {
        Self::of(TempDir::new().unwrap())
    }

    /// One where nothing has to wait for a disk, if there is such a place with room for several keys.
    pub fn in_memory() -> Self {
        let has_room =
            rustix::fs::statvfs("/dev/shm").is_ok_and(|memory| memory.f_bavail * memory.f_frsize >= 256 << 20);
        Self::of(if has_room {
            TempDir::new_in("/dev/shm").unwrap()
        } else {
            TempDir::new().unwrap()
        })
    }

    fn of(root: TempDir) -> Self {
        let program = env!("CARGO_BIN_EXE_keymill").into();
        Self { root, program }
    }

    /// Has its own copy of the program, which any user may run who may come here.
    pub fn with_own_program(mut self) -> Self {
        let program = self.path("keymill");
        // By another process: what this one has open for writing while it forks elsewhere cannot be started.
        let copied = Command::new("cp").arg(&self.program).arg(&program).status();
        assert!(copied.unwrap().success());
        self.program = program;
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Writes a file and gives its name back.
    pub fn file<'a>(&self, name: &'a str, content: impl AsRef<[u8]>) -> &'a str {
        std::fs::write(self.path(name), content).unwrap();
        name
    }

    /// A run of keymill with these arguments, which are split at white space.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.program);
        self.prepare(&mut command);
        command
            .args(line.split_whitespace())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Gives this place and everything in it to another user, if root has it and may. Gives whether it did.
    pub fn is_given_to(&self, user: u32) -> bool {
        std::fs::metadata(&self.root).unwrap().uid() == 0 && give(self.root.path(), user).is_ok()
    }

    /// Has another user run a command that root would run, and gives this place to that user. Says so and gives false where
    /// root is alone, as in some containers: whatever root may do anyway cannot be tested there.
    pub fn as_nobody(&self, command: &mut Command) -> bool {
        if !rustix::process::geteuid().is_root() {
            return true;
        }
        let is_given = self.is_given_to(NOBODY);
        if is_given {
            _ = command.uid(NOBODY).gid(NOBODY);
        } else {
            skip("there is no other user than root here");
        }
        is_given
    }

    /// Runs keymill to its end.
    pub fn run(&self, line: &str) -> Outcome {
        self.run_with(&[], line)
    }

    /// Runs keymill to its end with these environment variables.
    pub fn run_with(&self, environment: &[(&str, &str)], line: &str) -> Outcome {
        let mut command = self.command(line);
        let output = command.envs(environment.iter().copied()).output().unwrap();
        Outcome::new(line, output)
    }

    /// A run of keymill under another program, which gets the command line behind its own arguments.
    pub fn under(&self, mut outer: Command, line: &str) -> Command {
        let inner = self.command(line);
        outer.arg(inner.get_program()).args(inner.get_args());
        self.prepare(&mut outer);
        outer
    }

    /// Gives a command that will run keymill the directory, the environment and the standard input that keymill has here.
    pub fn prepare(&self, command: &mut Command) {
        let names = std::env::vars_os().map(|(name, _)| name);
        for name in names.filter(|name| name.to_string_lossy().starts_with("KEYMILL_")) {
            command.env_remove(name);
        }
        for name in TERMINAL_VARIABLES {
            command.env_remove(name);
        }
        command
            .current_dir(self.root.path())
            .env("HOME", self.root.path())
            .env("XDG_CONFIG_HOME", self.path("no-settings-here"))
            .stdin(Stdio::null());
    }

    /// Runs keymill to its end under another program; nothing where there is no such program.
    pub fn run_under(&self, outer: Command, environment: &[(&str, &str)], line: &str) -> Option<Outcome> {
        let mut command = self.under(outer, line);
        let output = command.envs(environment.iter().copied()).output().ok()?;
        Some(Outcome::new(line, output))
    }

    /// Starts keymill.
    pub fn start(&self, environment: &[(&str, &str)], line: &str) -> Running {
        let mut command = self.command(line);
        command.envs(environment.iter().copied());
        Running::of(command, line)
    }

    pub fn status(&self, directory: &str) -> Option<serde_json::Value> {
        let outcome = self.run(&format!("status {directory} --json"));
        serde_json::from_slice(&outcome.stdout).ok()
    }

    /// How many batches of a key are done; none of one that was not begun.
    pub fn batches_done(&self, directory: &str) -> u64 {
        // Not by running the program: that would take the processor from the job.
        keymill::audit::status(&self.path(directory)).map_or(0, |status| status.batches_done)
    }

    /// Waits until a keygen that is running has committed this many batches.
    #[track_caller]
    pub fn wait_for_batches(&self, directory: &str, at_least: u64) {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.batches_done(directory) >= at_least {
                return;
            }
            std::thread::sleep(POLL);
        }
        panic!("{at_least} batches were not committed in {PATIENCE:?}");
    }
}

fn give(path: &Path, user: u32) -> std::io::Result<()> {
    chown(path, Some(user), Some(user))?;
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            give(&entry?.path(), user)?;
        }
    }
    Ok(())
}

/// A keymill that has not ended yet; killed if the test ends first.
pub struct Running {
    child: Child,
    /// What it writes, which is read all the time: a pipe that is full would stop it.
    output: [Option<JoinHandle<Vec<u8>>>; 2],
    line: String,
}

fn reader(pipe: Option<impl Read + Send + 'static>) -> Option<JoinHandle<Vec<u8>>> {
    let mut pipe = pipe?;
    Some(std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        bytes
    }))
}

impl Running {
    pub fn of(mut command: Command, line: &str) -> Self {
        let mut child = command.spawn().unwrap();
        Self {
            output: [reader(child.stdout.take()), reader(child.stderr.take())],
            child,
            line: line.to_owned(),
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, unless it has ended.
    pub fn signal(&mut self, signal: Signal) {
        if self.is_running() {
            kill_process(Pid::from_child(&self.child), signal).unwrap();
        }
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until it has handlers for SIGINT and SIGTERM (SigCgt in proc_pid_status(5)), or has ended.
    pub fn wait_until_it_listens(&mut self) {
        let wanted = [Signal::INT, Signal::TERM].map(|signal| 1_u64 << (signal.as_raw() - 1));
        let begun = Instant::now();
        while self.is_running() {
            let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
            let caught = u64::from_str_radix(caught.trim(), 16).unwrap();
            if wanted.iter().all(|signal| caught & signal != 0) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not listen to signals");
            std::thread::sleep(POLL);
        }
    }

    /// Waits for the end, and says how long that took.
    pub fn end(mut self) -> (Outcome, Duration) {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "'{}' still runs after {PATIENCE:?}",
                self.line
            );
            std::thread::sleep(POLL);
        };
        let took = begun.elapsed();
        let [stdout, stderr] = [0, 1].map(|n| {
            self.output[n]
                .take()
                .map_or_else(Vec::new, |reader| reader.join().unwrap())
        });
        let output = Output { status, stdout, stderr };
        (Outcome::new(&self.line, output), took)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a run answered.
pub struct Outcome {
    line: String,
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Outcome {
    pub fn new(line: &str, output: Output) -> Self {
        Self {
            line: line.to_owned(),
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Everything about the run, for the message of a failed test.
    pub fn all(&self) -> String {
        format!(
            "keymill {}\nexit code {:?}\n-- standard output\n{}\n-- standard error\n{}",
            self.line,
            self.code,
            String::from_utf8_lossy(&self.stdout),
            self.stderr
        )
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.all());
        assert!(!self.stderr.contains("panicked"), "{}", self.all());
        self
    }

    /// Standard error holds each of these.
    #[track_caller]
    pub fn says(self, fragments: &[&str]) -> Self {
        for fragment in fragments {
            assert!(
                self.stderr.contains(fragment),
                "no '{fragment}' in the message of\n{}",
                self.all()
            );
        }
        self
    }

    /// Standard output holds each of these.
    #[track_caller]
    pub fn prints(self, fragments: &[&str]) -> Self {
        for fragment in fragments {
            assert!(
                self.text().contains(fragment),
                "no '{fragment}' in the output of\n{}",
                self.all()
            );
        }
        self
    }

    #[track_caller]
    pub fn prints_nothing(self) -> Self {
        assert!(self.stdout.is_empty(), "{}", self.all());
        self
    }

    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap_or_else(|_| panic!("{}", self.all()))
    }

    /// The one line that standard output is, without its end.
    #[track_caller]
    pub fn line(&self) -> String {
        let line = self.text().strip_suffix('\n');
        let line = line.unwrap_or_else(|| panic!("no end of line\n{}", self.all()));
        assert!(!line.contains('\n'), "more than one line\n{}", self.all());
        line.to_owned()
    }

    /// The one JSON object that standard output is.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        let value: serde_json::Value =
            serde_json::from_slice(&self.stdout).unwrap_or_else(|_| panic!("{}", self.all()));
        assert!(value.is_object(), "{}", self.all());
        value
    }

    /// The whole numbers in the message, in order.
    pub fn figures(&self) -> Vec<u64> {
        let runs = self.stderr.split(|c: char| !c.is_ascii_digit());
        runs.filter_map(|digits| digits.parse().ok()).collect()
    }
}
