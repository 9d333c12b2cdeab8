//! Files with a secret, as `export` and `backup` write them: whole and durable, or nowhere.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::process::Command;

use rustix::fs::OFlags;

use super::fixtures::{TINY, changing_nothing, finished_key};
use super::program::{Outcome, Place};
use crate::skip::skip;

const LINES: [&str; 2] = ["export key --format leansig-ssz --out out", "backup key --out out"];

/// A key, where files can be without a name and strace can trace.
pub fn traceable_key() -> Option<Place> {
    let place = Place::new();
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(OFlags::TMPFILE.bits() as i32);
    if options.open(place.path("")).is_err() {
        skip("the file system of the temporary directory has no O_TMPFILE");
        return None;
    }
    finished_key(&place, TINY);
    // Its ledger is told that the secret leaves, so that all that is written from here on is the file.
    place.run("export key --format leansig-ssz").exits(0);
    if traced(&place, &[], "status key").is_none() {
        skip("strace is not installed, or may not trace here (Debian: strace)");
        return None;
    }
    Some(place)
}

/// Runs keymill under strace. Gives what strace wrote as well, which is gone from the place then.
pub fn traced(place: &Place, flags: &[&str], line: &str) -> Option<(Outcome, String)> {
    let log = place.path("log");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-y", "-o"]).arg(&log).args(flags);
    let outcome = place.run_under(strace, &[], line)?;
    let text = fs::read_to_string(&log).ok().filter(|text| !text.is_empty())?;
    fs::remove_file(log).unwrap();
    Some((outcome, text))
}

#[test]
fn an_export_or_a_backup_that_is_killed_leaves_nothing_of_the_secret() {
    let Some(place) = traceable_key() else { return };
    for line in LINES {
        let trace = ["-e", "trace=write,fsync"];
        let (outcome, log) = traced(&place, &trace, line).unwrap();
        outcome.exits(0);
        fs::remove_file(place.path("out")).unwrap();
        let calls = calls_on(&place, &log);
        // Not SIGINT: whoever runs the tests in the background of a shell has it ignored.
        for signal in ["KILL", "TERM"] {
            for call in ["write", "fsync"] {
                // The first of each that is on the file.
                let (_, number) = calls.iter().find(|(made, _)| made == call).unwrap();
                let inject = format!("inject={call}:signal={signal}:when={number}");
                let flags = [&trace[..], &["-e", &inject]].concat();
                let (outcome, log) = changing_nothing(&place, || traced(&place, &flags, line).unwrap());
                assert_eq!(outcome.code, None, "{signal} at {call}: {}", outcome.all());
                assert!(log.contains("(deleted)"), "{signal} at {call}: {log}");
            }
        }
        place.run(line).exits(0);
        fs::remove_file(place.path("out")).unwrap();
    }
}

#[test]
fn a_file_with_a_secret_is_durable_before_it_has_its_name_and_its_name_is_then() {
    let Some(place) = traceable_key() else { return };
    for line in LINES {
        for (force, calls) in [
            ("", &["write", "fsync", "linkat", "fsync"][..]),
            ("--force", &["write", "fsync", "linkat", "linkat", "rename", "fsync"]),
        ] {
            let flags = ["-e", "trace=write,fsync,linkat,/rename"];
            let (outcome, log) = traced(&place, &flags, &format!("{line} {force}")).unwrap();
            outcome.exits(0);
            let root = place.path("").display().to_string();
            let root = root.trim_end_matches('/');
            let of_output = log.lines().filter(|line| line.contains(root));
            let mut made: Vec<&str> = of_output
                .filter_map(|line| line.split_whitespace().nth(1)?.split_once('(').map(|(call, _)| call))
                .collect();
            // Which of them a rename is depends on the machine.
            for call in made.iter_mut().filter(|call| call.starts_with("rename")) {
                *call = "rename";
            }
            made.dedup_by(|next, first| next == first && *first == "write");
            assert_eq!(made, calls, "{line} {force}: {log}");
            let directory = log.lines().rfind(|line| line.contains("fsync(")).unwrap();
            assert!(directory.contains(&format!("<{root}>")), "{line} {force}: {directory}");
        }
        fs::remove_file(place.path("out")).unwrap();
    }
}

/// The calls in a log of strace that are on files of a place, each with its number among those of its name in its thread.
fn calls_on(place: &Place, log: &str) -> Vec<(String, usize)> {
    let root = place.path("").display().to_string();
    let root = root.trim_end_matches('/');
    let working_directory = format!("AT_FDCWD<{root}>");
    let mut numbers = BTreeMap::<(&str, &str), usize>::new();
    let mut calls = Vec::new();
    for line in log.lines() {
        let Some((thread, rest)) = line.split_once(' ') else {
            continue;
        };
        let Some((call, arguments)) = rest.trim_start().split_once('(') else {
            continue;
        };
        let number = numbers.entry((thread, call)).or_default();
        *number += 1;
        // What is opened by a relative name is within the place as well, unlike what is opened by an absolute one.
        let is_relative = arguments.starts_with(&working_directory) && !arguments.contains(", \"/");
        if is_relative || arguments.replace(&working_directory, "").contains(root) {
            calls.push((call.to_owned(), *number));
        }
    }
    calls
}

