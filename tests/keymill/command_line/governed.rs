//! Jobs within limits on memory: in cgroups of their own, which takes root and a cgroup file system that may be written to.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::fixtures::{LONG, SEED, TINY};
use super::program::Place;
use crate::skip::skip;

pub const MIB: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// A memory cgroup, below that of the tests where there is one.
pub struct Cgroup {
    pub at: PathBuf,
    limit_file: &'static str,
}

impl Cgroup {
    /// Makes one with this limit; says so and gives none where that is not possible.
    pub fn made(name: &str, limit_bytes: u64) -> Option<Self> {
        let name = format!("keymill-test-{name}-{}", std::process::id());
        let made = Self::parents().into_iter().find_map(|(parent, limit_file)| {
            let at = parent.join(&name);
            fs::create_dir(&at).ok()?;
            let cgroup = Self { at, limit_file };
            // One without the file is dropped again.
            cgroup.limit_to(limit_bytes).ok().map(|()| cgroup)
        });
        if made.is_none() {
            skip("no memory cgroup can be made here, which needs root and a cgroup file system that may be written to");
        }
        made
    }

    /// Where one could be made, and the file in which it then has its limit. A cgroup of version 2 that holds processes can
    /// have none below it with a limit, so there it is made at the top.
    fn parents() -> Vec<(PathBuf, &'static str)> {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let own = own.lines().find_map(|line| line.split_once(":memory:"));
        let mut parents = Vec::new();
        if let Some((_, path)) = own {
            let mount = Path::new("/sys/fs/cgroup/memory");
            parents.push((mount.join(path.trim_start_matches('/')), "memory.limit_in_bytes"));
            parents.push((mount.to_owned(), "memory.limit_in_bytes"));
        }
        parents.push((PathBuf::from("/sys/fs/cgroup"), "memory.max"));
        parents
    }

    /// One inside this one, without a limit of its own.
    fn inner(&self) -> Self {
        // Version 2 asks for it; version 1 has no such file.
        let _ = fs::write(self.at.join("cgroup.subtree_control"), "+memory");
        let at = self.at.join("inner");
        fs::create_dir(&at).unwrap();
        let limit_file = self.limit_file;
        Self { at, limit_file }
    }

    pub fn limit_to(&self, bytes: u64) -> std::io::Result<()> {
        // Not one that is made by writing: the directory could lie on any file system.
        let mut file = File::options().write(true).open(self.at.join(self.limit_file))?;
        file.write_all(bytes.to_string().as_bytes())
    }

    /// A shell that goes into the cgroup and becomes the program that is named behind.
    pub fn entering(&self) -> Command {
        let mut shell = Command::new("sh");
        let enter = format!("echo $$ > '{}/cgroup.procs' && exec \"$@\"", self.at.display());
        shell.args(["-c", &enter, "sh"]);
        shell
    }

    /// A process in the cgroup that holds so many mebibytes and waits for ever.
    fn neighbour(&self, mib: u64) -> Neighbour {
        let mut dd = self.entering();
        dd.args(["dd", "if=/dev/zero", "count=1", "iflag=fullblock"]);
        dd.arg(format!("bs={}", mib * MIB));
        // Nobody reads what it has read.
        let process = dd
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let neighbour = Neighbour(process);
        let status = format!("/proc/{}/status", neighbour.0.id());
        wait_for("the neighbour to hold its memory", || {
            let status = fs::read_to_string(&status).unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
            let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
            kib.is_some_and(|kib| kib >= mib << 10)
        });
        neighbour
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Its last process is gone from it only a moment after it was waited for.
        let begun = Instant::now();
        while fs::remove_dir(&self.at).is_err() && begun.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(POLL);
        }
    }
}

/// Takes memory until it is dropped.
struct Neighbour(Child);

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[track_caller]
fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(POLL);
    }
}