/// One way to a file with a secret: with the file that is there before, and without nameless files if `refused` says which
/// opening of one is refused.
struct Output<'a> {
    place: &'a Place,
    line: String,
    old: Option<&'a [u8]>,
    new: &'a [u8],
    refused: Option<usize>,
}

impl Output<'_> {
    /// Writes the file under strace, with this call failing.
    fn traced(&self, failing: Option<&(String, usize)>) -> (Outcome, String) {
        let out = self.place.path("out");
        let _ = fs::remove_file(&out);
        if let Some(old) = self.old {
            fs::write(&out, old).unwrap();
        }
        let refused = self
            .refused
            .map(|number| format!("inject=openat:error=EOPNOTSUPP:when={number}"));
        let failing = failing.map(|(call, number)| format!("inject={call}:error=EIO:when={number}"));
        let trace = Some("trace=openat,read,write,fsync,linkat,mmap,statx,/rename,/unlink".to_owned());
        let flags: Vec<String> = [trace, refused, failing].into_iter().flatten().collect();
        let flags: Vec<&str> = flags.iter().flat_map(|flag| ["-e", flag]).collect();
        traced(self.place, &flags, &self.line).unwrap()
    }

    /// Lets each call fail once, and looks at what is there then. Gives how many of them
    /// ended the command.
    fn sweep(&self) -> usize {
        let (outcome, log) = self.traced(None);
        outcome.exits(0);
        let mut calls = calls_on(self.place, &log);
        // The refusal is of that call.
        calls.retain(|(call, _)| self.refused.is_none() || call != "openat");
        let mut ended = 0;
        for failing in &calls {
            let (outcome, _) = self.traced(Some(failing));
            let case = format!("{failing:?}, refused {:?}: {}", self.refused, outcome.all());
            assert!([Some(0), Some(4)].contains(&outcome.code), "{case}");
            assert!(!outcome.stderr.contains("panicked"), "{case}");
            ended += usize::from(outcome.code == Some(4));
            let out = self.place.path("out");
            let found = fs::read(&out).ok();
            let is_new = found.as_deref() == Some(self.new);
            assert!(is_new || found.as_deref() == self.old, "{case}");
            // When it has its name, its name may not be durable, which is told.
            let is_done = outcome.code == Some(0);
            if failing.0 == "fsync" {
                assert!(!is_done, "{case}");
            } else {
                assert!(is_new == is_done, "{case}");
            }
            let mode = fs::metadata(&out).map_or(0o600, |found| found.permissions().mode() & 0o777);
            assert!(!is_new || mode == 0o600, "{mode:o}: {case}");
            let entries = fs::read_dir(self.place.path("")).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let drafts: Vec<_> = names.filter(|name| name.starts_with(".keymill-")).collect();
            assert!(drafts.is_empty(), "{drafts:?}: {case}");
        }
        ended
    }
}

#[test]
fn a_secret_of_which_any_call_fails_leaves_the_old_file_the_new_one_or_none_and_no_draft() {
    let Some(place) = traceable_key() else { return };
    for line in LINES {
        place.run(line).exits(0);
        let new = fs::read(place.path("out")).unwrap();
        for (force, old) in [("", None), (" --force", Some(&b"what was there before"[..]))] {
            let mut output = Output {
                place: &place,
                line: format!("{line}{force}"),
                old,
                new: &new,
                refused: None,
            };
            let seen = output.sweep();
            assert!(seen > 10, "{line}{force}: {seen}");
            let (_, log) = output.traced(None);
            let opened: Vec<&str> = log.lines().filter(|line| line.contains("openat(")).collect();
            let nameless = opened.iter().position(|line| line.contains("O_TMPFILE")).unwrap();
            output.refused = Some(nameless + 1);
            let seen = output.sweep();
            assert!(seen > 10, "{line}{force}, without nameless files: {seen}");
        }
        fs::remove_file(place.path("out")).unwrap();
    }
}

#[test]
fn a_place_that_is_not_there_is_a_wrong_name_and_no_draft_is_named() {
    let place = Place::new();
    finished_key(&place, TINY);
    place.file("file", "");
    for line in ["export key --format leansig-ssz", "backup key", "public-key key"] {
        for out in ["no/such/file", "file/out"] {
            let refused = place.run(&format!("{line} --out {out}")).exits(2).prints_nothing();
            let refused = refused.says(&[&format!("'{out}'")]);
            assert!(!refused.stderr.contains(".keymill"), "{}", refused.all());
        }
    }
}