#[test]
fn auto_finds_the_limit_of_a_cgroup_around_its_own() {
    let Some(outer) = Cgroup::made("nested", 48 * MIB) else {
        return;
    };
    let inner = outer.inner();
    let place = Place::new();
    let plan = |flags: &str| {
        let line = format!("plan --scheme {LONG} --epochs 2^18 --threads 1 {flags}");
        let outcome = place
            .run_under(inner.entering(), &[], &format!("{line} --json"))
            .unwrap();
        let json = outcome.exits(0).json();
        let text = place.run_under(inner.entering(), &[], &line).unwrap().exits(0);
        (
            json["budget_bytes"].as_u64(),
            json["budget_source"].clone(),
            text.text().to_owned(),
        )
    };
    let of = |cgroup: &Cgroup| format!("cgroup '{}', {}", cgroup.at.display(), cgroup.limit_file);
    for flags in ["", "--memory auto", "--memory 1G"] {
        let (bytes, source, text) = plan(flags);
        assert_eq!(
            (bytes, source.as_str()),
            (Some(48 * MIB), Some(&*of(&outer))),
            "{flags}"
        );
        assert!(text.contains("48.00 MiB, set by cgroup"), "{text}");
    }
    inner.limit_to(32 * MIB).unwrap();
    let (bytes, source, _) = plan("");
    assert_eq!((bytes, source.as_str()), (Some(32 * MIB), Some(&*of(&inner))));
    let (bytes, source, _) = plan("--memory 20M");
    assert_eq!((bytes, source.as_str()), (Some(20 * MIB), Some("the memory setting")));
    let (bytes, source, text) = plan("--memory 0");
    assert!(
        bytes.is_none() && source.is_null() && text.contains("memory budget   none"),
        "{text}"
    );
}

#[test]
fn a_cgroup_that_is_too_small_is_refused_with_both_figures() {
    let Some(cgroup) = Cgroup::made("small", 5 * MIB) else {
        return;
    };
    // Within so little the program itself would hardly start.
    let place = Place::new();
    let line = format!("plan --scheme {TINY} --threads 1");
    let outcome = place.run_under(cgroup.entering(), &[], &line).unwrap();
    let outcome = outcome.exits(4).prints_nothing();
    let least = outcome
        .stderr
        .split(" is too small: ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next()?.parse().ok());
    let least: u64 = least.unwrap_or_else(|| panic!("{}", outcome.all()));
    outcome.says(&["5242880 bytes (cgroup '", "raise the limit of the cgroup"]);
    let page = 4096;
    cgroup.limit_to(least.next_multiple_of(page)).unwrap();
    place.run_under(cgroup.entering(), &[], &line).unwrap().exits(0);
    cgroup.limit_to(least.next_multiple_of(page) - page).unwrap();
    place.run_under(cgroup.entering(), &[], &line).unwrap().exits(4);
}

#[test]
fn a_neighbour_that_takes_memory_makes_groups_smaller_until_it_is_gone() {
    let Some(cgroup) = Cgroup::made("neighbour", 100 * MIB) else {
        return;
    };
    let place = Place::new();
    place.file("seed", SEED);
    let (said, printed) = (place.path("said"), place.path("printed"));
    // Minutes of work, of which some seconds are looked at.
    let line = "keygen key --scheme leansig-p2-l32-top-v64-w8 --epochs 2^22 --trim 8 --seed-file seed --threads 1 \
                --progress json";
    let mut command = place.under(cgroup.entering(), line);
    command.env("KEYMILL_LOG", "info");
    command
        .stdout(File::create(printed).unwrap())
        .stderr(File::create(&said).unwrap());
    let mut job = Neighbour(command.spawn().unwrap());
    let text = || fs::read_to_string(&said).unwrap();
    wait_for("the first batches", || text().contains("\"batches_in_flight_max\":16"));
    assert!(!text().contains("memory is running low"), "{}", text());
    let neighbour = cgroup.neighbour(84);
    wait_for("smaller groups", || {
        text().contains("batches in memory: 8 instead of 16")
    });
    wait_for("the smallest groups", || {
        text().contains("batches in memory: 1 instead of 2")
    });
    wait_for("a line of progress", || text().contains("\"batches_in_flight_max\":1,"));
    drop(neighbour);
    wait_for("larger groups", || text().contains("batches in memory: 2 instead of 1"));
    let warning = text()
        .lines()
        .find(|line| line.contains("memory is running low"))
        .unwrap()
        .to_owned();
    let of_cgroup = format!("of 104857600 bytes (cgroup '{}'", cgroup.at.display());
    assert!(
        warning.contains("\"level\":\"warn\"") && warning.contains(&of_cgroup),
        "{warning}"
    );
    // It works all the time.
    assert!(job.0.try_wait().unwrap().is_none(), "{}", text());
    let id = rustix::process::Pid::from_child(&job.0);
    rustix::process::kill_process(id, Signal::INT).unwrap();
    assert_eq!(job.0.wait().unwrap().code(), Some(130), "{}", text());
}

#[test]
fn a_job_whose_memory_is_nearly_taken_ends_in_order_and_is_resumed_to_the_same_key() {
    let Some(cgroup) = Cgroup::made("taken", 200 * MIB) else {
        return;
    };
    let place = Place::new();
    place.file("seed", SEED);
    let flags = format!("--scheme {LONG} --epochs 2^15 --seed-file seed --threads 1");
    let whole = place.run(&format!("keygen whole {flags}")).exits(0).line();
    let neighbour = cgroup.neighbour(192);
    let line = format!("keygen key {flags}");
    let outcome = place
        .run_under(cgroup.entering(), &[], &line)
        .unwrap()
        .exits(4)
        .prints_nothing();
    let outcome = outcome.says(&[
        "memory ran short: ",
        "of 209715200 bytes (cgroup '",
        "more than 95 %",
        "run the same command again",
    ]);
    let held = outcome
        .stderr
        .split("memory ran short: ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next()?.parse().ok());
    assert!(
        held.is_some_and(|held: u64| (190 * MIB..=200 * MIB).contains(&held)),
        "{}",
        outcome.all()
    );
    drop(neighbour);
    assert_eq!(
        place.run_under(cgroup.entering(), &[], &line).unwrap().exits(0).line(),
        whole
    );
    place.run("check key").exits(0);
}

/// Runs keymill with a limit on its address space; none where that cannot be set.
fn within_address_space(place: &Place, bytes: u64, line: &str) -> Option<super::program::Outcome> {
    let mut prlimit = Command::new("prlimit");
    prlimit.arg(format!("--as={bytes}"));
    let outcome = place.run_under(prlimit, &[], line);
    if outcome.is_none() {
        skip("prlimit is missing, which sets limits on address space");
    }
    outcome
}

#[test]
fn layer_files_that_do_not_fit_into_the_address_space_are_refused_before_anything_is_written() {
    let place = Place::new();
    let flags = "--scheme leansig-p2-l32-top-v64-w8 --epochs 2^26 --threads 1";
    for line in [format!("keygen key {flags}"), format!("plan {flags} --memory 0")] {
        let Some(outcome) = within_address_space(&place, 4096 * MIB, &line) else {
            return;
        };
        let outcome = outcome.exits(4).prints_nothing();
        let [limit, needed, layers] = outcome.figures()[..] else {
            panic!("not three figures\n{}", outcome.all());
        };
        assert!(
            limit == 4096 * MIB && needed > layers && layers > 1 << 32,
            "{}",
            outcome.all()
        );
        outcome.says(&["RLIMIT_AS", "ulimit -v", "--epochs"]);
        assert!(!place.path("key").exists());
    }
}

#[test]
fn a_job_is_finished_within_the_least_address_space_that_is_asked_for() {
    let place = Place::new();
    let line = format!("keygen key --scheme {TINY} --threads 2");
    let Some(refused) = within_address_space(&place, 256 * MIB, &line) else {
        return;
    };
    let refused = refused.exits(4);
    let least = refused.figures()[1];
    let done = within_address_space(&place, least.next_multiple_of(4096), &format!("{line} --memory 0"));
    done.unwrap().exits(0);
}

#[test]
fn a_limit_on_threads_ends_the_job_in_order_whichever_thread_it_refuses() {
    // Root has no such limit, so that the job is run by a user of nobody's.
    let user = 60_000 + std::process::id() % 5_000;
    let place = Place::new().with_own_program();
    place.file("seed", SEED);
    if !place.is_given_to(user) {
        skip("a limit on the threads of another user takes root");
        return;
    }
    let mut codes = Vec::new();
    for threads in 1..40 {
        let mut limited = Command::new("timeout");
        limited.args([
            "-s",
            "KILL",
            "60",
            "setpriv",
            "--reuid",
            &user.to_string(),
            "--clear-groups",
        ]);
        limited.args(["prlimit", &format!("--nproc={threads}")]);
        let line = format!("keygen key{threads} --scheme {TINY} --threads 8 --progress none --seed-file seed");
        let Some(outcome) = place.run_under(limited, &[], &line) else {
            skip("timeout is missing");
            return;
        };
        codes.push(outcome.code);
        match outcome.code {
            Some(0) => break,
            _ => outcome.exits(4).says(&["thread"]),
        };
    }
    if codes == [Some(0)] {
        skip("this kernel puts no limit on the threads of a user");
        return;
    }
    assert!(codes.len() > 3 && codes.last() == Some(&Some(0)), "{codes:?}");
}
